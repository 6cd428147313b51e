"""scikit-learn's ``random_state`` as a seed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

BOUND = np.iinfo(np.int32).max


def seed_of(random_state: Any, *, recorded: bool = False) -> int:
    """The seed of a search: an int itself; else drawn from the state, or numpy's own for None.

    A recorded search that is given none has 0: another process must be able to go on with it.

    Example:
        >>> seed_of(7), seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
        (7, True)
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    if recorded and random_state is None:
        return 0
    return int(check_random_state(random_state).randint(BOUND))
