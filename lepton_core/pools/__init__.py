"""Pools: many candidates at once from the best trials, for the judge to choose among.

Each proposer has one, by the name that a sweep file calls it. A pool remembers nothing: it is drawn
from what the judge knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from lepton_core.pools import ga, local, pso, random, rl
from lepton_core.pools.elite import Drawn, Elite

if TYPE_CHECKING:
    import numpy as np

POOLS: Final[Mapping[str, Callable[[Elite, np.random.Generator, int], Drawn]]] = {
    "ga": ga.draw,
    "pso": pso.draw,
    "rl": rl.draw,
    "local": local.draw,
    "random": random.draw,
}
JUDGED_PROPOSERS: Final = tuple(POOLS)
"""The default members of a portfolio with a judge."""
