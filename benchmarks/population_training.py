"""What populations are measured on: small networks that NumPy trains, and data in three parts.

A network of one hidden layer trains by AdamW as PyTorch does it, in float32, but several times
faster: at this size calling a framework takes longer than computing. `--check` of `population.py`
compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import datasets

from lepton_core.rng import rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

DEVELOPMENT = (
    "cancer",
    "diabetes",
    "classes",
    "noisy",
    "shapes",
    "friedman",
    "hastie",
    "quantiles",
    "surface",
    "crowded",
)
REPORT = ("digits",)
IMAGES = ("shapes", "digits")
HIDDEN = 64
SECOND_MOMENT, EPSILON = 0.999, 1e-8  # AdamW's beta 2, and what keeps it from dividing by 0


@dataclass(frozen=True)
class Problem:
    """Data in three parts.

    Attributes:
        parts: Training, held-out and test data: features ``(rows, width)`` and targets
            ``(rows,)``, which are whole numbers where they are classes.
        outputs: Of the network.
    """

    parts: tuple[tuple[Array, Array], ...]
    outputs: int

    @property
    def regression(self) -> bool:
        """Whether the loss is the mean squared error; if not, it is the cross-entropy."""
        return bool(self.parts[0][1].dtype.kind == "f")


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
    elif name == "crowded":
        x, y = datasets.make_classification(
            4000, 40, n_informative=20, n_classes=10, n_clusters_per_class=3, random_state=0
        )
    elif name == "friedman":
        x, y = datasets.make_friedman1(1500, noise=0.5, random_state=0)
    elif name == "surface":
        x, y = datasets.make_friedman1(4000, n_features=5, noise=0.1, random_state=0)
    elif name == "hastie":
        x, y = datasets.make_hastie_10_2(2500, random_state=0)
        y = (y > 0).astype(int)
    elif name == "quantiles":
        x, y = datasets.make_gaussian_quantiles(
            n_samples=2500, n_features=6, n_classes=4, random_state=0
        )
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
    parts = np.split(rows, (len(y) * 6 // 10, len(y) * 8 // 10))
    first = parts[0]
    # A pixel that is dark in all training images has no spread of its own to be divided by.
    spread = x[first].std() if name in IMAGES else x[first].std(axis=0)
    x = ((x - x[first].mean(axis=0)) / (spread + 1e-6)).astype(np.float32)
    if y.dtype.kind == "f":
        y = ((y - y[first].mean()) / y[first].std()).astype(np.float32)
    outputs = 1 if y.dtype.kind == "f" else int(y.max()) + 1
    return Problem(tuple((x[p], y[p]) for p in parts), outputs)


@dataclass(frozen=True)
class Checkpoint:
    """Weights, AdamW's two moments of the gradients, all flat, and the steps taken."""

    weights: Array
    first: Array
    second: Array
    steps: int


class Trainer:
    """Trains a member for an interval, from a checkpoint to a checkpoint.

    Args:
        on: The problem.
        seed: Of the first weights, which are drawn as PyTorch's `Linear` draws them, and of the
            batches.
    """

    def __init__(self, on: Problem, seed: int) -> None:
        self.on, self.seed = on, seed
        width = on.parts[0][0].shape[1]
        self.shapes = ((HIDDEN, width), (HIDDEN,), (on.outputs, HIDDEN), (on.outputs,))
        generator = rng(seed, "weights")
        drawn = [
            generator.uniform(-1, 1, size=shape) / fan**0.5
            for shape, fan in zip(self.shapes, (width, width, HIDDEN, HIDDEN), strict=True)
        ]
        flat = np.concatenate([one.ravel() for one in drawn]).astype(np.float32)
        self.beginning = Checkpoint(flat, np.zeros_like(flat), np.zeros_like(flat), 0)

    def layers(self, flat: Array) -> list[Array]:
        """Weights and biases of both layers, as views."""
        cuts = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        return [
            part.reshape(shape)
            for part, shape in zip(np.split(flat, cuts), self.shapes, strict=True)
        ]

    def batches(self, size: int, begin: int, steps: int) -> list[Array]:
        """The rows of each step."""
        rows = len(self.on.parts[0][1])
        generator, order, found = rng(self.seed, begin, "batches"), np.zeros(0, int), []
        for _ in range(steps):
            if len(order) < size:
                order = generator.permutation(rows)
            found.append(order[:size])
            order = order[size:]
        return found

    def train(self, begin: Checkpoint, settings: Mapping[str, Any], steps: int) -> Checkpoint:
        """Some steps on. Weights that overflow stay not a number, and so does their loss."""
        flat, first, second = begin.weights.copy(), begin.first.copy(), begin.second.copy()
        weights, gradient = self.layers(flat), np.empty_like(flat)
        gradients = self.layers(gradient)
        x, y = self.on.parts[0]
        rate, decay = settings["learning_rate"], settings["weight_decay"]
        beta, clip = settings["momentum"], settings["clip_norm"]
        size = min(settings["batch_size"], len(y))
        with np.errstate(all="ignore"):
            for t, rows in enumerate(self.batches(size, begin.steps, steps), begin.steps + 1):
                self._differentiate(weights, gradients, x[rows], y[rows])
                norm = float(np.sqrt(gradient @ gradient))
                if norm > clip:
                    gradient *= clip / (norm + 1e-6)
                flat *= 1 - rate * decay
                first *= beta
                first += (1 - beta) * gradient
                second *= SECOND_MOMENT
                gradient *= gradient
                gradient *= 1 - SECOND_MOMENT
                second += gradient
                np.sqrt(second, out=gradient)
                gradient *= (1 - SECOND_MOMENT**t) ** -0.5
                gradient += EPSILON
                np.divide(first, gradient, out=gradient)
                gradient *= rate / (1 - beta**t)
                flat -= gradient
        return Checkpoint(flat, first, second, begin.steps + steps)

    def _differentiate(
        self, weights: list[Array], gradients: list[Array], x: Array, y: Array
    ) -> None:
        """Write the gradients of the mean loss of some rows."""
        hidden = x @ weights[0].T
        hidden += weights[1]
        np.maximum(hidden, 0, out=hidden)
        found = hidden @ weights[2].T
        found += weights[3]
        if self.on.regression:
            found[:, 0] -= y
            found *= 2 / len(y)
        else:
            found -= found.max(axis=1, keepdims=True)
            np.exp(found, out=found)
            found /= found.sum(axis=1, keepdims=True)
            found[np.arange(len(y)), y] -= 1
            found /= len(y)
        np.matmul(found.T, hidden, out=gradients[2])
        np.sum(found, axis=0, out=gradients[3])
        back = found @ weights[2]
        back *= hidden > 0
        np.matmul(back.T, x, out=gradients[0])
        np.sum(back, axis=0, out=gradients[1])

    def judge(self, at: Checkpoint, part: int) -> float:
        """The loss of a checkpoint on a part of the data."""
        w1, b1, w2, b2 = self.layers(at.weights)
        x, y = self.on.parts[part]
        with np.errstate(all="ignore"):
            found = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
            if self.on.regression:
                return float(np.mean((found[:, 0] - y) ** 2))
            found -= found.max(axis=1, keepdims=True)
            chosen = found[np.arange(len(y)), y]
            return float(np.mean(np.log(np.exp(found).sum(axis=1)) - chosen))


def apart(on: Problem, seed: int, steps: int = 100) -> float:
    """The largest difference between a weight trained here and one that PyTorch trained."""
    import torch

    settings = {
        "learning_rate": 3e-3,
        "momentum": 0.8,
        "weight_decay": 0.3,
        "batch_size": 32,
        "clip_norm": 0.5,
    }
    here = Trainer(on, seed)
    layers = [
        torch.tensor(w.copy(), requires_grad=True) for w in here.layers(here.beginning.weights)
    ]
    adam = torch.optim.AdamW(
        layers,
        lr=settings["learning_rate"],
        betas=(settings["momentum"], SECOND_MOMENT),
        weight_decay=settings["weight_decay"],
    )
    x, y = (torch.tensor(part) for part in on.parts[0])
    for rows in here.batches(int(settings["batch_size"]), 0, steps):
        found = torch.relu(x[rows] @ layers[0].T + layers[1]) @ layers[2].T + layers[3]
        loss = (
            torch.nn.functional.mse_loss(found[:, 0], y[rows])
            if on.regression
            else torch.nn.functional.cross_entropy(found, y[rows])
        )
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layers, settings["clip_norm"])
        adam.step()
    theirs = np.concatenate([w.detach().numpy().ravel() for w in layers])
    return float(np.abs(here.train(here.beginning, settings, steps).weights - theirs).max())
