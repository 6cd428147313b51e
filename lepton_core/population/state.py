"""What a population remembers: where each lineage is, and what settings did lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lepton_core.canonical import Value
from lepton_core.credit import CreditState
from lepton_core.proposers.base import Point
from lepton_core.proposers.rl import RLState


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A usable trial, from whose checkpoint members can go on.

    Attributes:
        number: The trial's.
        loss: At the end of its interval: what is minimised.
        params: The settings that it trained with.
        moved: ``(d,)``, how far in the unit cube they lie from those of the checkpoint before.
    """

    number: int
    loss: float
    params: Mapping[str, Value]
    moved: Point


@dataclass(frozen=True, slots=True)
class Experience:
    """What settings did in one interval.

    Attributes:
        number: The trial's.
        slot: The member's.
        point: ``(d,)``, the settings in the unit cube.
        active: Which coordinates mean something there.
        gain: The loss in which it ended, less the one it began with: lower is better.
        score: From 0 to 1, among the members of its round: lower is better.
    """

    number: int
    slot: int
    point: Point
    active: tuple[bool, ...]
    gain: float
    score: float


@dataclass(frozen=True, slots=True)
class PopulationState:
    """The members by slot, and what the proposers learn from.

    Attributes:
        lineages: The last usable checkpoint of each member's lineage; None: it never had one.
        usable: Whether each member's last trial was usable.
        best: The checkpoint of the lowest loss so far.
        recent: The experiences of the last rounds, oldest first.
        rl: What the policy has learned.
        credit: What each proposer has earned.
    """

    lineages: tuple[Checkpoint | None, ...]
    usable: tuple[bool, ...]
    best: Checkpoint | None
    recent: tuple[tuple[Experience, ...], ...]
    rl: RLState
    credit: CreditState = field(default_factory=CreditState)

    @property
    def checkpoints(self) -> dict[int, Checkpoint]:
        """Those that a member can go on from, by number."""
        known = (*self.lineages, self.best)
        return {one.number: one for one in known if one is not None}
