"""Scrambled Sobol points: they fill the space evenly before there is anything to learn from.

I. M. Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals",
1967; the scrambling is A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity
14, 1998, as in scipy.stats.qmc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Told, draw_each
from lepton_core.rng import rng
from lepton_core.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SobolState:
    """How far the sequence was used: the index of the next point."""

    next_index: int = 0


@dataclass(frozen=True, slots=True)
class Sobol:
    """The sequence scrambled by the sweep's seed, continued over the whole sweep.

    Args:
        centre: Whether the numbers of its first point are moved to the middle of their ranges,
            which people choose for a reason.
    """

    centre: bool = False
    name: str = "sobol"

    def init(self, space: Space) -> SobolState:
        """The state before any trial."""
        del space  # Unused: the sequence is made when it is asked for.
        return SobolState()

    def suggest(self, state: SobolState, ask: Ask) -> tuple[Candidate, ...]:
        """The next points of the sequence, passing over such as were tried before."""
        from scipy.stats import qmc  # noqa: PLC0415  (half a second that replay need not pay)

        engine = qmc.Sobol(len(ask.space), scramble=True, rng=rng(ask.seed, self.name))
        if state.next_index:
            engine.fast_forward(state.next_index)

        sequence = _Sequence(ask.space, engine, state.next_index - 1, centre=self.centre)
        return draw_each(ask, self.name, lambda *_: sequence)

    def update(self, state: SobolState, told: Told) -> SobolState:
        """The state after a generation: past the last index that was used."""
        used = [told.trials[i].proposal.origin["index"] for i in told.own(self.name)]
        return SobolState(max([state.next_index, *(index + 1 for index in used)]))


class _Sequence:
    """Goes through the sequence, whatever the slot."""

    def __init__(self, space: Space, engine: Any, index: int, *, centre: bool) -> None:
        self.space, self.engine, self.index, self.centre = space, engine, index, centre

    def __call__(self) -> Params:
        self.index += 1
        point = self.engine.random(1)[0]
        if self.centre and not self.index:
            point[list(self.space.numbers)] = 0.5
        return self.space.decode(point)

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """How far the sequence was used."""
        del elsewhere  # Unused: the sequence was used as far.
        return {"index": self.index}
