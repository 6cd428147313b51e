"""The best model: what an objective returned beside its loss."""

from __future__ import annotations

import pytest

import lepton
from lepton_core.errors import NothingUsableError

SPACE = {"C": lepton.Float(1e-3, 1e2, log=True)}


class Model:
    """Knows from which trial it is."""

    def __init__(self, number):
        self.number = number


def with_model(trial):
    return {"loss": (trial["C"] - 1) ** 2, "model": Model(trial.number), "size": 3}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_best_trials_model_is_kept(workers):
    found = lepton.Optimizer(SPACE).minimize(with_model, trials=24, workers=workers)
    assert found.best_model.number == found.best_trial.number
    assert len(found._models.here) == 8, "others are let go"
    assert list(found.trials["metrics.size"]) == [3.0] * 24


def test_where_the_recommended_trials_model_was_not_kept_the_lowest_ones_is_given_and_said(caplog):
    found = lepton.Optimizer(SPACE).minimize(with_model, trials=24)
    assert found.best_model.number == found.best_trial.number
    assert caplog.text == ""
    kept = found._models.here
    gone = next(r for r in found._at.trials() if r.proposal.number not in kept)
    found._advised = (24, gone)  # as the judge might, where losses are noisy
    lowest = found._at.best.proposal.number
    assert found.best_model.number == lowest
    assert f"best_model is that of trial {lowest}" in caplog.text
    assert f"Of trial {gone.proposal.number}, which is recommended, none was kept" in caplog.text


def test_a_model_can_be_told():
    asked = lepton.Optimizer(SPACE, trials=8)
    while trials := asked.ask(4):
        for trial in trials:
            asked.tell(trial, with_model(trial))
    assert asked.best_model.number == asked.best_trial.number


def test_without_a_model_it_says_how_to_give_one():
    found = lepton.Optimizer(SPACE).minimize(lambda trial: trial["C"], trials=4)
    with pytest.raises(NothingUsableError, match=r"no model of trial . was kept.*'model': model"):
        _ = found.best_model


def test_a_number_called_model_is_a_metric():
    found = lepton.Optimizer(SPACE).minimize(lambda t: {"loss": t["C"], "model": 7}, trials=2)
    assert list(found.trials["metrics.model"]) == [7.0, 7.0]


@pytest.mark.parametrize("workers", [1, 2])
def test_recorded_the_best_model_is_in_mlflow_and_loaded_from_there(sweep_folder, workers):
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline

    def objective(trial):
        model = make_pipeline(LogisticRegression(C=trial["C"])).fit([[0.0], [1.0]], [0, 1])
        return {"loss": (trial["C"] - 1) ** 2, "model": model}

    found = lepton.Optimizer(SPACE, name="demo").minimize(objective, trials=8, workers=workers)
    again = lepton.Optimizer(name="demo")
    for optimizer in (found, again):
        model = optimizer.best_model
        assert isinstance(model, Pipeline)
        assert found.best_params["C"] == model[-1].C
    client = mlflow.MlflowClient(f"sqlite:///{sweep_folder.path / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lepton").experiment_id
    logged = client.search_logged_models([experiment])
    losses = found.trials["value"]
    records = sum(value == losses[: n + 1].min() for n, value in enumerate(losses))
    assert len(logged) <= records + workers - 1, "only models of the best so far are logged"


def test_a_model_that_mlflow_does_not_know_is_kept_in_this_process_and_said(sweep_folder, caplog):
    found = lepton.Optimizer(SPACE, name="demo").minimize(with_model, trials=8)
    assert found.best_model.number == found.best_trial.number
    assert caplog.text.count("a model cannot be kept in MLflow: MLflow has no flavour for ") == 1
    with pytest.raises(NothingUsableError, match=r"no model of trial"):
        _ = lepton.Optimizer(name="demo").best_model


@pytest.mark.filterwarnings("ignore:.*Any type hint")  # MLflow's, as it is imported
def test_a_model_that_the_objective_logged_is_the_best_model_too(sweep_folder):
    import mlflow
    from sklearn.linear_model import LogisticRegression

    def objective(trial):
        model = LogisticRegression(C=trial["C"]).fit([[0.0], [1.0]], [0, 1])
        mlflow.sklearn.log_model(model, name="mine", pip_requirements=["scikit-learn"])
        return (trial["C"] - 1) ** 2

    found = lepton.Optimizer(SPACE, name="demo").minimize(objective, trials=3)
    assert found.best_params["C"] == found.best_model.C
