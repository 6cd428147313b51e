"""Makes the golden histories that are not there yet: see README.md, and never make one anew.

Run it as ``python tests/golden/make.py``. It drives real sweeps with real workers in folders of its
own, kills drivers on the way where the history is to tell of that, and exports what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
os.environ.update(
    DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", PREFECT_SERVER_ANALYTICS_ENABLED="false"
)

from canonical_state import canonical_state  # noqa: E402
from drivers import Drivers  # noqa: E402

from lepton_core.plan import plan  # noqa: E402
from lepton_core.verification import proposal_text  # noqa: E402
from lepton_tasks.environment import environment  # noqa: E402
from lepton_tasks.sweep_record import open_record  # noqa: E402
from lepton_tasks.transfer.export import export_sweep  # noqa: E402
from lepton_tasks.transfer.export_check import check_file  # noqa: E402
from lepton_tasks.transfer.export_file import new_file  # noqa: E402

CONDITIONAL: dict[str, Any] = {
    "rate": {"type": "float", "low": 1e-5, "high": 0.5, "log": True},
    "share": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.05},
    "shift": {"type": "float", "low": -3.0, "high": 3.0},
    "depth": {"type": "int", "low": 2, "high": 12, "step": 2},
    "width": {"type": "int", "low": 1, "high": 4096, "log": True},
    "booster": {"type": "choice", "choices": ["gbtree", "dart", "größer: ∞", 3, 0.5, True, None]},
    "drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"booster": ["dart", True]}},
    "skip": {"type": "choice", "choices": ["a", "b"], "when": {"booster": "dart"}},
    "skip_rate": {"type": "float", "low": 0, "high": 1, "when": {"booster": "dart", "skip": "b"}},
    "fixed": "binary:logistic",
}
PLAIN: dict[str, Any] = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "y": {"type": "float", "low": -1.0, "high": 1.0},
    "n": {"type": "int", "low": 0, "high": 9},
}
START = {"rate": 0.01, "share": 0.5, "shift": 0.0, "depth": 4, "width": 64}
ENDINGS = "exception,nan,inf,none,type,timeout,memory,crashed,good,good,good,good"

# Of each sweep: its declaration, and drives, each with a budget and the write before which it dies.
SWEEPS: dict[str, dict[str, Any]] = {
    "one-at-a-time": {
        "sweep": {
            "space": PLAIN,
            "generation": 1,
            "portfolio": {"proposers": ["random", "sobol"], "judge": False},
            "start_from": [{"x": 0.5, "y": -0.5, "n": 3}],
        },
        "drives": [(9, None)],
    },
    "conditional": {
        "sweep": {
            "space": CONDITIONAL,
            "portfolio": {"proposers": ["ga"], "judge": False},
            "start_from": [
                {**START, "booster": "gbtree", "fixed": "binary:logistic"},
                {**START, "booster": None, "fixed": "binary:logistic"},
                {
                    **START,
                    "booster": "dart",
                    "fixed": "binary:logistic",
                    "drop": 0.1,
                    "skip": "b",
                    "skip_rate": 0.25,
                },
            ],
        },
        "drives": [(28, None)],
    },
    "failures": {
        "sweep": {"space": PLAIN, "timeout": 2, "portfolio": {"proposers": ["rl"], "judge": False}},
        "drives": [(24, None)],
        "environment": {"GOLDEN_ENDINGS": ENDINGS},
    },
    "maximize": {
        "sweep": {
            "space": PLAIN,
            "generation": 16,
            "direction": "maximize",
            "portfolio": {"proposers": ["pso"], "judge": False, "pso": {"particles": 5}},
            "seed": 2**62 + 1,
        },
        "drives": [(40, None), (64, None)],
    },
    "killed": {
        "sweep": {"space": CONDITIONAL, "seed": 3, "portfolio": {"judge": False}},
        "drives": [(12, 60), (12, 75), (12, None), (28, 85), (40, 40)],
    },
    "portfolio": {
        "sweep": {
            "space": CONDITIONAL,
            "generation": 16,
            "seed": 11,
            "portfolio": {"proposers": ["ga", "pso", "rl", "sobol", "random"], "judge": False},
        },
        "drives": [(96, None)],
    },
    "judged": {  # more trials than the judge remembers
        "sweep": {
            "space": CONDITIONAL,
            "generation": 16,
            "seed": 5,
            "portfolio": {"proposers": ["ga", "pso", "rl", "local", "random"], "judge": True},
        },
        "drives": [(200, None), (352, None)],
    },
}


def made(name: str, wanted: dict[str, Any], drivers: Drivers, folder: Path) -> Path:
    """A folder in which the sweep was driven."""
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(HERE / "objective.py", folder)
    for budget, dies in wanted["drives"]:
        content = {
            "name": name,
            "objective": "objective.py:objective",
            "generation": 4,
            "workers": 2,
            **wanted["sweep"],
            "budget": {"trials": budget},
        }
        (folder / "sweep.yaml").write_text(json.dumps(content))
        point = {"signal_before_write": [dies, "SIGKILL"]} if dies else {}
        driver = drivers.start(folder, env=wanted.get("environment", {}), **point)
        assert driver.wait() == (-9 if dies else 0), driver.said()
    return folder


def main() -> None:
    todo = {n: s for n, s in SWEEPS.items() if not (HERE / f"{n}.jsonl.gz").exists()}
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "server" / "mlruns").mkdir(parents=True)
        drivers = Drivers(Path(temporary) / "server")
        for name, wanted in todo.items():
            os.chdir(made(name, wanted, drivers, Path(temporary) / name))
            file = HERE / f"{name}.jsonl.gz"
            with new_file(file) as stream:
                export_sweep(open_record(name), stream)
            state = check_file(file).state
            proposals = plan(state, state.declaration.generation)
            expected = {
                "file": hashlib.sha256(file.read_bytes()).hexdigest(),
                "state": canonical_state(state),
                "next": {
                    "environment": environment(),
                    "proposals": [proposal_text(proposal) for proposal in proposals],
                },
            }
            text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=False)
            (HERE / f"{name}.expected.json").write_text(text + "\n", encoding="utf-8")
            sys.stdout.write(f"made {file.name}, {file.stat().st_size} bytes\n")
        os.chdir(HERE)
        drivers.close()


if __name__ == "__main__":
    main()
