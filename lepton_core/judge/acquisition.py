"""Expected improvement, by its logarithm, so that even hopeless candidates can be told apart.

EI: Mockus, 1975; Jones, Schonlau and Welch, J. Global Optimization 13, 1998, eq. 15. The logarithm
without cancellation: Ament et al., "Unexpected improvements to expected improvement", NeurIPS 2023.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FAR = -5.0  # standard deviations, from where on the tail's expansion is used


def log_expected_improvement(mean: Array, deviation: Array, target: float) -> Array:
    """``(n,)`` logarithms of how much less than the target is expected.

    Example:
        >>> log_expected_improvement(np.array([0.0, 9.0]), np.ones(2), 0.0).round(2).tolist()
        [-0.92, -45.81]
    """
    u = (target - mean) / deviation
    near = np.maximum(u, FAR)
    density = np.exp(-0.5 * near * near) / np.sqrt(2 * pi)
    far = np.minimum(u, FAR)
    tail = -0.5 * far * far - 0.5 * log(2 * pi) - 2 * np.log(-far)
    found: Array = np.where(u < FAR, tail, np.log(near * ndtr(near) + density))
    return found + np.log(deviation)
