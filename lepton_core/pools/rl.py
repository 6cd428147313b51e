"""The policy's candidates: a Gaussian and a softmax, fitted to the best trials by their ranks.

One step of a natural evolution strategy from the history itself (Wierstra et al., JMLR 15, 2014,
with the log-rank weights of CMA-ES: Hansen, arXiv:1604.00772, eq. 49), around the mean or around a
good trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lepton_core.pools.elite import Drawn, Elite, drawn
from lepton_core.pools.mutation import scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHRINKAGE = 0.3  # of the covariance towards its diagonal
LEAST = 1e-4  # variance
WIDTHS = (0.3, 2.0)  # of the Gaussian
SMOOTHING = 0.1  # of the softmax


def draw(elite: Elite, generator: np.random.Generator, m: int) -> Drawn:
    """``m`` actions."""
    points, cube = elite.points, elite.cube
    n, d = points.shape
    mu = min(n, max(4, min(n // 4, 3 * d)))
    weights = np.log(mu + 0.5) - np.log(np.arange(mu) + 1)
    weights /= weights.sum()
    good = points[:mu]
    mean = weights @ good
    away = good - mean
    covariance = (away * weights[:, None]).T @ away
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diagonal(covariance))
    covariance[np.diag_indices(d)] += LEAST
    factor = np.linalg.cholesky(covariance)
    around = generator.choice(mu, size=m, p=weights)
    steps = generator.standard_normal((m, d)) @ factor.T
    found = 0.5 * mean + 0.5 * good[around] + scales(*WIDTHS, m, generator)[:, None] * steps
    for j, k in cube.options.items():
        chosen = np.minimum(k - 1, (good[:, j] * k).astype(int))
        softmax = np.bincount(chosen, weights=weights, minlength=k) + SMOOTHING / k
        drawn_options = generator.choice(k, size=m, p=softmax / softmax.sum())
        found[:, j] = (drawn_options + 0.5) / k
    return drawn(found, around)
