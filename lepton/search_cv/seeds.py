"""scikit-learn's ``random_state`` as a seed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

BOUND = np.iinfo(np.int32).max


def seed_of(random_state: Any) -> int:
    """The seed of a search: an int itself; else drawn from the state, or numpy's own for None.

    Example:
        >>> seed_of(7), seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
        (7, True)
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(BOUND))
