"""Mistakes and mishaps around a training: what they say, what they cost, what is left of them."""

from __future__ import annotations

import resource
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)
from xgboost import XGBClassifier, XGBRegressor

import lepton
from lepton.training.arguments import declared, parse
from lepton.training.course import Course
from lepton_core import asking
from lepton_core.declaration import Budget
from lepton_core.errors import CheckpointError, InputError, RecordError
from lepton_tasks.checkpoints import Checkpoints

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(100, 6))
Y = (X[:, 0] > 0).astype(int)
SHORT = {"steps": 8, "population": 2, "interval": 2, "data": (X, Y), "progress": False}


def step_of(optimizer, meanwhile=lambda: None):
    def train_step(model, x, y):
        loss = F.cross_entropy(model(x), y.long())
        meanwhile()
        optimizer.step(model, loss)
        return loss

    return train_step


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return torch.nn.Linear(6, 2)


@pytest.fixture
def no_room():
    """A call after which no file can be written of more than some bytes, and one that ends it."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, most[1]))

    def make_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, most)

    yield fill, make_room
    make_room()
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_ends_the_training_and_is_no_failure_of_a_member(model, no_room):
    fill, make_room = no_room
    optimizer, undisturbed, steps = lepton.Optimizer(), lepton.Optimizer(), []

    def meanwhile():
        steps.append(1)
        if len(steps) == 10:
            fill()

    with pytest.raises(CheckpointError, match=r"cannot be written into .*File too large"):
        optimizer.minimize(step_of(optimizer, meanwhile), model=model, **SHORT)
    make_room()
    assert 0 < len(optimizer.trials) < 8
    assert optimizer.trials.failure.isna().all()
    optimizer.minimize(step_of(optimizer), model=model, **SHORT)
    undisturbed.minimize(step_of(undisturbed), model=torch.nn.Linear(6, 2), **SHORT)
    assert len(optimizer.trials) == len(undisturbed.trials) == 8


def test_a_full_disk_is_said_before_any_trial_if_the_start_cannot_be_kept(model, no_room):
    optimizer = lepton.Optimizer()
    no_room[0]()
    with pytest.raises(CheckpointError, match="See that there is room, and call it again"):
        optimizer.minimize(step_of(optimizer), model=model, **SHORT)
    no_room[1]()
    assert len(optimizer.minimize(step_of(optimizer), model=model, **SHORT).trials) == 8


def test_a_damaged_checkpoint_is_no_failure_of_the_members_that_go_on_from_it(model):
    optimizer = lepton.Optimizer()
    optimizer.minimize(step_of(optimizer), model=model, **SHORT)
    for file in optimizer._journal.checkpoints.folder.glob("[0-9]*/model.safetensors"):
        file.write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read"):
        optimizer.minimize(step_of(optimizer), model=model, **{**SHORT, "steps": 10})
    assert optimizer.trials.failure.isna().all()


def test_what_could_not_begin_binds_nothing(model):
    optimizer, lock = lepton.Optimizer(), threading.Lock()
    with pytest.raises(InputError, match="worker processes, because of its variable 'meanwhile'"):
        optimizer.minimize(step_of(optimizer, lock.locked), model=model, workers=2, **SHORT)
    optimizer.minimize(step_of(optimizer), model=model, **{**SHORT, "population": 3})
    assert len(optimizer.trials) == 12


def test_a_loss_of_ones_own_is_rehearsed_on_all_that_is_held_out():
    def loss(model, x, y):  # scikit-learn's wants every class
        return log_loss(y, model.predict_proba(x))

    order = np.argsort(Y)
    held_out = (X[order], Y[order])  # the first rows are of one class
    optimizer = lepton.Optimizer().minimize(
        model=SGDClassifier(loss="log_loss"), evaluate=loss, validation=held_out, **SHORT
    )
    assert optimizer.trials.failure.isna().all()


@pytest.mark.parametrize(
    "kind", [torch.bfloat16, torch.float32], ids=["of no NumPy type", "with gradients"]
)
def test_a_target_may_be_any_tensor(model, kind):
    y = torch.as_tensor(Y).to(kind).requires_grad_()
    optimizer = lepton.Optimizer()
    optimizer.minimize(step_of(optimizer), model=model, **{**SHORT, "data": (X, y)})
    assert len(optimizer.trials) == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stepz": 3}, r"minimize\(\) has no 'stepz'; to train there are \[steps, model"),
        ({"validation": (X,)}, "validation has 1 parts, data has 2; expected as many"),
    ],
    ids=["name", "parts"],
)
def test_wrong_arguments_are_named(model, given, said):
    optimizer = lepton.Optimizer()
    with pytest.raises(InputError, match=said):
        optimizer.minimize(step_of(optimizer), model=model, **{**SHORT, **given})


def test_a_loss_is_not_maximized(model):
    optimizer = lepton.Optimizer()
    with pytest.raises(InputError, match="maximize is to train, and evaluate is missing"):
        optimizer.maximize(step_of(optimizer), model=model, **SHORT)


def test_a_number_of_trials_is_not_left_unheeded(model):
    optimizer = lepton.Optimizer(trials=4)
    with pytest.raises(InputError, match="made with trials=4, and is to train; expected steps"):
        optimizer.minimize(step_of(optimizer), model=model, **SHORT)


def test_an_optimizer_that_never_began_is_closed_without_a_word():
    lepton.Optimizer().close()
    with pytest.raises(ZeroDivisionError), lepton.Optimizer():
        raise ZeroDivisionError


def begun(model):
    return lepton.Optimizer().minimize(model=model, **SHORT)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (XGBRegressor(n_jobs=1), "objective of XGBRegressor is 'reg:squarederror'; this training"),
        (XGBClassifier(n_jobs=1, max_bin=8), "max_bin of XGBClassifier is 8; .*begun with None"),
    ],
    ids=["class", "parameter"],
)
def test_a_boosting_does_not_go_on_with_another_estimator(then, said):
    optimizer = begun(XGBClassifier(n_jobs=1))
    with pytest.raises(CheckpointError, match=said):
        optimizer.minimize(model=then, **{**SHORT, "steps": 10})
    assert len(optimizer.trials) == 8


def test_what_is_tuned_may_be_written_otherwise_when_a_boosting_goes_on():
    optimizer, then = begun(XGBClassifier(n_jobs=1)), XGBClassifier(learning_rate=0.5, device="cpu")
    optimizer.minimize(model=then, **{**SHORT, "steps": 10})
    assert len(optimizer.trials) == 10


def test_data_of_other_columns_spends_no_trials():
    optimizer, then = begun(SGDClassifier(loss="log_loss")), SGDClassifier(loss="log_loss")
    with pytest.raises(
        CheckpointError, match=r"the data has row shapes \[\[5\], \[\]\]; this training began with"
    ):
        optimizer.minimize(model=then, **{**SHORT, "steps": 10, "data": (X[:, :5], Y)})
    assert len(optimizer.trials) == 8


@pytest.mark.parametrize(
    "portfolio", [{"proposers": ["sobol"], "judge": False}, {"proposers": ["ga", "local"]}]
)
def test_who_cannot_propose_for_a_population_is_named(model, portfolio):
    optimizer = lepton.Optimizer(portfolio=portfolio)
    with pytest.raises(
        InputError, match=r"found the proposer .*; expected some of ga, pso, rl, ra"
    ):
        optimizer.minimize(step_of(optimizer), model=model, **SHORT)


@pytest.mark.parametrize("origin", [{"from": "../elsewhere"}, {"from": 5}, {}])
def test_an_altered_origin_of_an_open_trial_is_refused_before_anything_is_read(tmp_path, origin):
    wanted = parse(None, steps=8, model=SGDClassifier(), data=(X, Y))
    content = {"name": "demo", "generation": 2}
    learner = wanted.task.learner()
    at = asking.begin(declared(content, wanted, learner))
    at, (first, *others) = asking.ask(at, 2, Budget(trials=4))
    course = Course(wanted.task, learner, at, Checkpoints(tmp_path))
    course.asked(at)
    with pytest.raises(RecordError, match=r"goes on from .*; expected null"):
        course.asked(replace(at, proposals=(replace(first, origin=origin), *others)))
