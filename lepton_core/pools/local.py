"""Local search's candidates: mutants of the best trials at all scales, and the trust region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lepton_core.pools.elite import Drawn, Elite, drawn
from lepton_core.pools.mutation import mutated, scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIGMAS = (0.005, 0.3)  # of the cube
PARENT = 0.35  # the parameter of the geometric distribution of a parent's rank
BOX = 1.25  # candidates of the trust region for each mutant
REDRAW = 0.1  # the probability of a choice to be drawn anew


def draw(elite: Elite, generator: np.random.Generator, m: int) -> Drawn:
    """``m`` mutants, and candidates from the trust region beside them."""
    n, d = elite.points.shape
    parents = np.minimum(generator.geometric(PARENT, size=m) - 1, n - 1)
    sigma = scales(*SIGMAS, m, generator)
    share = min(1.0, 2.5 / d)
    mutants = mutated(elite.cube, elite.points[parents], sigma, share, generator)
    inside = _inside(elite, generator, int(BOX * m))
    both = np.concatenate([parents, np.zeros(len(inside), dtype=int)])
    return drawn(np.concatenate([mutants, inside]), both)


def _inside(elite: Elite, generator: np.random.Generator, m: int) -> Array:
    """Points of the trust region: the best trial with some coordinates moved."""
    d = elite.cube.size
    best = elite.points[0]
    hit = generator.random((m, d)) < min(1.0, 10 / d + 0.2)
    reach = np.where(elite.cube.numbers, elite.widths, 0.0)
    moved = best + hit * generator.uniform(-1, 1, (m, d)) * reach
    redrawn = (generator.random((m, d)) < REDRAW) & ~elite.cube.numbers
    return np.where(redrawn, generator.random((m, d)), moved)
