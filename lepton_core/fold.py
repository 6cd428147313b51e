"""The optimizer's state as a pure fold over the record: ``replay(events)``.

`evolve` copies what was decided; it proposes nothing and draws no number, so an old history gives
the same state under every later version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from lepton_core import portfolio
from lepton_core.canonical import shown
from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import RecordError
from lepton_core.events import (
    Event,
    Failure,
    GenerationSealed,
    SettingsAmended,
    SweepDeclared,
    TrialRecord,
    best_of,
)
from lepton_core.portfolio import PortfolioState
from lepton_core.proposers.base import Seen
from lepton_core.values import is_number


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """All that decides what is proposed next.

    Attributes:
        generations_done: How many generations are sealed. Their trials are in the record.
        trials_done: How many trials those are.
        failed: How many of them failed.
        last_failure: The last of those.
        proposed: How many of them each proposer proposed.
        best: The usable trial of the lowest loss; of equals, the one proposed first.
        driven_s: Seconds of driving up to the last seal.
        seen: The configurations tried, by key.
    """

    declaration: Declaration
    settings: Settings | None = None
    generations_done: int = 0
    trials_done: int = 0
    failed: int = 0
    last_failure: Failure | None = None
    proposed: Mapping[str, int] = field(default_factory=dict)
    best: TrialRecord | None = None
    driven_s: float = 0.0
    seen: Seen = field(default_factory=Seen)
    portfolio: PortfolioState = field(default_factory=PortfolioState)


def evolve(state: SweepState | None, event: Event) -> SweepState:
    """The state after one more event.

    Raises:
        RecordError: The event cannot follow: a second declaration, a seal before any declaration
            or out of order, a slot missing or twice, a trial out of place or with no one result.
    """
    match event:
        case SweepDeclared(declaration=declaration):
            if state is not None:
                raise RecordError(
                    f"sweep {declaration.name!r} is declared twice; expected one declaration",
                    name=declaration.name,
                )
            return SweepState(
                declaration=declaration,
                portfolio=portfolio.init(declaration),
            )
        case SettingsAmended(settings=settings):
            return replace(_declared(state), settings=settings)
        case GenerationSealed():
            return _seal(_declared(state), event)
        case _:
            raise RecordError(f"found {shown(event)}; expected an event of lepton_core.events")


def replay(events: Iterable[Event], *, start: SweepState | None = None) -> SweepState:
    """The state after all these events.

    In two parts it is the same: ``replay(a + b) == replay(b, start=replay(a))``.

    Raises:
        RecordError: There are no events, or they do not follow one another.
    """
    state = reduce(evolve, events, start)
    return _declared(state)


def _declared(state: SweepState | None) -> SweepState:
    if state is None:
        raise RecordError("the history holds no declaration; expected it first")
    return state


def _seal(state: SweepState, event: GenerationSealed) -> SweepState:
    expected = state.generations_done
    slots = [trial.proposal.slot for trial in event.trials]
    if event.generation != expected or slots != list(range(len(slots))) or not slots:
        raise RecordError(
            f"seal of generation {shown(event.generation)} with slots {shown(slots)}; "
            f"expected generation {expected} with slots 0, 1, ... once each",
            generation=event.generation,
        )
    for trial in event.trials:
        _check_trial(state, trial)
    failures = [trial.failure for trial in event.trials if trial.failure]
    proposed = Counter(state.proposed) + Counter(t.proposal.proposer for t in event.trials)
    return replace(
        state,
        generations_done=state.generations_done + 1,
        trials_done=state.trials_done + len(event.trials),
        failed=state.failed + len(failures),
        last_failure=failures[-1] if failures else state.last_failure,
        proposed=dict(sorted(proposed.items())),
        best=best_of((state.best, *event.trials), state.declaration.direction),
        driven_s=event.driven_s,
        seen=state.seen.and_also(
            state.declaration.space.key(t.proposal.params) for t in event.trials
        ),
        portfolio=portfolio.update(state.portfolio, state.declaration, event.trials),
    )


def _check_trial(state: SweepState, trial: TrialRecord) -> None:
    generation, number = state.generations_done, state.trials_done + trial.proposal.slot
    found = (trial.proposal.generation, trial.proposal.number)
    if found != (generation, number):
        raise RecordError(
            f"slot {trial.proposal.slot} of the seal of generation {generation} holds trial "
            f"{shown(found[1])} of generation {shown(found[0])}; expected trial {number}",
            number=found[1],
        )
    usable, failed = is_number(trial.value), trial.failure is not None
    if usable == failed or not (usable or trial.value is None):
        raise RecordError(
            f"trial {number} has the value {shown(trial.value)} and the failure "
            f"{shown(trial.failure)}; expected a finite value or a failure",
            number=number,
        )
