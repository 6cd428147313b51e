"""lepton.integrations.lightgbm, with LightGBM."""

from __future__ import annotations

import doctest

import lightgbm
import numpy as np
import pytest

from lepton.integrations import lightgbm as module
from lepton.integrations.lightgbm import ReportCallback
from lepton_core.errors import InputError
from lepton_core.trial import Trial

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(int)
PARAMS = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbose": -1}
SEVERAL = {**PARAMS, "metric": ["binary_logloss", "auc"]}


@pytest.fixture
def train():
    def call(
        trial, metric=None, params=PARAMS, datasets=("valid_0",), rounds=5, callbacks=(), **more
    ):
        data = lightgbm.Dataset(X, Y)
        log = {}
        booster = lightgbm.train(
            params,
            data,
            rounds,
            valid_sets=[lightgbm.Dataset(X, Y, reference=data) for _ in datasets] or None,
            valid_names=list(datasets) or None,
            callbacks=[
                *callbacks,
                ReportCallback(trial, metric),
                *([lightgbm.record_evaluation(log)] if datasets else []),
            ],
            **more,
        )
        return booster, log

    return call


def test_each_round_is_reported_with_its_value(train, listening):
    trial, heard = listening()
    _, log = train(trial)
    assert heard.steps == [0, 1, 2, 3, 4]
    assert heard.values == log["valid_0"]["binary_logloss"]


@pytest.mark.parametrize(
    ("metric", "datasets"),
    [("b-auc", ("a", "b")), ("auc", ("b",))],
)
def test_of_several_evaluations_the_named_one_is_reported(train, listening, metric, datasets):
    trial, heard = listening()
    _, log = train(trial, metric, SEVERAL, datasets)
    assert heard.values == log["b"]["auc"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (None, "is not said, and there are several; expected one of 'a-binary_logloss', 'a-auc'"),
        ("auc", "metric is 'auc', and there are several"),
        ("a-error", "metric is 'a-error', which is not there"),
    ],
)
def test_what_is_not_there_or_not_clear_is_said_with_what_there_is(train, listening, metric, said):
    trial, heard = listening()
    with pytest.raises(InputError, match=said):
        train(trial, metric, SEVERAL, ("a", "b"))
    assert heard.reports == []


def test_without_an_evaluation_it_says_how_to_have_one(train, listening):
    with pytest.raises(InputError, match=r"nothing is evaluated.*give lightgbm.train its valid_s"):
        train(listening()[0], datasets=())


def test_a_trial_that_is_to_stop_ends_the_training_and_gives_the_booster(train, listening):
    trial, heard = listening(stop_after=2)
    booster, _ = train(trial, rounds=500)
    assert heard.steps == [0, 1]
    assert booster.current_iteration() == 2
    assert booster.predict(X).shape == (120,)


def test_early_stopping_is_as_without_it_and_hides_no_round(train, listening):
    trial, heard = listening()
    early = lightgbm.early_stopping(2, min_delta=0.5, verbose=False)
    booster, _ = train(trial, rounds=50, callbacks=[early])
    assert heard.steps == [0, 1, 2]
    assert booster.best_iteration == 1


def test_a_training_that_goes_on_with_a_model_goes_on_with_its_steps(train, listening):
    first, _ = train(listening()[0])
    trial, heard = listening()
    train(trial, rounds=2, init_model=first)
    assert heard.steps == [5, 6]


def test_cross_validation_reports_the_mean_and_stops(listening):
    trial, heard = listening(stop_after=3)
    table = lightgbm.cv(
        SEVERAL,
        lightgbm.Dataset(X, Y),
        50,
        nfold=3,
        seed=1,
        callbacks=[ReportCallback(trial, "valid-auc")],
    )
    assert heard.steps == [0, 1, 2]
    assert heard.values == table["valid auc-mean"]


def test_the_estimators_report_and_stop(listening):
    trial, heard = listening(stop_after=3)
    model = lightgbm.LGBMClassifier(n_estimators=50, num_leaves=4, n_jobs=1, verbose=-1)
    model.fit(X, Y, eval_X=X, eval_y=Y, callbacks=[ReportCallback(trial)])
    assert heard.steps == [0, 1, 2]
    assert heard.values == model.evals_result_["valid_0"]["binary_logloss"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(({"lr": 0.1},), "expected the trial"), ((Trial({}), 3), "expected a metric's name")],
)
def test_a_wrong_argument_is_refused_at_once(arguments, said):
    with pytest.raises(InputError, match=said):
        ReportCallback(*arguments)


def test_in_a_recorded_sweep_each_round_is_a_point_in_mlflow(recorded):
    trials = recorded("""
import json
import lightgbm, numpy as np
from lepton.integrations.lightgbm import ReportCallback

def objective(trial):
    X = np.arange(80.0).reshape(-1, 1)
    model = lightgbm.LGBMRegressor(
        n_estimators=4, learning_rate=trial["lr"], n_jobs=1, verbose=-1
    )
    model.fit(X, X[:, 0], eval_X=X, eval_y=X[:, 0], callbacks=[ReportCallback(trial)])
    log = model.evals_result_["valid_0"]["l2"]
    json.dump(log, open(f"{trial.number}.json", "w"))
    return log[-1]
""")
    for log, points in trials:
        assert points == list(enumerate(log))


def test_its_example_runs():
    failed, ran = doctest.testmod(module)
    assert (failed, ran > 0) == (0, True)
