"""The portfolio: who proposes in which slot of a generation, and what each has learned.

The sweep's start points come first, then some scrambled Sobol points. From then on, in a sweep with
a judge, the members fill pools of candidates and the judge chooses among them (see
`lepton_core.judge`); in one without, they share the slots by what each has earned lately (see
`lepton_core.credit`). Every candidate says who proposed it and from what. Where a model is tuned
while it trains, all of this is the population's (see `lepton_core.population`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lepton_core import credit, population
from lepton_core.canonical import shown
from lepton_core.credit import Credit, CreditState
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import TrialRecord
from lepton_core.judge import state as judging
from lepton_core.judge.state import JudgeState
from lepton_core.pools import POOLS
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.base import Ask, Candidate, Proposer, Seen, Told
from lepton_core.proposers.origins import check_origin
from lepton_core.proposers.random import Random
from lepton_core.proposers.settings import Setting, settings_of
from lepton_core.values import is_number

START = "start"  # who "proposed" the user's own starting points
OPENER = "sobol"  # who proposes before there is anything to learn from
OPENING_GENERATIONS = 1
OPENING_TRIALS = 8  # in a sweep with a judge, however small its generations are
LEAST_USABLE = 2  # trials, for a judge to learn from
CREDIT = "credit"  # the name of the sharing's own settings
POPULATION = "population"  # whose the slots are where a model is tuned while it trains
JUDGE = "judge"  # whose the slots are that the judge fills


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """What each member has learned, by name, what it has earned, and what the judge remembers."""

    members: Mapping[str, Any] = field(default_factory=dict)
    credit: CreditState = field(default_factory=CreditState)
    judge: JudgeState = field(default_factory=JudgeState)


def team(declaration: Declaration) -> dict[str, Proposer[Any]]:
    """The proposers that learn, with the sweep's settings: the opener, then the members.

    Under a judge the members draw from what the judge remembers, and learn nothing themselves.

    Raises:
        RecordError: The sweep has a proposer, or a setting, that this version does not know.
    """
    names, judged = declaration.portfolio.proposers, declaration.portfolio.judge
    known: Iterable[str] = POOLS if judged else PROPOSERS
    for name in names:
        if name not in known:
            raise RecordError(
                f"sweep {declaration.name!r} has the proposer {name!r}; this Lepton knows "
                f"{', '.join(known)}. Upgrade Lepton to go on with it.",
                proposer=name,
            )
    if judged:
        return {OPENER: PROPOSERS[OPENER](centre=True)}
    return {
        name: _configured(PROPOSERS[name], name, declaration)
        for name in dict.fromkeys((OPENER, *names))
    }


def _configured(kind: Any, name: str, declaration: Declaration) -> Any:
    settings = declaration.portfolio.settings.get(name, {})
    known = settings_of(kind)
    for key, value in settings.items():
        one = known.get(key)
        if one is None or not _fits(value, one):
            raise RecordError(
                f"sweep {declaration.name!r} sets {key} of {name} to {shown(value)}, which this "
                "Lepton does not know. Upgrade Lepton to go on with it.",
                proposer=name,
            )
    return kind(**settings)


def _fits(value: Any, one: Setting) -> bool:
    is_kind = not isinstance(one.default, int) or isinstance(value, int)
    return is_kind and is_number(value) and one.low <= value <= one.high


def init(declaration: Declaration) -> PortfolioState:
    """The state before any trial.

    Raises:
        RecordError: The sweep has a proposer, or a setting, that this version does not know.
    """
    _configured(Credit, CREDIT, declaration)
    if declaration.training:
        return PortfolioState({POPULATION: population.init(declaration)})
    return PortfolioState(
        {name: proposer.init(declaration.space) for name, proposer in team(declaration).items()}
    )


def update(
    state: PortfolioState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PortfolioState:
    """The state after a sealed generation; every member sees every trial.

    Raises:
        RecordError: A trial's origin is not one that its proposer writes.
    """
    if declaration.training:
        learned = population.update(state.members[POPULATION], declaration, trials)
        return PortfolioState({POPULATION: learned})
    told = Told(declaration.space, tuple(trials), declaration.direction)
    proposers = team(declaration)
    for trial in trials:
        if trial.proposal.proposer in proposers:
            check_origin(trial.proposal, declaration.space)
    members = {name: proposers[name].update(one, told) for name, one in state.members.items()}
    if declaration.portfolio.judge:
        return PortfolioState(members, judge=judging.update(state.judge, told))
    return PortfolioState(
        members,
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
    """Each member's share of the slots to come; under a judge, of those that it filled lately."""
    if declaration.training:
        return population.shares(state.members[POPULATION], declaration)
    if declaration.portfolio.judge:
        return judging.shares(state.judge, declaration.portfolio.proposers)
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
    if declaration.portfolio.judge:
        return _judged_slots(state, declaration, first_number, slots)
    if _is_opening(declaration, generation=generation, first_number=first_number):
        starts = min(slots, max(0, len(declaration.start_from) - first_number))
        return [START] * starts + [OPENER] * (slots - starts)
    config = _configured(Credit, CREDIT, declaration)
    return credit.allot(config, state.credit, declaration.portfolio.proposers, slots)


def _judged_slots(
    state: PortfolioState, declaration: Declaration, first_number: int, slots: int
) -> list[str]:
    """Which slots of a sweep with a judge are the starting points', the opener's, the judge's."""
    usable = len(state.judge.archive.usable)
    opening = OPENING_TRIALS if usable >= LEAST_USABLE else first_number + slots
    starts = len(declaration.start_from)
    return [
        START if number < starts else OPENER if number < opening else JUDGE
        for number in range(first_number, first_number + slots)
    ]


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
    if declaration.training:
        members = state.members[POPULATION]
        return population.suggest(members, declaration, generation=generation, slots=slots)
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
    proposers = team(declaration)
    for name in (*proposers, JUDGE):
        mine = tuple(slot for slot in range(slots) if names[slot] == name)
        if not mine:
            continue
        ask = Ask(
            space=declaration.space,
            seed=declaration.seed,
            generation=generation,
            slots=mine,
            seen=seen.and_also(declaration.space.key(c.params) for c in chosen.values()),
        )
        if name == JUDGE:
            candidates = _judged(state, declaration, ask, first_number)
        else:
            candidates = proposers[name].suggest(state.members[name], ask)
        chosen.update(zip(mine, candidates, strict=True))
    return tuple(chosen[slot] for slot in range(slots))


def _judged(
    state: PortfolioState, declaration: Declaration, ask: Ask, first_number: int
) -> tuple[Candidate, ...]:
    """Replicates, the judge's choice, and uniform points where it has none left."""
    # SciPy takes half a second, which replay can do without.
    from lepton_core.judge.replicate import replicates  # noqa: PLC0415

    wanted = declaration.portfolio.replicates
    again = replicates(state.judge.archive, ask, first_number, wanted)
    others = tuple(slot for slot in ask.slots if slot not in again)
    fresh = _chosen(state, declaration, replace(ask, slots=others), first_number)
    found = {**again, **dict(zip(others, fresh, strict=True))}
    return tuple(found[slot] for slot in ask.slots)


def _chosen(
    state: PortfolioState, declaration: Declaration, ask: Ask, first_number: int
) -> tuple[Candidate, ...]:
    """The judge's choice, and uniform points where it has none left."""
    from lepton_core.judge.choose import choose  # noqa: PLC0415

    if not ask.slots:
        return ()
    found = choose(state.judge, declaration.portfolio.proposers, ask, first_number)
    if len(found) == len(ask.slots):
        return found
    rest = replace(
        ask,
        slots=ask.slots[len(found) :],
        seen=ask.seen.and_also(ask.space.key(one.params) for one in found),
    )
    uniform = Random()
    return (*found, *uniform.suggest(uniform.init(ask.space), rest))
