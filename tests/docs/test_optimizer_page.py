"""docs/optimizer.md is true: its blocks run one after another, and its table has every argument."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import lepton

PAGE = (Path(__file__).parents[2] / "docs" / "optimizer.md").read_text()


def test_its_blocks_run_as_written(capsys, sweep_folder):
    names: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, "docs/optimizer.md", "exec"), names)
    assert len(blocks) == 5
    assert "params.x" in capsys.readouterr().out
    assert names["optimizer"].best_loss < 0.01
    assert len(names["later"].trials) == 16


def test_its_table_has_every_argument_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.split("## With")[0], re.MULTILINE)
    taken = inspect.signature(lepton.Optimizer).parameters
    assert {name for name, _ in rows} == set(taken)
    for name, default in rows:
        text = str(taken[name].default).replace("minimize", '"minimize"')
        expected = {
            "space": "needed, without a recorded sweep",
            "trials": "none",
            "start_from": "none",
        }.get(name, text)
        assert default.strip("`") == expected


def test_what_it_says_of_the_results_is_there():
    rows = PAGE.split("## What came of it")[1]
    named = re.findall(
        r"`(\w+)`", "".join(row.split("|")[1] for row in rows.splitlines() if "|" in row)
    )
    assert {name for name in named if not hasattr(lepton.Optimizer, name)} == set()
