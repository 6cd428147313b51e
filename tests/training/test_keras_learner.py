"""lepton.training.keras.learner: in a process of its own, as Keras is on torch in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "with_tensorflow"
CHECKS = sorted(HERE.glob("checks_of_*.py"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda file: file.stem)
def test_the_checks_with_tensorflow_pass(checks):
    env = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    arguments = ["-q", "-p", "no:cacheprovider", f"--confcutdir={HERE}", str(checks)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or "skipped" in done.stdout:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
