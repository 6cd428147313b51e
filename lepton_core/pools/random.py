"""Random search's candidates: uniform, half of them with some numbers at a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lepton_core.pools.elite import Drawn, Elite, drawn

BORDER = 0.1  # the probability of each number of half of the candidates to lie at a bound

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw(elite: Elite, generator: np.random.Generator, m: int) -> Drawn:
    """``m`` candidates without parents."""
    d = elite.cube.size
    points: NDArray[np.float64] = generator.random((m, d))
    at_border = (generator.random((m, d)) < BORDER) & elite.cube.numbers
    at_border &= (np.arange(m) % 2 == 0)[:, None]
    return drawn(np.where(at_border, np.round(points), points))
