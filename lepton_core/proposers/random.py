"""Uniform random search: each slot an independent point of the unit cube.

Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012,
https://www.jmlr.org/papers/v13/bergstra12a.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Told, draw_each
from lepton_core.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


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
        return draw_each(ask, self.name, lambda _, generator: _Uniform(ask.space, generator))

    def update(self, state: RandomState, told: Told) -> RandomState:
        """The same state, whatever happened."""
        del told  # Unused: there is nothing to learn.
        return state


class _Uniform:
    """Draws one uniform point after another."""

    def __init__(self, space: Space, generator: np.random.Generator) -> None:
        self.space, self.generator, self.draws = space, generator, 0

    def __call__(self) -> Params:
        self.draws += 1
        return self.space.decode(self.generator.random(len(self.space)))

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """Which of the draws it was, from 0."""
        del elsewhere  # Unused: that is uniform, too.
        return {"draw": self.draws - 1}
