"""The process's own random generators while a model trains: keyed by a seed, and put back after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While Python's and NumPy's global generators give what this seed gives; then as before.

    Args:
        seed: 0 or more; NumPy's takes its last 32 bits.

    Example:
        >>> def draws():
        ...     with seeded(7):
        ...         return random.random()
        >>> draws() == draws()
        True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the user's own)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, TID251  (put back below)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
