"""The proposers, by the name that a sweep file calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lepton_core.proposers.base import Proposer
from lepton_core.proposers.ga import GA
from lepton_core.proposers.pso import PSO
from lepton_core.proposers.random import Random
from lepton_core.proposers.rl import RL
from lepton_core.proposers.sobol import Sobol

PROPOSERS: Final[Mapping[str, Callable[..., Proposer[Any]]]] = {
    "ga": GA,
    "pso": PSO,
    "rl": RL,
    "sobol": Sobol,
    "random": Random,
}
UNJUDGED_PROPOSERS: Final = ("ga", "pso", "rl")
"""The default members of a portfolio without a judge."""
