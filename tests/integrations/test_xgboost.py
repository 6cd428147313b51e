"""lepton.integrations.xgboost, with XGBoost."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import xgboost
from sklearn.base import clone

from lepton.integrations import xgboost as module
from lepton.integrations.xgboost import ReportCallback
from lepton_core.errors import InputError
from lepton_core.trial import Trial

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] + 0.3 * RNG.normal(size=60) > 0).astype(int)
PARAMS = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
SEVERAL = {**PARAMS, "eval_metric": ["logloss", "auc"]}


@pytest.fixture
def train():
    def call(trial, metric=None, params=PARAMS, evals=("test",), rounds=5, callbacks=()):
        data = xgboost.DMatrix(X, Y)
        log = {}
        booster = xgboost.train(
            params,
            data,
            rounds,
            evals=[(data, name) for name in evals],
            evals_result=log,
            verbose_eval=False,
            callbacks=[ReportCallback(trial, metric), *callbacks],
        )
        return booster, log

    return call


def test_each_round_is_reported_with_its_value(train, listening):
    trial, heard = listening()
    _, log = train(trial)
    assert heard.steps == [0, 1, 2, 3, 4]
    assert heard.values == log["test"]["logloss"]


@pytest.mark.parametrize(
    ("metric", "dataset", "name"),
    [("test-auc", "test", "auc"), ("train-logloss", "train", "logloss")],
)
def test_of_several_evaluations_the_named_one_is_reported(train, listening, metric, dataset, name):
    trial, heard = listening()
    _, log = train(trial, metric, SEVERAL, ("train", "test"))
    assert heard.values == log[dataset][name]


def test_a_metric_alone_will_do_if_one_dataset_has_it(train, listening):
    trial, heard = listening()
    _, log = train(trial, "auc", SEVERAL)
    assert heard.values == log["test"]["auc"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (None, "is not said, and there are several; expected one of 'train-logloss', 'train-auc'"),
        ("auc", "metric is 'auc', and there are several"),
        ("test-error", "metric is 'test-error', which is not there; .*'test-logloss', 'test-auc'"),
    ],
)
def test_what_is_not_there_or_not_clear_is_said_with_what_there_is(train, listening, metric, said):
    trial, heard = listening()
    with pytest.raises(InputError, match=said):
        train(trial, metric, SEVERAL, ("train", "test"))
    assert heard.reports == []


def test_without_an_evaluation_it_says_how_to_have_one(train, listening):
    with pytest.raises(InputError, match=r"nothing is evaluated.*give xgboost.train its evals"):
        train(listening()[0], evals=())


def test_a_trial_that_is_to_stop_ends_the_training(train, listening):
    trial, heard = listening(stop_after=2)
    booster, _ = train(trial, rounds=500)
    assert heard.steps == [0, 1]
    assert booster.num_boosted_rounds() == 2


def test_early_stopping_is_as_without_it(train, listening):
    trial, heard = listening()
    early = xgboost.callback.EarlyStopping(rounds=2, min_delta=0.5)
    booster, _ = train(trial, rounds=50, callbacks=[early])
    assert heard.steps == [0, 1, 2]
    assert booster.best_iteration == 0


def test_cross_validation_reports_the_mean_and_stops(listening):
    trial, heard = listening(stop_after=3)
    table = xgboost.cv(
        PARAMS,
        xgboost.DMatrix(X, Y),
        50,
        nfold=3,
        callbacks=[ReportCallback(trial, "test-logloss")],
    )
    assert heard.steps == [0, 1, 2]
    assert heard.values == pytest.approx(list(table["test-logloss-mean"]), rel=1e-6)


def test_the_estimators_report_and_stop_and_so_do_their_clones(listening):
    trial, heard = listening(stop_after=3)
    model = xgboost.XGBClassifier(
        n_estimators=50, max_depth=2, n_jobs=1, callbacks=[ReportCallback(trial)]
    )
    model = clone(model)
    model.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    assert heard.steps == [0, 1, 2]
    assert heard.values == model.evals_result()["validation_0"]["logloss"]


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
import numpy as np, xgboost
from lepton.integrations.xgboost import ReportCallback

def objective(trial):
    X = np.arange(40.0).reshape(-1, 1)
    report = ReportCallback(trial, "validation_0-rmse")
    model = xgboost.XGBRegressor(
        n_estimators=4, learning_rate=trial["lr"], n_jobs=1, callbacks=[report]
    )
    model.fit(X, X[:, 0], eval_set=[(X, X[:, 0])], verbose=False)
    log = model.evals_result()["validation_0"]["rmse"]
    json.dump(log, open(f"{trial.number}.json", "w"))
    return log[-1]
""")
    for log, points in trials:
        assert points == list(enumerate(log))


def test_its_example_runs():
    failed, ran = doctest.testmod(module)
    assert (failed, ran > 0) == (0, True)
