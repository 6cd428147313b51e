"""The judge with one part taken out, or another in its place: what does not show here may go.

Each is a patch of the module that holds the part, for the time of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from lepton_core.judge import choose, kernel, state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMALL_SHARE = 0.25  # of an even one, which nobody falls below
MOST_SHARE = 1.5  # of an even one: there is room for no more candidates


def _standardised(losses: Array) -> Array:
    found: Array = (losses - losses.mean()) / (losses.std() + 1e-12)
    return found


def _everywhere(region: Any, lengths: Array, numbers: NDArray[np.bool_]) -> Array:
    del region, lengths
    return np.where(numbers, 1.0, inf)


def _pool_by_credit(self: Any, name: str) -> int:
    """Candidates in proportion to how often the judge chose a proposer lately (a bandit)."""
    shares = state.shares(self.state, self.proposers)
    even = 1 / len(self.proposers)
    share = SMALL_SHARE * even + (1 - SMALL_SHARE) * shares.get(name, 0.0)
    return max(1, round(choose.POOL * min(MOST_SHARE, share / even)))


Patch = Callable[[], AbstractContextManager[Any]]
ABLATIONS: dict[str, Patch] = {
    "one-judge": lambda: patch.object(choose.Choice, "_turn", lambda *_: 0),
    "local-judge-only": lambda: patch.object(choose.Choice, "_turn", lambda *_: 1),
    "no-region": lambda: patch.object(choose, "half_widths", _everywhere),
    "no-warp": lambda: patch.object(choose, "warped", _standardised),
    "no-search": lambda: patch.multiple(choose, FIRST_ROUNDS=0, ROUNDS=0),
    "no-noise-rule": lambda: patch.object(kernel, "LUCK", inf),
    "credit": lambda: patch.object(choose.Choice, "_share", _pool_by_credit),
}
