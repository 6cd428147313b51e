"""The examples run, as they are or with fewer steps, and find a usable model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS = re.compile(r"^(STEPS|ROUNDS) = \d+$", re.MULTILINE)


def printed(script: str, folder: Path) -> list[str]:
    file = folder / "example.py"
    file.write_text(script)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("KERAS_BACKEND")  # of the tests
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_original_program_runs_as_it_is(tmp_path):
    """The program that the design was first shown with, with all of its 1000 steps."""
    said = printed((EXAMPLES / "original_program.py").read_text(), tmp_path)
    assert float(said[0].removeprefix("Best loss:  ")) < 0.15
    assert said[1].startswith("Best model:  <Sequential")


@pytest.mark.parametrize("name", ["pytorch", "partial_fit", "boosting"])
def test_the_others_run_with_fewer_steps(name, tmp_path):
    script, replaced = STEPS.subn(r"\1 = 20", (EXAMPLES / f"{name}_training.py").read_text())
    assert replaced == 1
    (best,) = re.findall(r"Best loss:\s+([\d.]+)", "\n".join(printed(script, tmp_path)))
    assert float(best) < 1.5
