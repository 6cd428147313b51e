"""The kernel: how alike the judge takes the losses of two configurations to be.

Matérn 5/2 with a length-scale for each param (Rasmussen and Williams, "Gaussian Processes for
Machine Learning", 2006, eq. 4.17 and section 5.1), as in Snoek et al., "Practical Bayesian
optimization of machine learning algorithms", NIPS 2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

JITTER = 1e-6  # added to the noise, so that a matrix can be factored whatever the noise
LUCK = 0.1  # the noise's variance from which on the lowest observed loss counts for nothing
NEAR = 1e-12  # under the root, where the distance is none


@dataclass(frozen=True)
class Kernel:
    """A kernel with its hyperparameters.

    Attributes:
        lengths: ``(d,)``, the length-scale of each param.
        signal: The variance of the function.
        noise: The variance of what is observed of it.
        groups: ``(f,)``, the param that each feature belongs to.
    """

    lengths: Array
    signal: float
    noise: float
    groups: NDArray[np.intp]

    @property
    def trust(self) -> float:
        """How far an observed loss can be believed: 1 without noise, 0 where it may be all luck."""
        return 1 - min(1.0, self.noise / LUCK)

    def scaled(self, features: Array) -> Array:
        """``(n, f)`` features in units of the length-scales."""
        found: Array = features / self.lengths[self.groups]
        return found

    def between(self, left: Array, right: Array) -> Array:
        """``(n, m)`` covariances of the function at scaled features."""
        root = distances(left, right)
        found: Array = self.signal * (1 + root + root * root / 3) * np.exp(-root)
        return found


def distances(left: Array, right: Array) -> Array:
    """``(n, m)`` distances between scaled features, times the square root of 5."""
    squares = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1)[None, :]
    squares = squares - 2 * (left @ right.T)
    found: Array = np.sqrt(5 * np.maximum(squares, 0.0) + NEAR)
    return found
