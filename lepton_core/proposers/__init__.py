"""The proposers, by the name that a sweep file calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lepton_core.proposers.base import Proposer
from lepton_core.proposers.random import Random
from lepton_core.proposers.sobol import Sobol

PROPOSERS: Final[Mapping[str, Proposer[Any]]] = {p.name: p for p in (Sobol(), Random())}
DEFAULT_PROPOSERS: Final = ("sobol", "random")
