"""lepton.training.torch.learner, with PyTorch."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

from lepton.training import under_way
from lepton.training.torch.learner import TorchLearner
from lepton.training.torch.wrapper import WrappedOptimizer
from lepton_core.errors import CheckpointError, InputError

RNG = np.random.Generator(np.random.PCG64(0))
X = RNG.normal(size=(96, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
SETTINGS = {
    "learning_rate": 0.01,
    "momentum": 0.8,
    "weight_decay": 0.01,
    "batch_size": 16,
    "clip_norm": 0.5,
}


def network(seed=1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )


class Trained:
    """A learner, and the program around it: the train step's optimizer, and the batches."""

    def __init__(self, model, base=None, evaluate=None, train_step=None):
        self.learner = TorchLearner(model, train_step or self.train_step, evaluate, base)
        self.data = self.learner.prepare((X, Y))

    def train_step(self, model, x, y):
        loss = F.cross_entropy(model(x), y)
        under_way.method("step", "PyTorch")(model, loss)
        return loss

    def batches(self, rows=16, first=0):
        for i in itertools.count(first):
            yield self.learner.rows(self.data, (np.arange(rows) + i * rows) % len(X))

    def train(self, settings=SETTINGS, steps=3, seed=0, first=0):
        with under_way.under_way(self.learner, settings), self.learner.seeded(seed):
            return self.learner.train(settings, self.batches(first=first), steps, seed)

    def evaluate(self, data=None):
        with under_way.under_way(self.learner, SETTINGS):
            return self.learner.evaluate(data or self.data)

    def weights(self):
        model = self.learner.model()
        named = [*model.named_parameters(), *model.named_buffers()]
        return {name: tensor.detach().clone() for name, tensor in named}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture
def folder(tmp_path):
    def new(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    return new


# --- what a step is


def test_training_is_what_the_same_loop_by_hand_computes():
    trained, by_hand = Trained(network()), network()
    optimizer = torch.optim.AdamW(
        by_hand.parameters(), lr=0.01, betas=(0.8, 0.999), weight_decay=0.01
    )
    losses = []
    with trained.learner.seeded(5):
        for x, y in itertools.islice(trained.batches(), 4):
            optimizer.zero_grad()
            losses.append(loss := F.cross_entropy(by_hand(x), y))
            loss.backward()
            nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
            optimizer.step()
    mean = trained.train(steps=4, seed=5)
    assert same(trained.weights(), by_hand.state_dict())
    assert mean == pytest.approx(sum(map(float, [loss.detach() for loss in losses])) / 4)


@pytest.mark.parametrize("setting", ["learning_rate", "momentum", "weight_decay", "clip_norm"])
def test_each_setting_changes_what_a_step_does(setting):
    one, other = Trained(network()), Trained(network())
    one.train(SETTINGS)
    other.train({**SETTINGS, setting: SETTINGS[setting] / 3})
    assert not same(one.weights(), other.weights())


def test_a_setting_that_a_space_does_not_have_is_the_optimizers_own_again():
    trained = Trained(network())
    trained.train(SETTINGS)
    trained.train({"batch_size": 16})
    (group,) = trained.learner._groups[0].optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.9, 0.999), 0.01)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (torch.optim.SGD, {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.01}),
        (
            lambda p: torch.optim.SGD(p, lr=0.1, nesterov=True, momentum=0.9),
            {"lr": 0.01, "momentum": 0.8, "nesterov": True},
        ),
        (torch.optim.NAdam, {"lr": 0.01, "betas": (0.8, 0.999), "weight_decay": 0.01}),
        (torch.optim.Adagrad, {"lr": 0.01, "weight_decay": 0.01}),
    ],
)
def test_a_base_optimizer_gets_the_settings_that_it_has(base, expected):
    trained = Trained(network(), base)
    before = trained.weights()
    trained.train()
    (group,) = trained.learner._groups[0].optimizer.param_groups
    assert {key: group[key] for key in expected} == expected
    assert not same(trained.weights(), before)


def by_dimension(parameters):
    matrices = [p for p in parameters if p.ndim > 1]
    return torch.optim.AdamW(
        [
            {"params": matrices},
            {"params": [p for p in parameters if p.ndim < 2], "lr": 0.002, "weight_decay": 0.0},
        ],
        lr=0.02,
        weight_decay=0.1,
    )


def test_groups_keep_the_ratio_of_their_rates_and_those_without_decay_stay_without():
    trained = Trained(network(), by_dimension)
    trained.train({**SETTINGS, "learning_rate": 0.05, "weight_decay": 0.03})
    groups = trained.learner._groups[0].optimizer.param_groups
    assert [group["lr"] for group in groups] == [0.05, pytest.approx(0.005)]
    assert [group["weight_decay"] for group in groups] == [0.03, 0.0]


def test_the_space_is_around_the_users_own_settings_and_has_those_that_there_are():
    learner = Trained(network(), lambda p: torch.optim.SGD(p, lr=0.5)).learner
    assert learner.space.validate(learner.start) == learner.start
    assert (learner.start["learning_rate"], learner.start["momentum"]) == (0.5, 0.0)
    assert learner.space.params["learning_rate"].high == 5.0
    assert "momentum" not in Trained(network(), torch.optim.Adagrad).learner.space


# --- a loop written the PyTorch way


class TheTorchWay:
    """A train step that calls a wrapped optimizer."""

    def __init__(self, opt):
        self.opt = opt

    def __call__(self, model, x, y):
        self.opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        self.opt.step()
        return loss


def wrapping(model, make=torch.optim.AdamW):
    opt = WrappedOptimizer(make(list(model.parameters())))
    return Trained(model, [opt], train_step=TheTorchWay(opt)), opt


def test_a_wrapped_optimizer_trains_as_the_step_of_ours_does():
    plain, (wrapped, _) = Trained(network()), wrapping(network())
    assert plain.train() == wrapped.train()
    assert same(plain.weights(), wrapped.weights())
    assert plain.evaluate() == wrapped.evaluate()
    assert same(plain.weights(), wrapped.weights())


def test_outside_of_training_a_wrapped_optimizer_is_the_optimizer():
    model = network()
    trained, opt = wrapping(model, lambda p: torch.optim.SGD(p, lr=0.25))
    before = trained.weights()
    opt.zero_grad()
    F.cross_entropy(model(trained.data[0]), trained.data[1]).backward()
    opt.step()
    assert not same(trained.weights(), before)
    assert opt.param_groups[0]["lr"] == opt.defaults["lr"] == 0.25


def test_two_wrapped_optimizers_keep_the_ratio_of_their_rates():
    model = network()
    slow, fast = (
        WrappedOptimizer(torch.optim.SGD(model[i].parameters(), lr=lr))
        for i, lr in ((0, 0.02), (4, 0.2))
    )

    def train_step(model, x, y):
        loss = F.cross_entropy(model(x), y)
        model.zero_grad()
        loss.backward()
        slow.step()
        fast.step()
        return loss

    trained = Trained(model, [slow, fast], train_step=train_step)
    trained.train({**SETTINGS, "learning_rate": 0.5})
    assert [opt.param_groups[0]["lr"] for opt in (slow, fast)] == [pytest.approx(0.05), 0.5]


def test_a_closure_is_called_and_its_loss_returned():
    model = network()
    opt = WrappedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))

    def train_step(model, x, y):
        def closure():
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return opt.step(closure)

    trained = Trained(model, [opt], train_step=train_step)
    before = trained.weights()
    assert trained.train() > 0
    assert not same(trained.weights(), before)


def test_an_optimizer_wrapped_within_the_train_step_is_refused():
    def train_step(model, x, y):
        opt = WrappedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        return TheTorchWay(opt)(model, x, y)

    with pytest.raises(InputError, match="wrap it before minimize, outside of the train step"):
        Trained(network(), train_step=train_step).train()


# --- judging


@contextmanager
def unchanged(trained):
    """All that the model is, and the generators."""
    modes = [module.training for module in trained.learner.model().modules()]
    gradients = [p.grad for p in trained.learner.model().parameters()]
    before = trained.weights(), torch.get_rng_state(), random.getstate()
    yield
    assert same(trained.weights(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]
    assert [module.training for module in trained.learner.model().modules()] == modes
    assert all(
        p.grad is gradient
        for p, gradient in zip(trained.learner.model().parameters(), gradients, strict=True)
    )


def test_to_judge_changes_nothing_and_gives_the_loss_in_evaluation_mode():
    trained = Trained(network())
    trained.train()
    with unchanged(trained):
        loss = trained.evaluate()
        assert loss == trained.evaluate()
    model = trained.learner.model().eval()
    with torch.no_grad():
        assert loss == pytest.approx(
            float(F.cross_entropy(model(trained.data[0]), trained.data[1]))
        )


def test_a_train_step_that_sets_the_mode_itself_is_judged_all_the_same():
    def train_step(model, x, y):
        model.train()
        return Trained.train_step(None, model, x, y)

    with_it, without = Trained(network(), train_step=train_step), Trained(network())
    with unchanged(with_it):
        assert with_it.evaluate() == without.evaluate()
    assert with_it.learner.model().train().training


def test_a_train_step_may_need_gradients_for_its_loss():
    def train_step(model, x, y):
        x = x.clone().requires_grad_()
        out = model(x)
        (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        loss = F.cross_entropy(out, y) + slope.square().mean()
        under_way.method("step", "PyTorch")(model, loss)
        return loss

    trained = Trained(network(), train_step=train_step)
    trained.train()
    with unchanged(trained):
        assert trained.evaluate() > 0


def test_what_is_judged_in_parts_weighs_by_rows(monkeypatch):
    whole = Trained(network()).evaluate()
    monkeypatch.setattr("lepton.training.torch.learner.CHUNK", 40)  # 40, 40 and 16 rows
    assert Trained(network()).evaluate() == pytest.approx(whole, rel=1e-6)


def test_evaluate_of_the_users_judges_all_the_data_without_gradients():
    def evaluate(model, x, y):
        assert not torch.is_grad_enabled()
        assert not model.training
        return (model(x).argmax(1) != y).float().mean()

    trained = Trained(network(), evaluate=evaluate)
    with unchanged(trained):
        assert 0 <= trained.evaluate() <= 1


def test_modules_that_the_user_set_to_evaluation_stay_so_while_the_others_train():
    seen = []
    model = network()
    model[1].eval()
    model[3].register_forward_hook(lambda *_: seen.append((model[1].training, model[3].training)))
    Trained(model).train(steps=1)
    model.eval()
    Trained(model).train(steps=1)
    assert seen == [(False, True), (True, True)]
    assert not any(module.training for module in model.modules())


# --- checkpoints

KINDS = {
    "AdamW": lambda: Trained(network(seed=2)),
    "groups": lambda: Trained(network(seed=2), by_dimension),
    "wrapped": lambda: wrapping(network(seed=2))[0],
}


def gone_on(kind, folder):
    """What training from a checkpoint gives: a digest of all tensors, and the loss."""
    trained = KINDS[kind]()
    trained.learner.load(Path(folder) / kind)
    return next_interval(trained)


def next_interval(trained):
    trained.train(seed=9, first=5)
    digest = hashlib.sha256()
    for tensor in trained.weights().values():
        digest.update(tensor.numpy().tobytes())
    return [digest.hexdigest(), trained.evaluate()]


def test_a_fresh_process_goes_on_bit_for_bit(tmp_path, folder):
    expected = []
    for kind, make in KINDS.items():
        trained = make()
        trained.train(steps=5, seed=8)
        trained.learner.save(folder(kind))
        expected.append(next_interval(trained))
    code = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_torch_learner import KINDS, gone_on\n"
        f"print(json.dumps([gone_on(kind, {str(tmp_path)!r}) for kind in KINDS]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def test_after_loading_nothing_is_left_of_what_was_trained_in_between(folder):
    trained, beginning, later = Trained(network()), folder("0"), folder("1")
    trained.learner.save(beginning)
    trained.train(seed=1)
    once = trained.weights()
    trained.learner.save(later)
    trained.train({**SETTINGS, "learning_rate": 0.1}, seed=2)
    trained.learner.load(beginning)
    trained.train(seed=1)
    assert same(trained.weights(), once)
    trained.learner.load(later)
    assert same(trained.weights(), once)
    trained.train(seed=3)
    twice = trained.weights()
    trained.learner.load(later)
    trained.train(seed=3)
    assert same(trained.weights(), twice)


class Tied(nn.Module):
    """Tied weights, memory that two tensors share, a constant that is expanded, extra state."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(6, 6, bias=False)
        self.out = nn.Linear(6, 6, bias=False)
        self.out.weight = self.into.weight
        self.register_buffer("both", torch.zeros(6))
        self.register_buffer("some", self.both[:3], persistent=False)
        self.register_buffer("ones", torch.ones(1, 1).expand(4, 6))
        self.calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.both += 1
        return self.out(F.relu(self.into(x))) + self.ones[0] + self.some.sum()

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


def test_tied_and_shared_tensors_and_extra_state_are_kept_as_they_are(folder):
    trained, there = Trained(Tied()), folder("0")
    trained.train(steps=2)
    trained.learner.save(there)
    model = trained.learner.model()
    before = trained.weights()
    trained.train(steps=2)
    assert (model.calls, float(model.some[0])) == (4, 4.0)
    trained.learner.load(there)
    assert (model.calls, float(model.some[0])) == (2, 2.0)
    assert model.out.weight is model.into.weight
    assert same(trained.weights(), before)


def test_bfloat16_is_kept_with_its_moments(folder):
    model, there = nn.Linear(6, 2).to(torch.bfloat16), folder("0")
    trained = Trained(model)
    assert trained.data[0].dtype == torch.bfloat16
    trained.train()
    trained.learner.save(there)
    once = trained.train(seed=4)
    weights = trained.weights()
    trained.learner.load(there)
    assert trained.train(seed=4) == once
    assert same(trained.weights(), weights)


def test_checkpoints_hold_tensors_and_text_and_nothing_else(folder):
    trained, there = Trained(network()), folder("0")
    trained.train()
    trained.learner.save(there)
    assert {file.name for file in there.iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "torch.json",
    }
    assert not any(b"PK\x03\x04" in file.read_bytes() for file in there.iterdir())


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_refused(folder):
    there = folder("0")
    Trained(network()).learner.save(there)
    other = Trained(nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 2)))
    with pytest.raises(CheckpointError, match=r"0.bias is torch.float32 of shape \(8,\) there"):
        other.learner.load(there)
    with pytest.raises(CheckpointError, match="optimizer 0 is AdamW of 1 groups there, SGD"):
        Trained(network(), torch.optim.SGD).learner.load(there)
    (there / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Trained(network()).learner.load(there)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Trained(network()).learner.load(there / "nowhere")


def test_what_no_checkpoint_can_hold_is_refused_by_name(folder):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"open": object()}

    with pytest.raises(InputError, match=r"get_extra_state.* expected what JSON can hold"):
        Trained(Odd(6, 2)).learner.save(folder("0"))


# --- generators


def test_global_generators_are_keyed_and_put_back():
    learner = Trained(network()).learner

    def draws(seed):
        with learner.seeded(seed):
            return torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert draws(3) == draws(3) != draws(4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


# --- data


def test_data_of_all_kinds_becomes_what_the_model_takes():
    learner = Trained(network()).learner
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
    prepared = learner.prepare(
        (
            X[:2],
            frame,
            frame["b"],
            [[1.0], [2.0]],
            np.zeros((2, 3), np.uint8),
            np.array([1, 2], np.uint8),
            np.array([True, False]),
            torch.zeros(2, dtype=torch.float64),
        )
    )
    floats, whole = torch.float32, torch.int64
    assert [part.dtype for part in prepared] == [
        *(floats, floats, whole, floats),
        *(torch.uint8, whole, torch.bool, torch.float64),
    ]


def test_parts_of_different_length_are_refused():
    with pytest.raises(InputError, match="have 96, 95 rows"):
        Trained(network()).learner.prepare((X, Y[1:]))
    with pytest.raises(InputError, match="expected a tuple of arrays"):
        Trained(network()).learner.prepare(X)


def test_read_only_and_reversed_arrays_are_copied():
    learner = Trained(network()).learner
    x = np.arange(6.0).reshape(2, 3)
    x.setflags(write=False)
    one, other = learner.prepare((x, x[::-1].astype(">f8")))
    assert one.tolist() == other.flip(0).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (np.array(["a", "b"]), "type numpy.ndarray, is nothing that PyTorch can train on"),
        (pd.Series(["a", "b"]), "pandas.*encode texts and categories first"),
        (3.0, "expected rows"),
    ],
)
def test_data_that_is_no_numbers_is_refused(part, said):
    with pytest.raises(InputError, match=said):
        Trained(network()).learner.prepare((part,))


# --- models of other kinds


def test_a_compiled_module_trains_and_goes_on(folder):
    model = torch.compile(network(), backend="eager")
    trained, plain, there = Trained(model), Trained(network()), folder("0")
    assert trained.train() == plain.train()
    trained.learner.save(there)
    assert trained.evaluate() == plain.evaluate()
    once = trained.train(seed=5)
    trained.learner.load(there)
    assert trained.train(seed=5) == once


def test_a_lazy_module_is_built_by_its_first_rows():
    model = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(2))
    trained = Trained(model, torch.optim.SGD)
    assert model[0].weight.shape == (8, 6)
    assert float(model[1].running_mean.abs().sum()) == 0
    trained.train()
    assert trained.evaluate() > 0


def test_a_keras_model_on_the_torch_backend_trains_and_goes_on(folder):
    import keras

    layers = keras.layers

    def build():
        return keras.Sequential(
            [
                layers.Dense(8, "relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.4),
                layers.Dense(2),
            ]
        )

    def train_step(model, x, y):
        loss = F.cross_entropy(model(x, training=True), y)
        under_way.method("step", "PyTorch")(model, loss)
        return loss

    trained, there = Trained(build(), train_step=train_step), folder("0")
    trained.train()
    with unchanged(trained):
        loss = trained.evaluate()
        assert loss == trained.evaluate()
    out = trained.learner.model()(trained.data[0], training=False)
    assert loss == pytest.approx(float(F.cross_entropy(out, trained.data[1]).detach()))
    trained.learner.save(there)
    once = trained.train(seed=5)
    another = Trained(build(), train_step=train_step)
    another.learner.load(there)
    assert another.train(seed=5) == once


# --- mistakes


def detached(model, x, y):
    loss = F.cross_entropy(model(x), y).detach()
    under_way.method("step", "PyTorch")(model, loss)
    return loss


def of_another_model(model, x, y):
    other = network()
    loss = F.cross_entropy(other(x), y)
    under_way.method("step", "PyTorch")(other, loss)
    return loss


def of_many_numbers(model, x, y):
    loss = F.cross_entropy(model(x), y, reduction="none")
    under_way.method("step", "PyTorch")(model, loss)
    return loss


def without_update(model, x, y):
    return F.cross_entropy(model(x), y)


def without_loss(model, x, y):
    Trained.train_step(None, model, x, y)


@pytest.mark.parametrize(
    ("train_step", "said"),
    [
        (detached, "the loss has no gradients"),
        (of_another_model, "got another model"),
        (of_many_numbers, "expected a tensor of one number"),
        (without_update, r"updated nothing: call optimizer.step\(model, loss\)"),
        (without_loss, "train_step returned None"),
    ],
)
def test_a_train_step_that_cannot_train_is_refused_at_its_first_call(train_step, said):
    with pytest.raises(InputError, match=said):
        Trained(network(), train_step=train_step).train(steps=1)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (lambda p: "adam", "expected a torch optimizer"),
        (torch.optim.LBFGS, "needs a closure"),
        (lambda p: torch.optim.SGD([nn.Parameter(torch.zeros(1))]), "not in the model"),
        (torch.optim.SGD([nn.Parameter(torch.zeros(1))]), r"made already goes into optimizer.wrap"),
    ],
)
def test_a_base_optimizer_that_cannot_be_used_is_refused(base, said):
    with pytest.raises(InputError, match=said):
        Trained(network(), base)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(InputError, match="no parameters that gradients update"):
        Trained(nn.ReLU())
