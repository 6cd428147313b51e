"""The portfolio: who proposes in which slot of a generation, and what each has learned.

The sweep's start points come first, then a generation of scrambled Sobol points; from then on the
members share the slots by what each has earned lately (see `lepton_core.credit`). Every candidate
says who proposed it and from what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lepton_core import credit
from lepton_core.credit import Credit, CreditState
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import TrialRecord
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.base import Ask, Candidate, Proposer, Seen, Told

START = "start"  # who "proposed" the user's own starting points
OPENER = "sobol"  # who proposes before there is anything to learn from
OPENING_GENERATIONS = 1
CREDIT = "credit"  # the name of the sharing's own settings


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """What each member has learned, by name, and what it has earned."""

    members: Mapping[str, Any] = field(default_factory=dict)
    credit: CreditState = field(default_factory=CreditState)


def team(declaration: Declaration) -> dict[str, Proposer[Any]]:
    """The proposers with the sweep's settings: the opener, then the members.

    Raises:
        RecordError: The sweep has a proposer, or a setting, that this version does not know.
    """
    found = {}
    for name in dict.fromkeys((OPENER, *declaration.portfolio.proposers)):
        if name not in PROPOSERS:
            raise RecordError(
                f"sweep {declaration.name!r} has the proposer {name!r}; this Lepton knows "
                f"{', '.join(PROPOSERS)}. Upgrade Lepton to go on with it.",
                proposer=name,
            )
        found[name] = _configured(PROPOSERS[name], name, declaration)
    return found


def _configured(kind: Any, name: str, declaration: Declaration) -> Any:
    settings = declaration.portfolio.settings.get(name, {})
    try:
        return kind(**settings)
    except TypeError:
        raise RecordError(
            f"sweep {declaration.name!r} sets {', '.join(settings)} of {name}, which this Lepton "
            "does not know. Upgrade Lepton to go on with it.",
            proposer=name,
        ) from None


def init(declaration: Declaration) -> PortfolioState:
    """The state before any trial.

    Raises:
        RecordError: The sweep has a proposer, or a setting, that this version does not know.
    """
    _configured(Credit, CREDIT, declaration)
    return PortfolioState(
        {name: proposer.init(declaration.space) for name, proposer in team(declaration).items()}
    )


def update(
    state: PortfolioState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PortfolioState:
    """The state after a sealed generation; every member sees every trial."""
    told = Told(declaration.space, tuple(trials), declaration.direction)
    proposers = team(declaration)
    return PortfolioState(
        {name: proposers[name].update(member, told) for name, member in state.members.items()},
        credit.update(
            _configured(Credit, CREDIT, declaration),
            state.credit,
            declaration.portfolio.proposers,
            told,
            shared=not _is_opening(
                declaration,
                generation=trials[0].proposal.generation,
                first_number=trials[0].proposal.number,
            ),
        ),
    )


def shares(state: PortfolioState, declaration: Declaration) -> dict[str, float]:
    """Each member's share of the slots to come."""
    config = _configured(Credit, CREDIT, declaration)
    return credit.shares(config, state.credit, declaration.portfolio.proposers)


def _is_opening(declaration: Declaration, *, generation: int, first_number: int) -> bool:
    """Whether a generation's slots are the starting points' and the opener's."""
    return generation < OPENING_GENERATIONS or first_number < len(declaration.start_from)


def allot(
    state: PortfolioState,
    declaration: Declaration,
    *,
    generation: int,
    first_number: int,
    slots: int,
) -> list[str]:
    """Who proposes in each slot."""
    if _is_opening(declaration, generation=generation, first_number=first_number):
        starts = min(slots, max(0, len(declaration.start_from) - first_number))
        return [START] * starts + [OPENER] * (slots - starts)
    config = _configured(Credit, CREDIT, declaration)
    return credit.allot(config, state.credit, declaration.portfolio.proposers, slots)


def suggest(
    state: PortfolioState,
    declaration: Declaration,
    *,
    generation: int,
    first_number: int,
    slots: int,
    seen: Seen,
) -> tuple[Candidate, ...]:
    """One candidate a slot, none of which was tried before where the space has others left.

    Tried is what was ever proposed, failed or not. It holds exactly in a space of up to
    `lepton_core.space.MAX_LISTED` configurations; in one of more, a proposer gives up after twice
    `lepton_core.proposers.base.MAX_REDRAWS` draws, of which the later are half uniform. A starting
    point is run whatever was tried.
    """
    names = allot(state, declaration, generation=generation, first_number=first_number, slots=slots)
    chosen: dict[int, Candidate] = {
        slot: Candidate(
            params=declaration.start_from[first_number + slot],
            proposer=START,
            origin={"index": first_number + slot},
        )
        for slot, name in enumerate(names)
        if name == START
    }
    for name, proposer in team(declaration).items():
        mine = tuple(slot for slot in range(slots) if names[slot] == name)
        if mine:
            ask = Ask(
                space=declaration.space,
                seed=declaration.seed,
                generation=generation,
                slots=mine,
                seen=seen.and_also(declaration.space.key(c.params) for c in chosen.values()),
            )
            candidates = proposer.suggest(state.members[name], ask)
            chosen.update(zip(mine, candidates, strict=True))
    return tuple(chosen[slot] for slot in range(slots))
