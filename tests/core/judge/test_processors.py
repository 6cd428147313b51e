"""Linear algebra differs in its last digits between processors; what the judge proposes does not.

OpenBLAS has its own code for each family of processors. The later families run the code of the
earlier ones, so one machine can try several.
"""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[2] / "support"
SWEEP = f"""
import sys

sys.path.insert(0, {str(SUPPORT)!r})
from judged import declared, swept, trials_of
from lepton_core.domains import Choice, Float, Int
from lepton_core.space import Space
from lepton_core.verification import proposal_text
from threadpoolctl import threadpool_info

space = Space({{"x": Float(0, 1), "y": Float(1e-4, 1, log=True), "n": Int(1, 9),
               "kind": Choice(["a", "b", "c"]), "z": Float(0, 1, when={{"kind": ["a", "b"]}})}})


def loss(params):
    away = (params["x"] - 0.3) ** 2 + (params["n"] - 4) ** 2 / 50 + params.get("z", 0.5) * 0.1
    return None if params["y"] > 0.5 else away + params["y"] * len(params["kind"])


events, _ = swept(declared(space, seed=3), loss, 80)
print({{one.get("architecture") for one in threadpool_info() if one["user_api"] == "blas"}})
for trial in trials_of(events):
    print(proposal_text(trial.proposal))
"""


def swept_with(kernels):
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    command = [sys.executable, "-c", SWEEP]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    which, *proposals = done.stdout.splitlines()
    return which, proposals


def test_the_same_is_proposed_by_another_processor_s_linear_algebra():
    old, first = swept_with("Nehalem")
    new, second = swept_with("Haswell")
    assert len(first) == 80
    assert first == second
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert old != new, "it was the same code: this shows nothing"
