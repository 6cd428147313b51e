"""A genetic algorithm's candidates: uniform crossover of two good trials, then mutation."""

from __future__ import annotations

import numpy as np

from lepton_core.pools.elite import Drawn, Elite, drawn
from lepton_core.pools.mutation import mutated

PRESSURE = 0.15  # the share of the trials over which a parent's weight falls to 1/e
SIGMA = 0.15  # of the cube


def draw(elite: Elite, generator: np.random.Generator, m: int) -> Drawn:
    """``m`` children."""
    n, d = elite.points.shape
    weights = np.exp(-np.arange(n) / max(3.0, PRESSURE * n))
    parents = generator.choice(n, size=(m, 2), p=weights / weights.sum())
    first, second = elite.points[parents[:, 0]], elite.points[parents[:, 1]]
    children = np.where(generator.random((m, d)) < 0.5, first, second)  # noqa: PLR2004
    children = mutated(elite.cube, children, np.full(m, SIGMA), 1 / d, generator)
    return drawn(children, parents[:, 0], parents[:, 1])
