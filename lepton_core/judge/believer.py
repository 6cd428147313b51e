"""A model's opinion of many candidates, which follows as candidates are chosen.

To choose several at once, the model believes of each chosen one what it predicts itself
(Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010). Its
means stay where they are; what shrinks is the uncertainty around what was chosen, so the next
choice goes elsewhere. Each belief is one more row of the Cholesky factor.

What a candidate has to improve on is the lowest loss observed, so far as losses can be trusted; the
noisier the model finds them, the more it is the lowest of what it believes them to be. A lucky loss
would otherwise send the search away from where it was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from lepton_core.judge.acquisition import log_expected_improvement
from lepton_core.judge.kernel import JITTER, Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_VARIANCE = 1e-12


class Believer:
    """A fitted Gaussian process and the candidates it is asked about.

    Args:
        kernel: The model.
        features: ``(n, f)`` of the trials.
        targets: ``(n,)`` warped losses.
        room: How many candidates there will be at most.
        beliefs: How many of them will be chosen at most.
    """

    def __init__(
        self, kernel: Kernel, features: Array, targets: Array, room: int, beliefs: int
    ) -> None:
        self.kernel = kernel
        n = len(targets)
        known = kernel.scaled(features)
        covariance = kernel.between(known, known)
        covariance[np.diag_indices(n)] += kernel.noise + JITTER
        self._factor = np.zeros((n + beliefs, n + beliefs))
        self._factor[:n, :n] = np.linalg.cholesky(covariance)
        self._known = np.zeros((n + beliefs, features.shape[1]))
        self._known[:n] = known
        self._white = np.zeros(n + beliefs)  # the targets, decorrelated; of beliefs 0
        self._white[:n] = solve_triangular(self._factor[:n, :n], targets, lower=True)
        self._whitened = np.zeros((n + beliefs, room))  # the candidates' covariances, likewise
        self._scaled = np.zeros((room, features.shape[1]))
        self._mean, self._variance = np.zeros(room), np.zeros(room)
        self.size, self._rows = 0, n
        observed, believed = float(targets.min()), float(self._beliefs(targets).min())
        self.target = kernel.trust * observed + (1 - kernel.trust) * believed

    def _beliefs(self, targets: Array) -> Array:
        """``(n,)``, what the model believes of the trials themselves: their noise taken away."""
        n = len(targets)
        weights = solve_triangular(self._factor[:n, :n], self._white[:n], lower=True, trans=1)
        found: Array = targets - (self.kernel.noise + JITTER) * weights
        return found

    def add(self, features: Array) -> None:
        """More candidates: ``(m, f)``."""
        rows, first, last = self._rows, self.size, self.size + len(features)
        scaled = self.kernel.scaled(features)
        across = self.kernel.between(self._known[:rows], scaled)
        whitened = solve_triangular(
            self._factor[:rows, :rows], across, lower=True, check_finite=False
        )
        self._scaled[first:last] = scaled
        self._whitened[:rows, first:last] = whitened
        self._mean[first:last] = self._white[:rows] @ whitened
        self._variance[first:last] = self.kernel.signal - (whitened * whitened).sum(axis=0)
        self.size = last

    def believe(self, chosen: int) -> None:
        """Take the candidate of this index for tried, with the loss that is predicted of it."""
        rows, size = self._rows, self.size
        column = self._whitened[:rows, chosen]
        pivot = np.sqrt(
            max(self.kernel.signal + self.kernel.noise + JITTER - float(column @ column), JITTER)
        )
        at = self._scaled[chosen : chosen + 1]
        row = self.kernel.between(at, self._scaled[:size])[0]
        row = (row - column @ self._whitened[:rows, :size]) / pivot
        self._factor[rows, :rows] = column
        self._factor[rows, rows] = pivot
        self._known[rows] = at[0]
        self._whitened[rows, :size] = row
        self._variance[:size] -= row * row
        self._rows += 1
        self.target = min(self.target, float(self._mean[chosen]))

    def scores(self) -> Array:
        """``(size,)``, the logarithm of each candidate's expected improvement."""
        variance = np.maximum(self._variance[: self.size], LEAST_VARIANCE)
        return log_expected_improvement(self._mean[: self.size], np.sqrt(variance), self.target)

    def means(self) -> Array:
        """``(size,)``, what is predicted of each."""
        return self._mean[: self.size]
