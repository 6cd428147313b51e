"""The examples run, as they are or with fewer steps, and find a usable model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import printed

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS = re.compile(r"^(STEPS|ROUNDS) = \d+$", re.MULTILINE)


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
