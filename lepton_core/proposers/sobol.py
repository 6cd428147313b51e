"""Scrambled Sobol points: they fill the space evenly before there is anything to learn from.

I. M. Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals",
1967; the scrambling is A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity
14, 1998, as in scipy.stats.qmc.
"""

from __future__ import annotations

from dataclasses import dataclass

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Told, draw_unseen
from lepton_core.rng import rng
from lepton_core.space import Space


@dataclass(frozen=True, slots=True)
class SobolState:
    """How far the sequence was used: the index of the next point."""

    next_index: int = 0


@dataclass(frozen=True, slots=True)
class Sobol:
    """The sequence scrambled by the sweep's seed, continued over the whole sweep."""

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

        def next_point() -> Params:
            return ask.space.decode(engine.random(1)[0])

        candidates: list[Candidate] = []
        index, seen = state.next_index - 1, ask.seen
        for _ in ask.slots:
            params, draws = draw_unseen(next_point, ask.space, seen)
            index += draws
            seen = seen.and_also([ask.space.key(params)])
            candidates.append(Candidate(params=params, proposer=self.name, origin={"index": index}))
        return tuple(candidates)

    def update(self, state: SobolState, told: Told) -> SobolState:
        """The state after a generation: past the last index that was used."""
        used = [told.trials[i].proposal.origin["index"] for i in told.own(self.name)]
        return SobolState(max([state.next_index, *(index + 1 for index in used)]))
