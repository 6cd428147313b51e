"""docs/training.md is true: its blocks run, its table has every argument, its links lead on."""

from __future__ import annotations

import re
from pathlib import Path

from scripts import printed

from lepton.optimizer.while_training import TrainingArguments
from lepton.training.arguments import VALIDATION

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FEWER = re.compile(r"steps=\d{3,4}")


def test_its_blocks_run_one_after_another_with_fewer_steps(tmp_path):
    script = "\n".join(FEWER.sub("steps=40, progress=False", block) for block in BLOCKS)
    script += "\nprint(optimizer.name, len(optimizer.trials))\n"
    said = printed(script, tmp_path, KERAS_BACKEND="tensorflow")
    assert said[0].startswith("Best loss:  ")
    assert said[1].startswith("Best model:  <Sequential")
    assert said[-1].endswith(" 160")
    assert len(BLOCKS) == 6


def test_its_table_has_every_argument():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.split("\n## ")[0], re.MULTILINE))
    assert set(rows) == {*TrainingArguments.__annotations__, "workers"}
    assert rows["validation"] == str(VALIDATION)
    assert [name for name, default in rows.items() if default == "needed"] == [
        "steps",
        "model",
        "data",
    ]
