"""docs/callbacks.md is true: its blocks run as written, and each objective reports and stops."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from lepton_core.trial import Trial

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "callbacks.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OBJECTIVES = re.findall(r"^def (\w+)\(trial\):", PAGE, re.MULTILINE)

pytestmark = pytest.mark.filterwarnings(
    "ignore:The '.*dataloader' does not have many workers",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",
)


class Heard:
    def __init__(self, stop_after):
        self.steps, self.stop_after = [], stop_after

    def report(self, step, value):
        assert value >= 0
        self.steps.append(step)

    def should_stop(self):
        return len(self.steps) >= self.stop_after


@pytest.fixture(scope="module")
def objectives():
    """What the page defines. Blocks of libraries each have a `ReportCallback` of their own."""
    names: dict = {}
    found = {}
    for block in BLOCKS:
        exec(compile(block, "docs/callbacks.md", "exec"), names)
        own = {name: value for name, value in names.items() if name in OBJECTIVES}
        for name in set(own) - set(found):
            report = names.get("ReportCallback")
            found[name] = own[name], report
    assert list(found) == OBJECTIVES

    def call(name, trial):
        objective, report = found[name]
        names["ReportCallback"] = report
        return objective(trial)

    return call


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_reports_each_step(objectives, name):
    heard = Heard(stop_after=1000)
    value = objectives(name, Trial({"lr": 0.1}, seed=1, _reporter=heard))
    assert isinstance(value, float)
    assert heard.steps == list(range(20 if name == "by_hand" else 3))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_stops_when_it_is_to(objectives, name):
    heard = Heard(stop_after=2)
    objectives(name, Trial({"lr": 0.1}, seed=1, _reporter=heard))
    assert heard.steps == [0, 1]


def test_each_extra_that_it_names_there_is():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"lepton-tuning\[(\w+)\]", PAGE)
    assert named == ["lightning", "keras", "xgboost", "lightgbm"]
    assert set(named) <= set(extras)
