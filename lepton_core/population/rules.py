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
    https://arxiv.org/abs/2109.13800). A low learning rate is the plainest case: a member that
    changes to one is ahead at once, and soon all are copies of it, which settled too early. So
    members keep their settings in the first half, but for those that are replaced. From then on all
    explore, most of them where they are: a member that is behind may only need a lower learning
    rate to be ahead, which a copy of another would never show.

    Attributes:
        begin: The share of the training before which nobody explores but who is replaced.
        copied: The share of members, the worst ones, that go on from copies in each round.
        parents: The share of checkpoints, the best ones, that others go on from.
        tournament: How many parents are drawn for the best of them to be copied.
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
    copied: float = 0.25
    parents: float = 0.5
    tournament: int = 2
    reach: float = 0.3
    gain: float = 0.5
    window: int = 4
    age: float = 0.2
    individuals: int = 16
    step: float = 0.1
    rl: RL = _POLICY
    credit: Credit = _SHARING

    def explores(self, progress: float) -> bool:
        """Whether members that are not replaced get new settings.

        Args:
            progress: From 0, in the first round, to 1, in the last.
        """
        return progress >= self.begin

    def replaced(self, slots: int) -> int:
        """How many members go on from copies, of those in so many slots.

        One that is alone does too: it goes back to the best checkpoint that it had.
        """
        return max(1, int(self.copied * slots + 0.5))

    def bred_from(self, slots: int) -> int:
        """How many checkpoints others go on from: one at least."""
        return max(1, int(self.parents * slots + 0.5))


RULES = Rules()
