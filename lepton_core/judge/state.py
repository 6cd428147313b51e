"""What the judge keeps from generation to generation: it is folded, never fitted.

Models are fitted when candidates are asked for, from this alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from lepton_core.judge import archive, region
from lepton_core.judge.archive import Archive
from lepton_core.judge.region import Region
from lepton_core.proposers.base import Told

LATELY = 64  # choices
JUDGES = ("global", "local")  # what a choice's origin says of who made it


@dataclass(frozen=True, slots=True)
class JudgeState:
    """The judge's memory.

    Attributes:
        archive: The trials that are remembered.
        region: The trust region's size.
        chosen: Whose candidates it chose lately.
    """

    archive: Archive = field(default_factory=Archive)
    region: Region = field(default_factory=Region)
    chosen: tuple[str, ...] = ()


def update(state: JudgeState, told: Told) -> JudgeState:
    """The state after a generation."""
    before = [one.loss for one in state.archive.usable if one.loss is not None]
    now = [loss for loss in told.losses if loss < inf]
    proposals = [trial.proposal for trial in told.trials]
    chosen = [one.proposer for one in proposals if one.origin.get("judge") in JUDGES]
    return JudgeState(
        archive=archive.update(state.archive, told),
        region=region.update(state.region, before, now, len(told.trials)),
        chosen=(*state.chosen, *chosen)[-LATELY:],
    )


def shares(state: JudgeState, members: Sequence[str]) -> dict[str, float]:
    """Whose candidates the judge chose lately, as shares; without any choice they are even."""
    if not state.chosen:
        return dict.fromkeys(members, 1 / len(members))
    return {name: state.chosen.count(name) / len(state.chosen) for name in members}
