"""A mutation: a normal step of some coordinates, another option for some choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lepton_core.judge.cube import Cube

    Array = NDArray[np.float64]


def mutated(
    cube: Cube, points: Array, sigma: Array, share: float, generator: np.random.Generator
) -> Array:
    """Mutants of points; each differs in one coordinate at least.

    A whole number moves by one at least; what would leave the cube stops at its border, where
    optima of models often lie.

    Args:
        cube: The space's.
        points: ``(m, d)``.
        sigma: ``(m,)`` standard deviations of the steps.
        share: The probability of each coordinate to be mutated.
        generator: Draws.
    """
    m, d = points.shape
    hit = generator.random((m, d)) < share
    hit[np.arange(m), generator.integers(d, size=m)] = True
    steps = generator.standard_normal((m, d)) * sigma[:, None]
    steps = np.where(steps < 0, -1.0, 1.0) * np.maximum(np.abs(steps), cube.pace)
    moved = np.clip(points + steps, 0.0, 1.0)
    fresh = generator.random((m, d))
    return np.where(hit, np.where(cube.numbers, moved, fresh), points)


def scales(low: float, high: float, m: int, generator: np.random.Generator) -> Array:
    """``(m,)`` numbers, uniform on a logarithmic scale."""
    found: Array = np.exp(generator.uniform(np.log(low), np.log(high), m))
    return found
