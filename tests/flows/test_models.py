"""The model that a sweep file's objective returns: the best is kept, in MLflow."""

from __future__ import annotations

import lepton
from lepton_tasks.sweep_record import open_record

OBJECTIVE = """
from sklearn.dummy import DummyRegressor


def objective(trial):
    model = DummyRegressor(strategy="constant", constant=trial["x"]).fit([[0]], [trial["x"]])
    return {"loss": (trial["x"] - 0.5) ** 2, "model": model}
"""


def test_the_best_trials_model_is_logged_to_its_run(sweep_folder, drivers):
    (sweep_folder.path / "objective.py").write_text(OBJECTIVE)
    sweep_folder.write(space={"x": {"type": "float", "low": 0.0, "high": 1.0}})
    assert drivers.run(sweep_folder.path).ending()["trials"] == 12
    found = lepton.Optimizer(name="demo")
    assert found.best_model.constant == found.best_params["x"]

    record = open_record("demo")
    logged = record.store.client.plain.search_logged_models([record.store.experiment_id])
    kept = {model.source_run_id for model in logged}
    values = [record.attempts(g)[s].result.value for g in range(3) for s in range(4)]
    bests = sum(value == min(values[: n + 1]) for n, value in enumerate(values))
    assert 1 <= len(kept) <= bests + 1, "two workers at a time: one may be late"
