"""Choosing the kernel's hyperparameters: the most probable ones, given what was observed.

The marginal likelihood and its gradient are eq. 5.8 and 5.9 of Rasmussen and Williams, 2006. The
priors keep a fit to eight points from believing in noise that is none; the length-scales' grows
with the dimension, since in a large space points are far apart. Each fit starts at the prior, so
that it depends on the history alone, and what it finds is rounded, so that the last digits of a
processor's linear algebra do not decide what is proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from lepton_core.judge.kernel import JITTER, Kernel, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ITERATIONS = 30
LENGTH = 0.4  # the prior's median length-scale in one dimension, of the cube
NOISE, NOISE_SPREAD = -5.0, 2.0  # the prior of the noise's logarithm
LENGTHS = (0.03, 20.0)
SIGNALS = (-3.0, 3.0)  # of the logarithm
NOISES = (-12.0, 0.0)  # of the logarithm
DIGITS = 3  # of a logarithm
IMPOSSIBLE = 1e10  # the loss of hyperparameters whose matrix cannot be factored


def fit(features: Array, groups: NDArray[np.intp], targets: Array) -> Kernel:
    """The most probable kernel.

    Args:
        features: ``(n, f)``.
        groups: ``(f,)``, the param that each feature belongs to.
        targets: ``(n,)``, about standardised.
    """
    d = int(groups.max()) + 1
    middle = np.concatenate([np.full(d, np.log(LENGTH) + 0.25 * np.log(d)), [0.0, NOISE]])
    spread = np.concatenate([np.ones(d + 1), [NOISE_SPREAD]])
    bounds = [tuple(np.log(LENGTHS))] * d + [SIGNALS, NOISES]
    posterior = _Posterior(features, groups, targets, middle, spread)
    found = minimize(
        posterior,
        middle,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": ITERATIONS},
    ).x.round(DIGITS)
    return Kernel(np.exp(found[:d]), float(np.exp(found[d])), float(np.exp(found[d + 1])), groups)


class _Posterior:
    """The negative logarithm of the hyperparameters' posterior, with its gradient."""

    def __init__(
        self,
        features: Array,
        groups: NDArray[np.intp],
        targets: Array,
        middle: Array,
        spread: Array,
    ) -> None:
        self.features, self.targets = features, targets
        self.groups, self.d = groups, int(groups.max()) + 1
        self.middle, self.spread = middle, spread

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The value and the ``(d + 2,)`` gradient at log length-scales, log signal, log noise."""
        signal, noise = np.exp(theta[self.d]), np.exp(theta[self.d + 1])
        x = self.features / np.exp(theta[: self.d])[self.groups]
        root = distances(x, x)
        decay = np.exp(-root)
        covariance = signal * (1 + root + root * root / 3) * decay
        matrix = covariance.copy()
        matrix.flat[:: len(x) + 1] += noise + JITTER
        factor, failed = dpotrf(matrix, lower=1, overwrite_a=1)
        if failed:
            return IMPOSSIBLE, np.zeros_like(theta)
        inverse, _ = dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        alpha = inverse @ self.targets
        away = (theta - self.middle) / self.spread
        value = (
            0.5 * float(self.targets @ alpha)
            + float(np.log(np.diagonal(factor)).sum())
            + 0.5 * float(away @ away)
        )
        outer = np.outer(alpha, alpha) - inverse
        # Along log l the kernel changes by 5/3 signal (1 + r) exp(-r) times the param's own share
        # of the squared distance; summed over all pairs that is a form in x alone.
        weights = outer * (signal * 5 / 3) * (1 + root) * decay
        by_feature = 2 * (weights.sum(axis=1) @ (x * x) - (x * (weights @ x)).sum(axis=0))
        by_length = np.bincount(self.groups, weights=by_feature, minlength=self.d)
        gradient = np.concatenate(
            [
                -0.5 * by_length,
                [-0.5 * float((outer * covariance).sum())],
                [-0.5 * noise * float(np.trace(outer))],
            ]
        )
        return value, gradient + away / self.spread
