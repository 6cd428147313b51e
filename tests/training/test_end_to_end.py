"""Optimizer.minimize(steps=...) with PyTorch, scikit-learn and XGBoost, from end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xgboost
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

import lepton
from lepton_core.errors import CheckpointError, InputError, SweepError

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(200, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
SHORT = {"steps": 12, "population": 4, "interval": 4, "data": (X, Y), "progress": False}


def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return torch.nn.Sequential(
            torch.nn.Linear(6, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(8, 2),
        )


def by_step(optimizer, workers=1):
    model = module()

    def train_step(model, x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.step(model, loss)
        return loss

    optimizer.minimize(train_step, model=model, workers=workers, **SHORT)


def by_wrapping(optimizer, workers=1):
    model = module()
    opt = optimizer.wrap(torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01))

    def train_step(model, x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    optimizer.minimize(train_step, model=model, workers=workers, **SHORT)


def by_partial_fit(optimizer, workers=1):
    model = SGDClassifier(loss="log_loss")
    optimizer.minimize(model=model, workers=workers, **SHORT)


def by_boosting(optimizer, workers=1):
    model = xgboost.XGBClassifier(n_jobs=1)
    optimizer.minimize(model=model, workers=workers, **SHORT)


def schedule(train, workers=1):
    with lepton.Optimizer(seed=3) as optimizer:
        train(optimizer, workers)
        assert len(optimizer.trials) == 12
        assert optimizer.best_loss < np.log(2)
        return optimizer.schedule


@pytest.mark.parametrize("train", [by_step, by_wrapping, by_partial_fit, by_boosting])
def test_a_population_trains_and_comes_out_the_same_again(train):
    assert schedule(train).equals(schedule(train))


@pytest.mark.parametrize("train", [by_wrapping, by_boosting])
def test_workers_come_to_the_same_end(train):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        assert schedule(train, workers=2).equals(schedule(train))
    finally:
        torch.set_num_threads(threads)


def test_a_space_is_checked_before_anything_is_trained():
    model = SGDClassifier()
    with pytest.raises(InputError, match="the space has 'lr', which SGDClassifier does not"):
        lepton.Optimizer({"lr": lepton.Float(0, 1)}).minimize(model=model, **SHORT)
    assert not hasattr(model, "coef_")


def test_a_wrapped_optimizer_and_a_base_optimizer_are_one_too_many():
    optimizer, model = lepton.Optimizer(), module()
    optimizer.wrap(torch.optim.SGD(model.parameters()))
    with pytest.raises(InputError, match="expected one of them"):
        optimizer.minimize(print, model=model, base_optimizer=torch.optim.SGD, **SHORT)


def test_a_setting_that_nothing_heeds_is_named(caplog):
    model = module()
    optimizer = lepton.Optimizer(
        {
            "lr": lepton.Float(0.001, 0.1),
            "smoothing": lepton.Float(0, 0.2),
            "momentum": lepton.Float(0.5, 0.9),
        }
    )

    def train_step(model, x, y):
        smoothing = optimizer.settings["smoothing"]
        loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
        optimizer.step(model, loss)
        return loss

    optimizer.minimize(train_step, model=model, **SHORT)
    (said,) = caplog.messages
    assert said.startswith("'lr' of the space seems to have no effect")
    assert "learning_rate" in said


def linear():
    return SGDClassifier(loss="log_loss")


def network():
    return MLPClassifier((4,), random_state=1)


def boosting():
    return xgboost.XGBClassifier(n_jobs=1)


@pytest.mark.parametrize(
    ("make", "workers"), [(linear, 1), (linear, 2), (network, 1), (boosting, 1), (module, 1)]
)
def test_a_training_goes_on_with_the_model_that_it_trained_as_with_a_new_one(make, workers):
    def losses(*models, workers=1):
        optimizer = lepton.Optimizer()

        def train_step(model, x, y):
            loss = F.cross_entropy(model(x), y)
            optimizer.step(model, loss)
            return loss

        step = train_step if isinstance(models[0], torch.nn.Module) else None
        rhythm = {**SHORT, "interval": 2}
        optimizer.minimize(step, model=models[0], **{**rhythm, "steps": 4})
        optimizer.minimize(step, model=models[1], workers=workers, **{**rhythm, "steps": 8})
        return optimizer.trials.value.tolist()

    same = make()
    assert losses(same, same, workers=workers) == losses(make(), make())


def test_other_data_and_another_judge_are_no_way_to_go_on():
    optimizer = lepton.Optimizer()
    given = {**SHORT, "model": SGDClassifier(loss="log_loss")}
    optimizer.minimize(**given)
    more = {**given, "steps": 16, "model": SGDClassifier(loss="log_loss")}
    with pytest.raises(CheckpointError, match="the data holds other values"):
        optimizer.minimize(**{**more, "data": (X[::-1], Y)})
    with pytest.raises(CheckpointError, match="this training was judged by the train step"):
        optimizer.minimize(**more, evaluate=lambda model, x, y: 1 - model.score(x, y))
    optimizer.minimize(**more)
    assert len(optimizer.trials) == 16


def test_a_target_in_one_column_is_a_target():
    y = X @ np.arange(6)
    losses = []
    for target in (y, y[:, None]):
        optimizer = lepton.Optimizer()
        optimizer.minimize(**{**SHORT, "data": (X, target)}, model=SGDRegressor(random_state=0))
        losses.append(optimizer.best_loss)
    assert losses[0] == losses[1]


def test_a_round_that_fails_as_a_whole_ends_the_training_and_it_goes_on_once_mended():
    optimizer, model, broken = lepton.Optimizer(), module(), [False]

    def train_step(model, x, y):
        if broken[0]:
            raise ValueError("a bug")
        loss = F.cross_entropy(model(x), y)
        optimizer.step(model, loss)
        return loss

    def evaluate(model, x, y):
        judged.append(x)
        broken[0] = len(judged) == 5  # once in the rehearsal, and then of four members
        return F.cross_entropy(model(x), y)

    judged: list = []
    with pytest.raises(SweepError, match=r"all members failed in round 1 .*a bug"):
        optimizer.minimize(train_step, model=model, evaluate=evaluate, **SHORT)
    assert len(optimizer.trials) == 8
    broken[0] = False
    optimizer.minimize(train_step, model=model, evaluate=evaluate, **SHORT)
    assert list(optimizer.trials["failure"].isna()) == [True] * 4 + [False] * 4 + [True] * 4
