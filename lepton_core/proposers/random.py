"""Uniform random search: each slot an independent point of the unit cube.

Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012,
https://www.jmlr.org/papers/v13/bergstra12a.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Told, draw_unseen
from lepton_core.rng import rng
from lepton_core.space import Space


@dataclass(frozen=True, slots=True)
class RandomState:
    """Nothing: random search learns nothing."""


@dataclass(frozen=True, slots=True)
class Random:
    """Uniform random search; it needs no settings."""

    name: str = "random"

    def init(self, space: Space) -> RandomState:
        """The state before any trial."""
        del space  # Unused: there is nothing to learn.
        return RandomState()

    def suggest(self, state: RandomState, ask: Ask) -> tuple[Candidate, ...]:
        """One uniform point for each slot, drawn again while it was tried before."""
        del state  # Unused: there is nothing to learn.
        candidates: list[Candidate] = []
        seen = ask.seen
        for slot in ask.slots:
            params, draws = draw_unseen(self._uniform(ask, slot), ask.space, seen)
            seen = seen.and_also([ask.space.key(params)])
            origin = {"draw": draws - 1}
            candidates.append(Candidate(params=params, proposer=self.name, origin=origin))
        return tuple(candidates)

    def _uniform(self, ask: Ask, slot: int) -> Callable[[], Params]:
        generator = rng(ask.seed, ask.generation, slot, self.name)
        return lambda: ask.space.decode(generator.random(len(ask.space)))

    def update(self, state: RandomState, told: Told) -> RandomState:
        """The same state, whatever happened."""
        del told  # Unused: there is nothing to learn.
        return state
