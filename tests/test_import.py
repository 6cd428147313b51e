"""What `import lepton` loads, and how long it takes (benchmarks/import_time.py tells more)."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

import lepton

HEAVY = {
    *("IPython", "keras", "lightgbm", "lightning", "matplotlib", "mlflow", "pandas", "prefect"),
    *("pydantic", "rich", "ruamel", "scipy", "sklearn", "sqlalchemy", "threadpoolctl", "torch"),
    *("tqdm", "xgboost"),
}
NEED_THEM = {"LeptonSearchCV", "resume", "sweep"}  # a scikit-learn estimator, and Prefect flows
PAIRS = 5
MOST_MS = 300


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def ms(code: str) -> float:
    began = time.perf_counter()
    python(code)
    return 1000 * (time.perf_counter() - began)


def test_to_import_lepton_and_to_name_what_describes_a_space_loads_nothing_heavy():
    named = "; ".join(f"lepton.{name}" for name in lepton.__all__ if name not in NEED_THEM)
    code = (
        f"import sys; import lepton; {named}; lepton.spaces.svc(); lepton.Space("
        f"lepton.spaces.svc()); print(sorted(sys.modules.keys() & {HEAVY!r}))"
    )
    assert python(code) == "[]"


def test_to_import_lepton_takes_little_longer_than_to_import_numpy():
    pairs = [ms("import lepton") - ms("import numpy") for _ in range(PAIRS + 1)]
    assert median(pairs[1:]) < MOST_MS  # the first one may read from disk
