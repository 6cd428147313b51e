"""docs/search-cv.md is true: its blocks run one after another, and its table has every argument."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import lepton

PAGE = (Path(__file__).parents[2] / "docs" / "search-cv.md").read_text()


@pytest.mark.usefixtures("sweep_folder")
def test_its_blocks_run_as_written(capsys):
    names: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    printed = []
    for block in blocks:
        exec(compile(block, "docs/search-cv.md", "exec"), names)
        printed.append(capsys.readouterr().out)
    masked, compared, best, table = printed[1:]
    assert float(printed[0].split()[0]) > 0.97
    assert "--" in masked
    assert compared == "True\n"
    assert best.startswith("SVC(C=")
    assert "metrics.split0_test_score" in table
    assert names["again"].best_score_ == names["search"].best_score_


def test_its_table_has_every_argument_with_its_default():
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", PAGE.split("## What is")[0], re.MULTILINE
    )
    said: dict = {}
    for names, defaults in rows:
        each = [name.strip("`") for name in names.split(", ")]
        said |= zip(each, [one.strip("`") for one in defaults.split(", ")], strict=True)
    taken = inspect.signature(lepton.LeptonSearchCV).parameters
    assert said.keys() == taken.keys()
    needed = {"estimator", "param_distributions"}
    assert {name for name, default in said.items() if default == "needed"} == needed
    for name in taken.keys() - needed:
        assert said[name] == str(taken[name].default).replace("nan", "NaN")
