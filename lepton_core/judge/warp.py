"""Losses as a Gaussian process can learn them: half by rank, half by size.

Losses of models are skewed, and a few are huge. Ranks turned into normal scores keep only the
order; a logarithm of the distance from the median, on both sides, keeps how far apart losses are.
Their mean did better than either, and than ranks with the logarithm of the distance to the best
(docs/search.md). The purpose is that of HEBO's output warping (Cowen-Rivers et al., JAIR 74, 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TINY = 1e-12
HUGE = 8e307  # what is further from 0 than that counts as that far: differences stay finite
MOST = 1e300  # spreads from the median: where most losses are equal, another may be endlessly far


def warped(losses: Array) -> Array:
    """``(n,)`` losses as targets of a fit: about 0 on average, in the same order.

    Example:
        >>> warped(np.array([1.0, 2.0, 1e9])).round(2).tolist()
        [-0.84, -0.35, 1.19]
    """
    n = len(losses)
    scores = ndtri((rankdata(losses) - 0.5) / n)
    sizes = np.clip(losses, -HUGE, HUGE)
    low, median, high = np.percentile(sizes, (25, 50, 75))
    with np.errstate(over="ignore"):
        sizes = np.clip((sizes - median) / (high - low + TINY), -MOST, MOST)
    sizes = np.sign(sizes) * np.log1p(np.abs(sizes))
    sizes = (sizes - sizes.mean()) / (sizes.std() + TINY)
    found: Array = 0.5 * scores + 0.5 * sizes
    return found
