"""Sweeps with a judge: declared, let loose on a function, and seen as one proposer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lepton_core import portfolio
from lepton_core.declaration import Budget, Declaration, Portfolio
from lepton_core.events import Failure, GenerationSealed, SweepDeclared, TrialRecord
from lepton_core.fold import SweepState, evolve
from lepton_core.judge.state import JudgeState
from lepton_core.plan import plan, slots_left
from lepton_core.pools import JUDGED_PROPOSERS
from lepton_core.portfolio import OPENER, PortfolioState
from lepton_core.proposers.base import Ask, Candidate, Told
from lepton_core.proposers.sobol import SobolState
from lepton_core.rng import rng
from lepton_core.space import Space
from lepton_core.strategies import finished

FAILED = Failure(kind="exception", reason="as the test asked")


def declared(space: Space, **changes: Any) -> Declaration:
    """A sweep with a judge, and with what is changed of it."""
    judged = Portfolio(proposers=JUDGED_PROPOSERS, judge=True)
    return replace(Declaration(name="demo", space=space, portfolio=judged), **changes)


def swept(
    declaration: Declaration,
    objective: Callable[[Mapping[str, Any]], float | None],
    trials: int,
) -> tuple[list[Any], SweepState]:
    """The events of a sweep of a function, and its last state; None for a value is a failure."""
    events: list[Any] = [SweepDeclared(declaration=declaration)]
    state = evolve(None, events[0])
    while slots := slots_left(state, Budget(trials=trials)):
        told = []
        for proposal in plan(state, slots):
            value = objective(proposal.params)
            failure = FAILED if value is None else None
            told.append(TrialRecord(proposal=proposal, value=value, failure=failure))
        events.append(
            GenerationSealed(
                generation=state.generations_done, trials=tuple(told), driven_s=state.driven_s + 1
            )
        )
        state = evolve(state, events[-1])
    return events, state


def trials_of(events: list[Any]) -> list[TrialRecord]:
    """All trials of a sweep."""
    return [trial for event in events[1:] for trial in event.trials]


@dataclass(frozen=True, slots=True)
class JudgedState:
    """What a portfolio with a judge has learned, and how many trials it was told of."""

    opener: SobolState = field(default_factory=SobolState)
    judge: JudgeState = field(default_factory=JudgeState)
    trials: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A portfolio with a judge as one proposer, so that it can be held to the laws of one.

    Its candidates bear its own name, and that of who proposed them in their origin.

    Attributes:
        warm: How many trials it has seen before it is asked first: from 8 on, the judge decides.
    """

    name: str = "judged"
    warm: int = 0

    def init(self, space: Space) -> JudgedState:
        """The state after the trials that it has seen, of which each fifth failed."""
        generator = rng(self.warm, "warm")
        trials = tuple(
            finished(
                Candidate(params=space.decode(generator.random(len(space))), proposer="other"),
                float(generator.random()) if number % 5 else FAILED,
                generation=0,
                slot=number,
                slots=self.warm,
                number=number,
            )
            for number in range(self.warm)
        )
        return self.update(JudgedState(), Told(space, trials)) if trials else JudgedState()

    def suggest(self, state: JudgedState, ask: Ask) -> tuple[Candidate, ...]:
        """One candidate for each of the asked slots, as of a generation of no others."""
        found = portfolio.suggest(
            PortfolioState({OPENER: state.opener}, judge=state.judge),
            declared(ask.space, seed=ask.seed),
            generation=ask.generation + (self.warm > 0),
            first_number=state.trials,
            slots=len(ask.slots),
            seen=ask.seen,
        )
        return tuple(
            Candidate(
                params=one.params, proposer=self.name, origin={**one.origin, "by": one.proposer}
            )
            for one in found
        )

    def update(self, state: JudgedState, told: Told) -> JudgedState:
        """The state after a sealed generation."""
        trials = tuple(
            replace(one, proposal=replace(one.proposal, proposer=one.proposal.origin["by"]))
            if one.proposal.proposer == self.name
            else one
            for one in told.trials
        )
        before = PortfolioState({OPENER: state.opener}, judge=state.judge)
        after = portfolio.update(before, declared(told.space, direction=told.direction), trials)
        return JudgedState(after.members[OPENER], after.judge, state.trials + len(trials))
