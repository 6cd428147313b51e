"""Linear algebra on one thread: sums in the same order, whatever the number of cores.

The threads of a BLAS split sums by their number, so that the same history could give other last
digits, and in the end other proposals, on a machine with more cores. Matrices of a few hundred rows
gain little by threads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import scipy.linalg  # noqa: F401  (its BLAS has to be loaded to be found)
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through the libraries that are loaded: some milliseconds


def one_thread() -> AbstractContextManager[Any]:
    """Within it, linear algebra runs on one thread."""
    found: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return found
