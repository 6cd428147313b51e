"""What the judge keeps from generation to generation: it is folded, never fitted.

Models are fitted when candidates are asked for, from this alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from lepton_core.judge import archive, region
from lepton_core.judge.archive import Archive
from lepton_core.judge.region import Region
from lepton_core.proposers.base import Told


@dataclass(frozen=True, slots=True)
class JudgeState:
    """The judge's memory.

    Attributes:
        archive: The trials that are remembered.
        region: The trust region's size.
    """

    archive: Archive = field(default_factory=Archive)
    region: Region = field(default_factory=Region)


def update(state: JudgeState, told: Told) -> JudgeState:
    """The state after a generation."""
    before = [one.loss for one in state.archive.usable if one.loss is not None]
    now = [loss for loss in told.losses if loss < inf]
    return JudgeState(
        archive=archive.update(state.archive, told),
        region=region.update(state.region, before, now, len(told.trials)),
    )
