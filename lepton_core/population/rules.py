"""How a population is run: numbers that were chosen by measuring (`benchmarks/population.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_core.credit import Credit
from lepton_core.proposers.rl import RL

_POLICY = RL(deviation=0.15, precision=0.0, patience=1e6)
_SHARING = Credit(window=8, floor=0.1, contrast=2.0)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one population.

    Selection is greedy: what lowers the loss now is not what lowers it in the end (Dalibard and
    Jaderberg, "Faster improvement rate population based training", 2021,
    https://arxiv.org/abs/2109.13800). A low learning rate is the plainest case: replaced from the
    start, all members are soon copies of one that settled too early. So nobody is replaced in the
    first half, unless it failed; then more and more are, and in the last round all.

    Attributes:
        begin: The share of the training before which only failed members are replaced.
        first: The share of members that is replaced from then on.
        last: The share that is replaced before the last round; in between it grows evenly.
        parents: The share of checkpoints, the best ones, that others go on from.
        reach: How far settings may lie from the parent's along one dimension of the unit cube: a
            larger jump would ruin what was trained.
        gain: How much of a score is by the gain over the checkpoint gone on from, and not by the
            loss in which it ended.
        window: How many rounds back the GA and PSO look.
        age: What each round of age adds to a score, for the GA.
        individuals: How many the GA breeds from.
        step: The GA's mutation, in the unit cube.
        rl: The policy. It is never spent: what is good moves on while the model trains.
        credit: How the proposers share the replaced members.
    """

    begin: float = 0.5
    first: float = 0.125
    last: float = 1.0
    parents: float = 0.5
    reach: float = 0.3
    gain: float = 0.5
    window: int = 4
    age: float = 0.2
    individuals: int = 16
    step: float = 0.1
    rl: RL = _POLICY
    credit: Credit = _SHARING

    def replaced(self, progress: float, slots: int) -> int:
        """How many members are replaced, of those in so many slots.

        One that is alone has nobody to be chosen from: it explores in every round.

        Args:
            progress: From 0, in the first round, to 1, in the last.
            slots: How many members there are.
        """
        if progress < self.begin and slots > 1:
            return 0
        late = (progress - self.begin) / (1 - self.begin)
        share = self.first + (self.last - self.first) * max(0.0, late)
        return min(slots, max(1, int(share * slots + 0.5)))

    def bred_from(self, slots: int) -> int:
        """How many checkpoints others go on from: one at least."""
        return max(1, int(self.parents * slots + 0.5))


RULES = Rules()
