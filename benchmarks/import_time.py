"""What `import lepton` costs beyond `import numpy`, and what the first steps after it cost.

Each line is a process of its own. All of them run in turn, round by round, after one round that
warms the disk and is not counted; a line's figure is the median over rounds of its wall time less
that of `import numpy` in the same round.

Run it with ``python benchmarks/import_time.py --help``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

AIM_MS = 300.0  # of `import lepton`
FLOOR = "import numpy"
OPTIMIZER = "import lepton; o = lepton.Optimizer({'x': lepton.Float(0, 1)})"
LINES = {
    FLOOR: "import numpy",
    "import lepton": "import lepton",
    "... and a ready space": "import lepton; lepton.spaces.xgboost()",
    "... an Optimizer": OPTIMIZER,
    "... its first ask": f"{OPTIMIZER}; o.ask()",
    "... 16 trials": f"{OPTIMIZER}; o.minimize(lambda t: t['x'], trials=16)",
    "... lepton.sweep named": "import lepton; lepton.sweep",
    "import pandas": "import pandas",
    "import sklearn.ensemble": "import sklearn.ensemble",
    "import mlflow": "import mlflow",
    "import prefect": "import prefect",
}


def wall_ms(code: str) -> float:
    """Milliseconds of a Python that runs this and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1000 * (time.perf_counter() - began)


def main() -> int:
    """Measure, print the table; 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    taken: list[dict[str, float]] = []
    for number in range(rounds + 1):
        times = {label: wall_ms(code) for label, code in LINES.items()}
        if number:
            taken.append(times)
    floor = median(times[FLOOR] for times in taken)
    print(f"{rounds} rounds; {FLOOR}, Python's start included: {floor:.0f} ms")
    print(f"{'beyond it':<26}{'ms':>8}  (min to max)")
    for label in LINES:
        more = sorted(times[label] - times[FLOOR] for times in taken)
        if label != FLOOR:
            print(f"{label:<26}{median(more):8.0f}  ({more[0]:.0f} to {more[-1]:.0f})")
    lepton = median(times["import lepton"] - times[FLOOR] for times in taken)
    print(f"aim: at most {AIM_MS:.0f} ms: {'met' if lepton <= AIM_MS else 'MISSED'}")
    return int(lepton > AIM_MS)


if __name__ == "__main__":
    sys.exit(main())
