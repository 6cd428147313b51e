"""COCO's test functions (Hansen et al., https://numbbo.github.io/coco/) as search problems.

They are split once and for all: settings are chosen on `DEVELOPMENT`, results are reported on
`REPORT`, and nothing is ever run on `HELD_OUT`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocoex
import numpy as np
from numpy.typing import NDArray

from lepton_core.rng import rng
from lepton_core.space import Float, Int, Space

Array = NDArray[np.float64]

SUITES = ("bbob", "bbob-mixint")
DEVELOPMENT = (1, 2, 4, 5, 7, 11, 12, 13, 16, 20)
REPORT = (9, 14, 18, 19, 22, 23)
HELD_OUT = (3, 6, 8, 10, 15, 17, 21, 24)
DIMENSIONS = (5, 10)
RANDOM_POINTS = 1000  # whose median loss is a normalised regret of 1


@dataclass(frozen=True)
class Problem:
    """One function, dimension and instance.

    Attributes:
        best: The least loss there is.
        usual: The median loss of random points.
    """

    suite: str
    function: int
    dimension: int
    instance: int
    raw: Any
    best: float
    usual: float

    @property
    def whole(self) -> int:
        """How many params are whole numbers; they come first."""
        return int(self.raw.number_of_integer_variables)

    @property
    def low(self) -> Array:
        """``(d,)``, the least values."""
        return np.array(self.raw.lower_bounds)

    @property
    def high(self) -> Array:
        """``(d,)``, the greatest values."""
        return np.array(self.raw.upper_bounds)

    @property
    def space(self) -> Space:
        """The search space, as a sweep declares it."""
        return Space(
            {
                f"x{j}": Int(int(low), int(high)) if j < self.whole else Float(low, high)
                for j, (low, high) in enumerate(zip(self.low, self.high, strict=True))
            }
        )

    def loss(self, values: Any) -> float:
        """The loss at ``(d,)`` values."""
        return float(self.raw(np.asarray(values, dtype=float)))

    def decode(self, point: Any) -> Array:
        """The values at a point of the unit cube: whole numbers have equal shares of it."""
        u, k = np.clip(np.asarray(point, dtype=float), 0, 1), self.whole
        values = self.low + u * (self.high - self.low)
        cells = np.floor(self.low[:k] + u[:k] * (self.high[:k] - self.low[:k] + 1))
        values[:k] = np.minimum(cells, self.high[:k])
        return values

    def regrets(self, losses: list[float]) -> Array:
        """The normalised regret of the best so far, after each evaluation."""
        return (np.minimum.accumulate(losses) - self.best) / (self.usual - self.best)


def problems(
    suite: str, functions: tuple[int, ...], dimensions: tuple[int, ...], instances: tuple[int, ...]
) -> Iterator[Problem]:
    """The problems of a suite.

    Raises:
        ValueError: A function is held out.
    """
    if set(functions) & set(HELD_OUT):
        raise ValueError(f"functions {HELD_OUT} are held out: nothing is run on them")
    listed = ",".join(map(str, functions))
    asked = f"dimensions:{','.join(map(str, dimensions))} function_indices:{listed}"
    for raw in cocoex.Suite(suite, f"instances:{','.join(map(str, instances))}", asked):
        best = float(raw(_optimum(raw)))
        problem = Problem(
            suite, raw.id_function, raw.dimension, raw.id_instance, raw, best, usual=0.0
        )
        generator = rng(0, "bbob")
        random = [
            problem.loss(problem.decode(generator.random(raw.dimension)))
            for _ in range(RANDOM_POINTS)
        ]
        yield Problem(
            suite, raw.id_function, raw.dimension, raw.id_instance, raw, best, np.median(random)
        )


def _optimum(raw: Any) -> Array:
    """Where the least loss is. COCO tells it by a file in the current directory only."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        raw._best_parameter("print")  # noqa: SLF001  (there is no public way)
        (file,) = Path().iterdir()
        return np.loadtxt(file)
