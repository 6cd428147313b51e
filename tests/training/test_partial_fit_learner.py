"""lepton.training.estimators.partial_fit, with scikit-learn."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss as their_log_loss
from sklearn.metrics import mean_squared_error
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from lepton.training.estimators.partial_fit import PartialFitLearner
from lepton_core.domains import Float
from lepton_core.errors import CheckpointError, InputError
from lepton_core.space import Space

RNG = np.random.Generator(np.random.PCG64(0))
X = np.abs(RNG.normal(size=(120, 5)))
Y = np.array(["low", "mid", "top"])[np.digitize(X[:, 0] + X[:, 1], [1.0, 2.0])]
Z = X[:, 0] * 2 - X[:, 1]

ESTIMATORS = {
    "hinge": lambda: SGDClassifier(random_state=0),
    "log": lambda: SGDClassifier(loss="log_loss"),
    "average": lambda: SGDClassifier(loss="log_loss", average=True, random_state=3),
    "perceptron": Perceptron,
    "adam": lambda: MLPClassifier((7,), random_state=1),
    "sgd": lambda: MLPClassifier((7,), solver="sgd", learning_rate="invscaling"),
    "generator": lambda: MLPClassifier((7,), random_state=np.random.RandomState(5)),  # noqa: TID251
    "multinomial": MultinomialNB,
    "gaussian": GaussianNB,
    "regressor": SGDRegressor,
    "network": lambda: MLPRegressor(hidden_layer_sizes=(7,)),
}


class Trained:
    def __init__(self, model, evaluate=None, data=None):
        self.learner = PartialFitLearner(model, evaluate)
        target = Z if hasattr(model, "_estimator_type") or "Regressor" in str(model) else Y
        self.data = self.learner.prepare(data or (X, target))

    def train(self, settings=None, steps=4, seed=0, first=0, rows=20):
        settings = self.learner.start if settings is None else settings

        def batches():
            for i in itertools.count(first):
                yield self.learner.rows(self.data, (np.arange(rows) + i * rows) % len(X))

        with self.learner.seeded(seed):
            return self.learner.train(settings, batches(), steps, seed)


def content(model):
    """All numbers that an estimator holds; the global generator is none of its own."""
    digest = hashlib.sha256()

    def add(value):
        if isinstance(value, np.ndarray):
            digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        elif value is np.random.mtrand._rand:
            pass
        elif isinstance(value, np.random.RandomState):  # noqa: TID251
            add(list(value.get_state()))
        elif isinstance(value, dict):
            add([value[key] for key in sorted(value)])
        elif isinstance(value, bool | int | float | np.generic):
            digest.update(repr(value).encode())
        elif hasattr(value, "__dict__") and "sklearn" in type(value).__module__:
            add(vars(value))

    add(vars(model))
    return digest.hexdigest()


# --- what a step is


def test_training_is_what_partial_fit_by_hand_computes():
    trained, by_hand = (
        Trained(MLPClassifier((7,), random_state=1)),
        MLPClassifier((7,), random_state=1),
    )
    settings = {"learning_rate_init": 0.02, "alpha": 1e-3, "beta_1": 0.8, "batch_size": 20}
    mean = trained.train(settings)
    by_hand.set_params(learning_rate_init=0.02, alpha=1e-3, beta_1=0.8)
    losses = []
    for i in range(4):
        rows = np.arange(20) + i * 20
        by_hand.partial_fit(X[rows], Y[rows], classes=["low", "mid", "top"])
        losses.append(by_hand.loss_)
    assert content(trained.learner.model()) == content(by_hand)
    assert mean == np.mean(losses)


def test_the_estimator_handed_over_is_the_one_that_is_trained():
    model = SGDClassifier(loss="log_loss")
    trained = Trained(model)
    trained.train()
    assert trained.learner.model() is model
    assert model.predict(X).shape == (120,)


def test_one_that_was_fitted_before_goes_on():
    model = SGDClassifier(loss="log_loss", random_state=0).fit(X, Y)
    before = model.t_
    Trained(model).train(steps=1)
    assert model.t_ == before + 20


@pytest.mark.parametrize("setting", ["learning_rate_init", "beta_1", "alpha"])
def test_settings_of_a_network_take_effect_after_its_first_step_too(setting):
    one, other = (Trained(MLPClassifier((7,), random_state=1)) for _ in range(2))
    for trained in (one, other):
        trained.train()
    start = one.learner.start
    one.train(start)
    other.train({**start, setting: start[setting] / 3})
    assert content(one.learner.model()) != content(other.learner.model())
    assert (
        other.learner.model()._optimizer.__dict__.get(setting, start[setting] / 3)
        == start[setting] / 3
    )


def test_a_step_of_a_network_is_one_gradient_step_however_large_the_batch():
    trained = Trained(MLPClassifier((7,), batch_size=10))
    trained.train(steps=3, rows=100)
    assert trained.learner.model()._optimizer.t == 3
    assert trained.learner.model().batch_size == 10  # the user's own, put back


def test_a_setting_that_is_not_active_is_the_users_own_again():
    trained = Trained(SGDClassifier(loss="log_loss", eta0=0.5))
    trained.train({"learning_rate": "constant", "eta0": 0.01, "alpha": 1e-4})
    trained.train({"learning_rate": "optimal", "alpha": 1e-4})
    assert trained.learner.model().eta0 == 0.5


# --- spaces


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_estimator_starts_at_its_own_settings_and_trains(name):
    trained = Trained(ESTIMATORS[name]())
    learner, model = trained.learner, trained.learner.model()
    assert learner.space.validate(learner.start) == learner.start
    own = {n: v for n, v in learner.start.items() if n != "batch_size"}
    assert own == {n: model.get_params()[n] for n in own}
    learner.check_space(learner.space)
    trained.train()
    assert 0 <= learner.evaluate(trained.data) < 30


def test_a_rate_is_tuned_where_it_is_used():
    assert list(PartialFitLearner(SGDClassifier()).space) == [
        *("learning_rate", "eta0", "alpha", "batch_size")
    ]
    assert "alpha" not in PartialFitLearner(Perceptron()).space  # it has no penalty
    assert "momentum" in PartialFitLearner(MLPClassifier(solver="sgd")).space


def test_a_space_names_parameters_of_the_estimator():
    learner = PartialFitLearner(SGDClassifier())
    learner.check_space(Space({"l1_ratio": Float(0, 1), "batch_size": 32}))
    with pytest.raises(
        InputError, match="the space has 'lr', which SGDClassifier does not; it has"
    ):
        learner.check_space(Space({"lr": Float(0, 1)}))


# --- judging


def test_it_is_judged_by_log_loss_by_wrong_classes_or_by_squares():
    for name in ("log", "hinge", "network"):
        trained = Trained(ESTIMATORS[name]())
        trained.train(steps=12)
        model, loss = trained.learner.model(), trained.learner.evaluate(trained.data)
        expected = {
            "log": lambda m: their_log_loss(Y, m.predict_proba(X)),
            "hinge": lambda m: np.mean(m.predict(X) != Y),
            "network": lambda m: mean_squared_error(Z, m.predict(X)),
        }[name](model)
        assert loss == pytest.approx(expected)


def test_one_that_diverged_is_not_judged_by_a_milder_measure():
    model = SGDClassifier(loss="log_loss")
    trained = Trained(model)
    trained.train()
    model.predict_proba = lambda x: np.full((len(x), 3), np.nan)
    assert math.isnan(trained.learner.evaluate(trained.data))


def test_the_users_evaluate_judges_and_may_be_all_that_can():
    assert Trained(SGDClassifier(), lambda model, x, y: len(y)).learner.evaluate((X, Y)) == 120
    clusters = MiniBatchKMeans(3, n_init=1, random_state=0)
    trained = Trained(clusters, lambda model, x: -model.score(x), data=(X,))
    trained.train()
    assert trained.learner.evaluate(trained.data) > 0
    with pytest.raises(InputError, match="no classifier and no regressor"):
        PartialFitLearner(clusters)
    with pytest.raises(InputError, match="evaluate returned None"):
        Trained(SGDClassifier(), lambda *_: None).learner.evaluate((X, Y))


# --- checkpoints


def gone_on(name, folder):
    trained = Trained(ESTIMATORS[name]())
    trained.learner.load(Path(folder) / name)
    return next_interval(trained)


def next_interval(trained):
    start = trained.learner.start
    trained.train({**start, **({"alpha": 0.01} if "alpha" in start else {})}, seed=9, first=4)
    return [content(trained.learner.model()), trained.learner.evaluate(trained.data)]


def test_a_fresh_process_goes_on_bit_for_bit(tmp_path):
    expected = []
    for name, make in ESTIMATORS.items():
        trained = Trained(make())
        trained.train(seed=8)
        (tmp_path / name).mkdir()
        trained.learner.save(tmp_path / name)
        expected.append(next_interval(trained))
    code = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_partial_fit_learner import ESTIMATORS, gone_on\n"
        f"print(json.dumps([gone_on(name, {str(tmp_path)!r}) for name in ESTIMATORS]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def test_from_the_beginning_it_is_as_it_was_handed_over(tmp_path):
    model = MLPClassifier((7,), random_state=1)
    trained = Trained(model)
    trained.learner.save(tmp_path)
    trained.train()
    once = content(model)
    trained.learner.load(tmp_path)
    assert trained.learner.model() is model
    assert not hasattr(model, "coefs_")
    trained.train()
    assert content(model) == once


def test_a_checkpoint_of_another_estimator_or_a_damaged_one_is_refused(tmp_path):
    trained = Trained(SGDClassifier())
    trained.learner.save(tmp_path)
    with pytest.raises(CheckpointError, match="is of a SGDClassifier; found a Perceptron"):
        Trained(Perceptron()).learner.load(tmp_path)
    (tmp_path / "estimator.skops").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained.learner.load(tmp_path)


class Foreign(SGDClassifier):
    """Of no trusted library."""


def test_an_estimator_that_no_checkpoint_can_hold_safely_is_refused_before_any_training():
    with pytest.raises(
        InputError, match=r"checkpoint of Foreign would not be safe: it holds .*Foreign"
    ):
        Trained(Foreign())


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path):
    skops.io.dump(Foreign(), tmp_path / "estimator.skops")
    with pytest.raises(CheckpointError, match="only classes of sklearn"):
        Trained(SGDClassifier()).learner.load(tmp_path)


# --- data


@pytest.mark.parametrize(
    "x", [pd.DataFrame(X, columns=list("abcde")), sparse.coo_array(X), X.tolist()]
)
def test_features_may_be_a_frame_sparse_or_a_list(x):
    trained = Trained(SGDClassifier(loss="log_loss"), data=(x, pd.Series(Y)))
    trained.train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # about columns without names
        assert trained.learner.model().predict(trained.data[0]).shape == (120,)
    assert trained.learner.evaluate(trained.data) > 0


def test_classes_are_those_of_all_data_that_is_prepared():
    learner = PartialFitLearner(SGDClassifier(loss="log_loss"))
    data = learner.prepare((X[Y != "top"], Y[Y != "top"]))
    held_out = learner.prepare((X, Y))
    learner.train(learner.start, iter([data] * 3), 3, seed=0)
    assert list(learner.model().classes_) == ["low", "mid", "top"]
    assert learner.evaluate(held_out) > 0
    with pytest.raises(InputError, match="y has classes that the estimator was not fitted with"):
        learner.prepare((X, np.where(Y == "low", "none", Y)))


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (SGDClassifier(), (X,), "data has 1 parts; expected two"),
        (SGDClassifier(), (X, Y[1:]), "120, 119 rows"),
        (SGDClassifier(), (X, np.array([1, "a", None] * 40, object)), "labels of several types"),
        (SGDClassifier(), (X, np.stack([Y, Y], axis=1)), "y has 2 dimensions"),
        (
            SGDClassifier(early_stopping=True),
            (X, Y),
            "cannot be fitted to the data: early_stopping",
        ),
        (SGDClassifier(alpha=-1.0), (X, Y), "cannot be fitted to the data: .*alpha"),
        (SGDRegressor(), (X, Y), "cannot be fitted to the data: could not convert string"),
    ],
)
def test_data_and_settings_that_cannot_be_fitted_are_refused_before_any_training(model, data, said):
    learner = PartialFitLearner(model)
    with pytest.raises(InputError, match=said):
        learner.prepare(data)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(), MLPClassifier(solver="lbfgs"), SGDClassifier, 3]
)
def test_what_does_not_learn_in_parts_is_refused(model):
    with pytest.raises(InputError, match="has no partial_fit, so it cannot be trained in steps"):
        PartialFitLearner(model)
