"""What the tests of the callbacks share: a reporter, and a sweep of two trials in real workers."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from histories import counted

from lepton_core.trial import Trial


class Heard:
    """A reporter that lists what it hears, and says to stop after so many reports."""

    def __init__(self, stop_after=None):
        self.reports, self.stop_after = [], stop_after

    def report(self, step, value):
        self.reports.append((step, value))

    def should_stop(self):
        return self.stop_after is not None and len(self.reports) >= self.stop_after

    @property
    def steps(self):
        return [step for step, _ in self.reports]

    @property
    def values(self):
        return [value for _, value in self.reports]


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def listening():
    """A trial, and the reporter that hears it."""

    def make(stop_after=None):
        reporter = Heard(stop_after)
        return Trial({}, _reporter=reporter), reporter

    return make


@pytest.fixture
def recorded(sweep_folder, drivers):
    """Drives two trials of an objective in a worker process.

    The objective writes what its library says of the training to the file ``NUMBER.json``. Returns
    for each trial that, and the points that MLflow has.
    """

    def drive(objective, env=None):
        space = {"lr": {"type": "float", "low": 0.01, "high": 0.1}}
        sweep_folder.write(space=space, budget={"trials": 2}, generation=2, workers=1)
        (sweep_folder.path / "objective.py").write_text(objective)
        drivers.run(sweep_folder.path, sweep_folder.mark, env=env or {})
        found = []
        for run in counted(sweep_folder.path):
            assert run.status == "FINISHED", run
            said = json.loads((sweep_folder.path / f"{run.place[1]}.json").read_text())
            with closing(sqlite3.connect("mlruns/mlflow.db")) as store:
                points = store.execute(
                    "select step, value from metrics "
                    "where run_uuid = ? and key = 'reported_loss' order by step",
                    (run.run_id,),
                ).fetchall()
            found.append((said, points))
        assert len(found) == 2
        return found

    return drive
