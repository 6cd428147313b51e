"""Random generators that are keyed, not kept: there is no generator state to lose.

The key is the sweep's seed and a path such as ``(generation, slot, "random")``. Philox is a
counter-based generator: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
3", SC 2011, https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

import hashlib

import numpy as np

TRIAL_SEEDS = 2**31


def rng(seed: int, *path: int | str) -> np.random.Generator:
    """A fresh generator for one purpose; the same key gives the same stream.

    Args:
        seed: The sweep's seed, 0 or more.
        *path: What the numbers are for; ints are 0 or more.

    Example:
        >>> float(rng(0, 3, 1, "random").random()) == float(rng(0, 3, 1, "random").random())
        True
    """
    words = [_word(part) for part in path]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def _word(part: int | str) -> int:
    if isinstance(part, str):
        return int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "big")
    return part


def trial_seed(seed: int, generation: int, slot: int) -> int:
    """The seed handed to the objective: one per slot, the same for each of its attempts.

    Returns:
        An int in [0, 2**31), which scikit-learn, xgboost and 32-bit seeds accept.
    """
    return int(rng(seed, generation, slot, "trial").integers(TRIAL_SEEDS))
