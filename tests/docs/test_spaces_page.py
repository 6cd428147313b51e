"""docs/spaces.md is true: its blocks run one after another, and its table counts right."""

from __future__ import annotations

import re
from pathlib import Path

from lepton import spaces

PAGE = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text()


def test_its_blocks_run_as_written(capsys):
    names: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, "docs/spaces.md", "exec"), names)
    assert len(blocks) == 3
    assert names["optimizer"].best_loss < 0.05
    assert "kernel: {type: choice, choices: [rbf, poly, linear]}" in capsys.readouterr().out


def test_its_table_has_each_space_with_the_number_of_its_params():
    rows = dict(re.findall(r"^\| `(\w+)\(\)` \| .*? \| (\d+)", PAGE, re.MULTILINE))
    assert set(rows) == set(spaces.__all__) - {"to_yaml"}
    assert {name: len(getattr(spaces, name)()) for name in rows} == {
        name: int(count) for name, count in rows.items()
    }
