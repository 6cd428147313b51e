"""Tuning while a model trains, against training with constant settings.

Each problem is a small network (PyTorch, AdamW) on data that is split into three: it trains on the
first part, checkpoints are judged and chosen on the second, and the third, which nothing looks at,
says what the choice is worth. All methods take the same number of gradient steps, except that the
defaults alone train one model where the others train `--members`.

Settings of Lepton were chosen on `DEVELOPMENT`; `--report` is what they were not chosen on.

    python benchmarks/population.py --seeds 3 --rounds 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn import datasets
from torch import nn

from lepton_core.asking import ask, begin, tell
from lepton_core.declaration import Budget, Declaration, Portfolio, Training
from lepton_core.events import Failure
from lepton_core.proposers.base import Ask
from lepton_core.proposers.sobol import Sobol
from lepton_core.rng import rng
from lepton_core.space import Choice, Float, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DEVELOPMENT = ("cancer", "diabetes", "classes", "noisy", "shapes", "friedman")
REPORT = ("digits",)
IMAGES = ("shapes", "digits")
HIDDEN = 64
SPACE = Space(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.5, 0.99),
        "weight_decay": Float(1e-6, 1.0, log=True),
        "batch_size": Choice([16, 32, 64, 128, 256]),
        "clip": Float(0.1, 10.0, log=True),
    }
)
DEFAULTS = {  # AdamW's own; a batch of 32 is Keras's, and 10 clips next to nothing
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "weight_decay": 1e-2,
    "batch_size": 32,
    "clip": 10.0,
}
PROPOSERS = ("ga", "pso", "rl")

Choices = Sequence[tuple[Mapping[str, Any], int | None]]
"""For each member its settings, and the trial whose checkpoint it goes on from."""
Method = Generator[Choices, Sequence[float], None]
"""Yields a round's choices and is sent their held-out losses; not a number for a failure."""


@dataclass(frozen=True)
class Problem:
    """Data in three parts, and what is minimised.

    Attributes:
        parts: Training, held-out and test data: features and targets.
        outputs: Of the network.
    """

    parts: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    outputs: int
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@cache
def data(name: str) -> tuple[Array, Array]:
    """Features and targets; whole numbers are classes."""
    if name in ("classes", "noisy"):
        x, y = datasets.make_classification(
            2000,
            30,
            n_informative=12,
            n_classes=6,
            n_clusters_per_class=2,
            class_sep=1.5,
            flip_y=0.1 if name == "noisy" else 0.0,
            random_state=0,
        )
    elif name == "friedman":
        x, y = datasets.make_friedman1(1500, noise=0.5, random_state=0)
    elif name == "shapes":
        x, y = shapes(1800)
    else:
        load = {
            "cancer": datasets.load_breast_cancer,
            "diabetes": datasets.load_diabetes,
            "digits": datasets.load_digits,
        }[name]
        x, y = load(return_X_y=True)
    return x, y


def shapes(rows: int, side: int = 12) -> tuple[Array, Array]:
    """Images of a square, a disc, a cross, a ring, bars: anywhere, of any size, under noise."""
    generator = rng(0, "shapes")
    grid = np.arange(side)
    images, labels = np.zeros((rows, side, side)), generator.integers(6, size=rows)
    for i, label in enumerate(labels):
        r = generator.uniform(3, 4.5)
        a, b = side / 2 - 0.5 + generator.uniform(-1, 1, size=2)
        dx, dy = np.abs(grid[:, None] - a), np.abs(grid[None, :] - b)
        far = np.hypot(dx, dy)
        drawn = (
            np.maximum(dx, dy) <= r * 0.8,
            far <= r,
            (np.minimum(dx, dy) < 1) & (np.maximum(dx, dy) <= r),
            (far <= r) & (far >= r - 1.2),
            (dx <= r) & (dy < 1),
            (dy <= r) & (dx < 1),
        )[label]
        images[i] = drawn
    images += 0.5 * generator.standard_normal(images.shape)
    return images.reshape(rows, -1), labels


def problem(name: str, seed: int) -> Problem:
    """The problem with rows dealt to the three parts by the seed: 60, 20 and 20 in 100."""
    x, y = data(name)
    rows = rng(seed, "rows", name).permutation(len(y))
    cuts = len(y) * 6 // 10, len(y) * 8 // 10
    parts = np.split(rows, cuts)
    first = parts[0]
    # A pixel that is dark in all training images has no spread of its own to be divided by.
    spread = x[first].std() if name in IMAGES else x[first].std(axis=0)
    x = (x - x[first].mean(axis=0)) / (spread + 1e-6)
    inputs = torch.tensor(x, dtype=torch.float32)
    if y.dtype.kind == "f":
        targets = torch.tensor((y - y[first].mean()) / y[first].std(), dtype=torch.float32)
        outputs, loss = 1, squared_error
    else:
        targets = torch.tensor(y, dtype=torch.int64)
        outputs, loss = int(y.max()) + 1, nn.functional.cross_entropy
    return Problem(tuple((inputs[p], targets[p]) for p in parts), outputs, loss)


def squared_error(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean squared error of one output."""
    return nn.functional.mse_loss(found[:, 0], wanted)


@dataclass
class Checkpoint:
    """Weights, the optimizer's slots, the steps taken."""

    weights: list[torch.Tensor]
    slots: dict[str, Any] | None
    steps: int


class Trainer:
    """Trains a member for an interval, from a checkpoint to a checkpoint."""

    def __init__(self, on: Problem, seed: int) -> None:
        self.on, self.seed = on, seed
        width = on.parts[0][0].shape[1]
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, on.outputs))
        self.params = list(self.net.parameters())
        self.beginning = Checkpoint([p.detach().clone() for p in self.params], None, 0)

    def train(self, begin: Checkpoint, settings: Mapping[str, Any], steps: int) -> Checkpoint:
        """Some steps on."""
        with torch.no_grad():
            for p, w in zip(self.params, begin.weights, strict=True):
                p.copy_(w)
        optimizer = torch.optim.AdamW(self.params, fused=True)
        if begin.slots is not None:
            optimizer.load_state_dict(begin.slots)
        for group in optimizer.param_groups:
            group["lr"] = settings["learning_rate"]
            group["betas"] = (settings["momentum"], 0.999)
            group["weight_decay"] = settings["weight_decay"]
        x, y = self.on.parts[0]
        size = min(settings["batch_size"], len(y))
        generator = rng(self.seed, begin.steps, "batches")
        order = torch.zeros(0, dtype=torch.int64)
        for _ in range(steps):
            if len(order) < size:
                order = torch.from_numpy(generator.permutation(len(y)))
            rows, order = order[:size], order[size:]
            optimizer.zero_grad()
            self.on.loss(self.net(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(self.params, settings["clip"])
            optimizer.step()
        state = optimizer.state_dict()
        slots = {
            **state,
            "state": {k: {n: t.clone() for n, t in v.items()} for k, v in state["state"].items()},
        }
        return Checkpoint([p.detach().clone() for p in self.params], slots, begin.steps + steps)

    def judge(self, at: Checkpoint, part: int) -> float:
        """The loss of a checkpoint on a part of the data."""
        with torch.no_grad():
            for p, w in zip(self.params, at.weights, strict=True):
                p.copy_(w)
            x, y = self.on.parts[part]
            return float(self.on.loss(self.net(x), y))


def lepton(seed: int, members: int, training: Training) -> Method:
    """The population of `lepton_core.population`."""
    declared = Declaration(
        name="population",
        space=SPACE,
        seed=seed,
        generation=members,
        portfolio=Portfolio(proposers=PROPOSERS),
        start_from=(DEFAULTS,),
        training=training,
    )
    at, budget = begin(declared), Budget(trials=members * training.rounds)
    while True:
        at, proposals = ask(at, members, budget)
        if not proposals:
            return
        losses = yield [(p.params, p.origin["from"]) for p in proposals]
        for proposal, loss in zip(proposals, losses, strict=True):
            failed = Failure(kind="nan", reason="the loss is not finite")
            at = tell(at, proposal.number, loss if isfinite(loss) else failed)


def first(seed: int, members: int) -> list[Mapping[str, Any]]:
    """The defaults, and Sobol points."""
    sobol = Sobol()
    asked = Ask(space=SPACE, seed=seed, generation=0, slots=tuple(range(1, members)))
    return [DEFAULTS, *(c.params for c in sobol.suggest(sobol.init(SPACE), asked))]


def constant(settings: Sequence[Mapping[str, Any]], rounds: int) -> Method:
    """Each member keeps its settings."""
    n = len(settings)
    for done in range(rounds):
        yield [(one, (done - 1) * n + i if done else None) for i, one in enumerate(settings)]


def pbt(seed: int, members: int, rounds: int) -> Method:
    """Truncation selection, and perturbation by 0.8 or 1.2 (Jaderberg et al. 2017, section 4)."""
    now: list[tuple[Mapping[str, Any], int | None]] = [(s, None) for s in first(seed, members)]
    cut = max(1, members // 4)
    for done in range(rounds):
        losses = yield now
        order = sorted(range(members), key=lambda i: losses[i] if isfinite(losses[i]) else inf)
        settings = [one for one, _ in now]
        now = [(one, done * members + i) for i, one in enumerate(settings)]
        for i in order[-cut:]:
            generator = rng(seed, done, i, "pbt")
            best = order[int(generator.integers(cut))]
            now[i] = (_perturbed(settings[best], generator), done * members + best)


def _perturbed(settings: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    found = {}
    for name, domain in SPACE.params.items():
        value: Any = settings[name]
        up = generator.random() < 0.5
        if isinstance(domain, Choice):
            at = domain.choices.index(value) + (1 if up else -1)
            value = domain.choices[min(len(domain.choices) - 1, max(0, at))]
        elif isinstance(domain, Float):
            value = value * (1.2 if up else 0.8)
            if name == "momentum":
                value = 1 - (1 - settings[name]) * (1.2 if up else 0.8)
            value = min(domain.high, max(domain.low, value))
        found[name] = value
    return found


def run(name: str, seed: int, method: Method, training: Training) -> tuple[float, float]:
    """The best held-out loss of a run, and that checkpoint's test loss."""
    trainer = Trainer(problem(name, seed), seed)
    done: list[Checkpoint] = []
    best, test = inf, inf
    choices = next(method)
    for n in range(training.rounds):
        steps = training.steps_before(n + 1) - training.steps_before(n)
        losses = []
        for settings, start in choices:
            end = trainer.train(
                trainer.beginning if start is None else done[start], settings, steps
            )
            losses.append(trainer.judge(end, 1))
            done.append(end)
            if losses[-1] < best:
                best, test = losses[-1], trainer.judge(end, 2)
        if n + 1 < training.rounds:
            choices = method.send(losses)
    return best, test


def methods(seed: int, members: int, training: Training) -> dict[str, Callable[[], Method]]:
    """By name."""
    return {
        "lepton": lambda: lepton(seed, members, training),
        "random search": lambda: constant(first(seed, members), training.rounds),
        "defaults": lambda: constant([DEFAULTS], training.rounds),
        "classic PBT": lambda: pbt(seed, members, training.rounds),
    }


def compare(args: argparse.Namespace) -> dict[tuple[str, int], dict[str, tuple[float, float]]]:
    """For each problem and seed, each method's best held-out loss and what it is worth."""
    training = Training(steps=args.steps, rounds=args.rounds)
    found = {}
    for name in args.problems:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            made = methods(seed, args.members, training)
            found[name, seed] = {m: run(name, seed, make(), training) for m, make in made.items()}
            print(f"{name}, seed {seed}", file=sys.stderr)
    return found


def table(found: Mapping[tuple[str, int], Mapping[str, tuple[float, float]]]) -> str:
    """Means by problem, held-out and test loss, and the mean ranks among the methods."""
    problems = list(dict.fromkeys(name for name, _ in found))
    names = list(next(iter(found.values())))
    lines = [
        f"{'held-out | test loss':20}" + "".join(f"{p:>18}" for p in problems) + f"{'rank':>14}"
    ]
    for method in names:
        cells = [
            [mean(one[method][k] for (p, _), one in found.items() if p == problem) for k in (0, 1)]
            for problem in problems
        ]
        ranks = [
            mean(
                1 + sum(other[k] < one[method][k] for other in one.values())
                for one in found.values()
            )
            for k in (0, 1)
        ]
        shown = "".join(f"{held:9.4f} |{test:7.4f}" for held, test in cells)
        lines.append(f"{method:20}{shown}{ranks[0]:7.2f} |{ranks[1]:5.2f}")
    return "\n".join(lines)


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--problems", nargs="+", choices=(*DEVELOPMENT, *REPORT))
    parser.add_argument("--report", action="store_true", help="digits, which nothing was chosen on")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000, help="gradient steps of each member")
    parser.add_argument("--members", type=int, default=8)
    args = parser.parse_args()
    args.problems = args.problems or (REPORT if args.report else DEVELOPMENT)
    torch.set_num_threads(1)
    print(table(compare(args)))


if __name__ == "__main__":
    main()
