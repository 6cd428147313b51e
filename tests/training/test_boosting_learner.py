"""lepton.training.estimators.boosting, with XGBoost."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy import sparse
from sklearn.metrics import log_loss, root_mean_squared_error

from lepton.training.estimators.boosting import BoostingLearner
from lepton_core.domains import Float
from lepton_core.errors import CheckpointError, InputError
from lepton_core.space import Space

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(150, 5))
Y = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
Z = X[:, 0] * 2 - X[:, 1]
SAMPLED = {"learning_rate": 0.3, "max_depth": 3, "subsample": 0.6, "colsample_bytree": 0.6}


class Trained:
    def __init__(self, model, data=(X, Y), evaluate=None):
        self.learner = BoostingLearner(model, evaluate)
        self.data = self.learner.prepare(data)

    def train(self, settings=SAMPLED, steps=3, seed=1):
        with self.learner.seeded(seed):
            return self.learner.train(settings, itertools.repeat(self.data), steps, seed)

    def trees(self):
        return self.learner.model().get_booster().get_dump(with_stats=True)


def classifier(**params):
    return xgboost.XGBClassifier(**{"n_jobs": 1, **params})


# --- what a step is


def test_training_is_what_rounds_of_boosting_by_hand_compute():
    trained = Trained(classifier())
    trained.train({"max_depth": 3, "learning_rate": 0.5}, steps=4)
    by_hand = classifier(max_depth=3, learning_rate=0.5, n_estimators=4).fit(X, Y)
    assert trained.trees() == by_hand.get_booster().get_dump(with_stats=True)


def test_each_interval_has_its_own_settings():
    trained = Trained(classifier())
    trained.train({**SAMPLED, "max_depth": 1}, steps=2)
    trained.train({**SAMPLED, "max_depth": 4}, steps=2)
    depths = [max(line.count("\t") for line in tree.splitlines()) for tree in trained.trees()]
    assert len(depths) == 4 * 3  # rounds by classes
    assert max(depths[:6]) == 1 < max(depths[6:])


@pytest.mark.parametrize(
    "setting",
    [
        "learning_rate",
        "max_depth",
        "min_child_weight",
        "subsample",
        "colsample_bytree",
        "gamma",
        "reg_lambda",
    ],
)
def test_each_setting_of_the_space_changes_the_trees(setting):
    trained, other = Trained(classifier()), Trained(classifier())
    start, domain = trained.learner.start, trained.learner.space.params[setting]
    trained.train(start)
    other.train({**start, setting: domain.decode(0.1 if start[setting] == domain.high else 1.0)})
    assert trained.trees() != other.trees()


def test_the_seed_decides_which_rows_and_columns_are_drawn():
    one, again, other = (Trained(classifier(random_state=7)) for _ in range(3))
    one.train(seed=1)
    again.train(seed=1)
    other.train(seed=2)
    assert one.trees() == again.trees() != other.trees()


def test_one_that_was_fitted_before_goes_on():
    model = classifier(n_estimators=2).fit(X, Y)
    trained = Trained(model)
    before = trained.trees()
    trained.train(steps=1)
    assert len(trained.trees()) == 9
    assert trained.trees()[:6] == before


def test_data_is_sorted_once(monkeypatch):
    made = []
    matrix = xgboost.DMatrix
    trained = Trained(classifier())
    monkeypatch.setattr(xgboost, "DMatrix", lambda *a, **k: made.append(a) or matrix(*a, **k))
    held_out = trained.learner.rows(trained.data, np.arange(30))
    for _ in range(3):
        trained.train()
        trained.learner.evaluate(trained.data)
        trained.learner.evaluate(held_out)
    assert len(made) == 2


# --- the model


def test_the_estimator_handed_over_has_the_booster_and_predicts():
    for data, model in (
        ((X, Y), classifier()),
        ((X, Y > 0), classifier()),
        ((X, Z), xgboost.XGBRegressor(n_jobs=1)),
    ):
        trained = Trained(model, data)
        trained.train(steps=20)
        assert trained.learner.model() is model
        predicted = model.predict(X)
        if isinstance(model, xgboost.XGBClassifier):
            assert list(model.classes_) == sorted(set(data[1]))
            assert model.predict_proba(X).shape == (150, len(model.classes_))
            assert np.mean(predicted == data[1]) > 0.9
        assert model.get_params()["base_score"] is None  # so a fit of the user's is as ever
        model.fit(X, data[1])


# --- judging


@pytest.mark.parametrize(
    ("model", "y", "expected"),
    [
        (classifier(), Y, lambda m: log_loss(Y, m.predict_proba(X))),
        (classifier(), Y > 0, lambda m: log_loss(Y > 0, m.predict_proba(X))),
        (classifier(eval_metric="merror"), Y, lambda m: np.mean(m.predict(X) != Y)),
        (classifier(eval_metric=["mlogloss", "merror"]), Y, lambda m: np.mean(m.predict(X) != Y)),
        (xgboost.XGBRegressor(), Z, lambda m: root_mean_squared_error(Z, m.predict(X))),
    ],
)
def test_it_is_judged_by_its_own_metric(model, y, expected):
    trained = Trained(model, (X, y))
    losses = [trained.train(steps=1), trained.learner.evaluate(trained.data)]
    assert losses == pytest.approx([expected(trained.learner.model())] * 2, rel=1e-5)


def test_the_users_evaluate_gets_the_estimator_ready_to_predict():
    trained = Trained(
        classifier(eval_metric="auc"), evaluate=lambda m, x, y: np.mean(m.predict(x) != y)
    )
    trained.train(steps=5)
    assert 0 <= trained.learner.evaluate(trained.data) < 0.5


@pytest.mark.parametrize("metric", ["auc", "ndcg@3", ["logloss", "aucpr"], log_loss])
def test_a_metric_that_is_better_when_higher_is_refused(metric):
    with pytest.raises(InputError, match=r"lower when better.*or give evaluate="):
        BoostingLearner(classifier(eval_metric=metric))


# --- checkpoints

KINDS = {
    "trees": lambda: Trained(classifier()),
    "dart": lambda: Trained(classifier(booster="dart", rate_drop=0.3)),
    "linear": lambda: Trained(classifier(booster="gblinear")),
    "regressor": lambda: Trained(xgboost.XGBRegressor(n_jobs=1), (X, Z)),
}


def settings_of(kind):
    return {"learning_rate": 0.2} if kind == "linear" else SAMPLED


def gone_on(kind, folder):
    trained = KINDS[kind]()
    trained.learner.load(Path(folder) / kind)
    return next_interval(trained, kind)


def next_interval(trained, kind):
    trained.train(settings_of(kind), steps=4, seed=9)
    digest = hashlib.sha256(trained.learner._raw).hexdigest()
    return [digest, trained.learner.evaluate(trained.data)]


def test_a_fresh_process_goes_on_bit_for_bit(tmp_path):
    expected = []
    for kind, make in KINDS.items():
        trained = make()
        trained.train(settings_of(kind), steps=3, seed=8)
        (tmp_path / kind).mkdir()
        trained.learner.save(tmp_path / kind)
        expected.append(next_interval(trained, kind))
    code = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_boosting_learner import KINDS, gone_on\n"
        f"print(json.dumps([gone_on(kind, {str(tmp_path)!r}) for kind in KINDS]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def test_from_the_beginning_there_are_no_trees(tmp_path):
    trained = Trained(classifier())
    trained.learner.save(tmp_path)
    trained.train()
    once = trained.trees()
    trained.learner.load(tmp_path)
    assert not trained.learner.model().__sklearn_is_fitted__()
    trained.train()
    assert trained.trees() == once


def test_a_checkpoint_of_other_data_or_a_damaged_one_is_refused(tmp_path):
    trained = Trained(classifier())
    trained.train()
    trained.learner.save(tmp_path)
    with pytest.raises(CheckpointError, match="it is of 5 features, the data has 4"):
        Trained(classifier(), (X[:, 1:], Y)).learner.load(tmp_path)
    (tmp_path / "booster.ubj").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained.learner.load(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained.learner.load(tmp_path / "nowhere")


# --- spaces, data, mistakes


def test_the_space_is_around_the_estimators_own_settings():
    learner = BoostingLearner(classifier(max_depth=20, learning_rate=0.05))
    assert learner.space.validate(learner.start) == learner.start
    assert (learner.start["max_depth"], learner.start["learning_rate"]) == (20, 0.05)
    assert "max_depth" not in BoostingLearner(classifier(booster="gblinear")).space


def test_a_space_names_parameters_of_the_estimator():
    learner = BoostingLearner(classifier())
    learner.check_space(Space({"reg_alpha": Float(0, 1)}))
    for name in ("eta", "n_estimators", "batch_size"):
        with pytest.raises(InputError, match=f"the space has '{name}', which XGBClassifier"):
            learner.check_space(Space({name: Float(0, 1)}))


@pytest.mark.parametrize(
    ("x", "params"),
    [
        (sparse.csr_array(X), {}),
        (pd.DataFrame(X, columns=list("abcde")), {}),
        (
            pd.DataFrame({"a": pd.Categorical(list("xyz") * 50), "b": X[:, 0]}),
            {"enable_categorical": True},
        ),
    ],
)
def test_features_may_be_sparse_or_a_frame_with_categories(x, params):
    trained = Trained(classifier(**params), (x, Y))
    assert trained.learner.rows(trained.data, np.array([3, 1]))[0].shape[0] == 2
    trained.train()
    assert trained.learner.model().predict(x).shape == (150,)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.array(["a", "b", "c"])[Y], "numbered from 0: use sklearn.preprocessing.LabelEncoder"),
        (Y - 1, "numbered from 0"),
        (Y + 0.5, "numbered from 0"),
        (Y[1:], "150, 149 rows"),
    ],
)
def test_a_target_that_xgboost_cannot_take_is_refused(y, said):
    with pytest.raises(InputError, match=said):
        Trained(classifier(), (X, y))


def test_features_that_xgboost_cannot_take_are_refused():
    with pytest.raises(InputError, match="XGBoost cannot take the data"):
        Trained(classifier(), (np.full((150, 2), "a"), Y))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (xgboost.XGBRFClassifier(), "expected an XGBClassifier or an XGBRegressor"),
        (xgboost.XGBRanker(), "expected an XGBClassifier or an XGBRegressor"),
        (classifier(early_stopping_rounds=3), "has early_stopping_rounds, which has no use here"),
        (classifier(objective=lambda y, p: (p, p)), "objective is a function"),
    ],
)
def test_an_estimator_that_does_not_grow_round_by_round_is_refused(model, said):
    with pytest.raises(InputError, match=said):
        BoostingLearner(model)
