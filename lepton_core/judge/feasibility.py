"""How likely a candidate is to give a usable result, learned from the failures so far.

A Gaussian process is fitted to 1 for a usable trial and -1 for a failed one. The probability that
expected improvement is weighed by (Gelbart, Snoek and Adams, "Bayesian optimization with unknown
constraints", UAI 2014) is that of a positive value there: near to failures without an exception it
is nearly none, however much improvement is expected. Where trials fail without a pattern the fit
finds noise, and all candidates are about alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import log_ndtr

from lepton_core.judge.fit import fit
from lepton_core.judge.kernel import JITTER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DOUBT = 0.01  # variance, everywhere: where failures begin is never known exactly
LEAST = -50.0  # of a logarithm of a probability
USABLE = 150  # trials that are learned from, evenly spaced


class Feasibility:
    """A model of which configurations fail.

    Args:
        usable: ``(n, f)`` features of usable trials, in the order of proposal.
        failed: ``(m, f)`` features of failed ones.
        groups: ``(f,)``, the param that each feature belongs to.
    """

    def __init__(self, usable: Array, failed: Array, groups: NDArray[np.intp]) -> None:
        places = np.linspace(0, len(usable) - 1, min(len(usable), USABLE)).round().astype(int)
        features = np.concatenate([usable[places], failed])
        labels = np.concatenate([np.ones(len(places)), -np.ones(len(failed))])
        self._usual = float(labels.mean())
        self._kernel = fit(features, groups, labels - self._usual)
        self._known = self._kernel.scaled(features)
        covariance = self._kernel.between(self._known, self._known)
        covariance[np.diag_indices(len(labels))] += self._kernel.noise + JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._white = solve_triangular(self._factor, labels - self._usual, lower=True)

    def log_probability(self, features: Array) -> Array:
        """``(m,)`` logarithms for ``(m, f)`` features."""
        across = self._kernel.between(self._known, self._kernel.scaled(features))
        whitened = solve_triangular(self._factor, across, lower=True)
        mean = self._white @ whitened + self._usual
        variance = self._kernel.signal - (whitened * whitened).sum(axis=0)
        deviation = np.sqrt(np.maximum(variance, 0.0) + self._kernel.noise + DOUBT)
        logs: Array = np.maximum(log_ndtr(mean / deviation), LEAST)
        return logs
