"""docs/sweep-file.md is true: its example is valid, and its tables have every key."""

from __future__ import annotations

import re
from pathlib import Path

from lepton_core.credit import Credit
from lepton_core.portfolio import CREDIT
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.settings import settings_of
from lepton_core.space_file import KINDS
from lepton_core.sweep_file import NEEDED, OPTIONAL
from lepton_tasks.sweep_yaml import read

PAGE = (Path(__file__).parents[2] / "docs" / "sweep-file.md").read_text()


def test_the_example_is_valid_and_shows_every_key(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
    source = read(file)
    source.parse()
    assert set(source.content) == {*NEEDED, *OPTIONAL}


def test_the_tables_have_every_key_and_no_other():
    keys = PAGE.split("## Keys")[1].split("## Settings")[0]
    params = PAGE.split("## Params")[1]
    cells = re.findall(r"^\| `(\w+)` \| (.*?) \|", keys, re.MULTILINE)
    assert {name for name, _ in cells} == {*NEEDED, *OPTIONAL}
    assert {name for name, default in cells if default == "needed"} == set(NEEDED)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", params.split("## The")[0], re.MULTILINE)
    described = {name: tuple(re.findall(r"`(\w+)`", allowed)) for name, allowed in rows}
    assert described == {name: (*need, *more) for name, (_, need, more) in KINDS.items()}


def test_the_table_of_settings_has_every_one_with_its_default_and_range():
    table = PAGE.split("## Settings of the portfolio")[1].split("## Params")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (\S+) \| (\S+) \| (\S+) \|", table, re.MULTILINE)
    assert {(name, *map(float, numbers)) for name, *numbers in rows} == {
        (f"{of}.{one.name}", one.default, one.low, one.high)
        for of, kind in {CREDIT: Credit, **PROPOSERS}.items()
        for one in settings_of(kind).values()
    }
