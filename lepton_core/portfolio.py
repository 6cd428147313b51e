"""The portfolio: who proposes in which slot of a generation, and what each has learned.

The sweep's start points come first, then a generation of scrambled Sobol points; from then on the
members take turns by the trial's number, so that each gets an equal share whatever the
generations' sizes. Every candidate says who proposed it and from what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import TrialRecord
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.base import Ask, Candidate, Seen

START = "start"  # who "proposed" the user's own starting points
OPENER = "sobol"  # who proposes before there is anything to learn from
OPENING_GENERATIONS = 1


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """What each member has learned, by name."""

    members: Mapping[str, Any] = field(default_factory=dict)


def init(declaration: Declaration) -> PortfolioState:
    """The state before any trial.

    Raises:
        RecordError: The sweep has a proposer that this version does not know.
    """
    names = dict.fromkeys((OPENER, *declaration.portfolio.proposers))
    for name in names:
        if name not in PROPOSERS:
            raise RecordError(
                f"sweep {declaration.name!r} has the proposer {name!r}; this Lepton knows "
                f"{', '.join(PROPOSERS)}. Upgrade Lepton to go on with it.",
                proposer=name,
            )
    return PortfolioState({name: PROPOSERS[name].init(declaration.space) for name in names})


def update(
    state: PortfolioState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PortfolioState:
    """The state after a sealed generation; every member sees every trial."""
    return PortfolioState(
        {
            name: PROPOSERS[name].update(member, trials, declaration.direction)
            for name, member in state.members.items()
        }
    )


def allot(declaration: Declaration, *, generation: int, first_number: int, slots: int) -> list[str]:
    """Who proposes in each slot."""
    starts = min(slots, max(0, len(declaration.start_from) - first_number))
    if starts or generation < OPENING_GENERATIONS:
        return [START] * starts + [OPENER] * (slots - starts)
    members = declaration.portfolio.proposers
    return [members[(first_number + slot) % len(members)] for slot in range(slots)]


def suggest(
    state: PortfolioState,
    declaration: Declaration,
    *,
    generation: int,
    first_number: int,
    slots: int,
    seen: Seen,
) -> tuple[Candidate, ...]:
    """One candidate a slot, none of which was tried before where the space has others left."""
    names = allot(declaration, generation=generation, first_number=first_number, slots=slots)
    chosen: dict[int, Candidate] = {
        slot: Candidate(
            params=declaration.start_from[first_number + slot],
            proposer=START,
            origin={"index": first_number + slot},
        )
        for slot, name in enumerate(names)
        if name == START
    }
    for name, member in state.members.items():
        mine = tuple(slot for slot in range(slots) if names[slot] == name)
        if mine:
            ask = Ask(
                space=declaration.space,
                seed=declaration.seed,
                generation=generation,
                slots=mine,
                seen=seen.and_also(declaration.space.key(c.params) for c in chosen.values()),
            )
            candidates = PROPOSERS[name].suggest(member, ask)
            chosen.update(zip(mine, candidates, strict=True))
    return tuple(chosen[slot] for slot in range(slots))
