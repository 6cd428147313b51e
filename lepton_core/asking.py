"""Ask and tell, as pure functions: a sweep with its open generation, trial by trial.

Trials are handed out slot by slot and told in any order. The generation is sealed once all of it is
told, so what is proposed next depends on neither the order nor on who had which trial when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lepton_core import portfolio
from lepton_core.canonical import shown
from lepton_core.declaration import Budget, Declaration, Direction
from lepton_core.errors import SweepError
from lepton_core.events import (
    Event,
    Failure,
    GenerationSealed,
    Proposal,
    SweepDeclared,
    TrialRecord,
    best_of,
    sealed_trials,
)
from lepton_core.fold import SweepState, evolve, replay
from lepton_core.keys import listing
from lepton_core.plan import plan, slots_left
from lepton_core.recommendation import recommended


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A sweep that is asked and told.

    Attributes:
        events: Its history: the declaration and the seals.
        state: The fold of them.
        proposals: The open generation's, by slot; empty if none was begun.
        out: The slots handed out and not told yet.
        told: What was told of the open generation, by slot.
    """

    events: tuple[Event, ...]
    state: SweepState
    proposals: tuple[Proposal, ...] = ()
    out: frozenset[int] = frozenset()
    told: Mapping[int, TrialRecord] = field(default_factory=dict)

    @property
    def trials_told(self) -> int:
        """How many trials were told, failed ones too."""
        return self.state.trials_done + len(self.told)

    @property
    def trials_within_reach(self) -> int:
        """How many trials can be told while nothing is told of those that are handed out."""
        return self.state.trials_done + len(self.proposals) - len(self.out)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self.state.failed + sum(t.failure is not None for t in self.told.values())

    @property
    def best(self) -> TrialRecord | None:
        """The usable trial of the lowest loss, of those that are not sealed yet too."""
        known = (self.state.best, *self.told.values())
        return best_of(known, self.state.declaration.direction)

    @property
    def advised(self) -> TrialRecord | None:
        """The trial to use, of those that are not sealed yet too."""
        state, told = self.state, tuple(self.told[slot] for slot in sorted(self.told))
        if told and state.declaration.portfolio.judge:
            learned = portfolio.update(state.portfolio, state.declaration, told)
            state = replace(state, portfolio=learned)
        number = recommended(replace(state, best=self.best))
        return next((t for t in self.trials() if t.proposal.number == number), None)

    def trials(self) -> list[TrialRecord]:
        """Every trial told, in the order of proposal."""
        return [*sealed_trials(self.events), *(self.told[slot] for slot in sorted(self.told))]


def begin(declaration: Declaration) -> Asking:
    """A sweep before any trial."""
    declared = SweepDeclared(declaration=declaration)
    return Asking(events=(declared,), state=replay([declared]))


def ask(at: Asking, n: int, budget: Budget) -> tuple[Asking, tuple[Proposal, ...]]:
    """Hand out up to n trials of the open generation; the next one is begun when it is all told.

    Returns:
        No trial, if none will come: the budget is met, or the space has no other configurations.

    Raises:
        SweepError: All of the open generation is handed out; it names the trials that are untold.

    Example:
        >>> from lepton_core.declaration import Portfolio
        >>> from lepton_core.space import Float, Space
        >>> at = begin(Declaration(name="demo", space=Space({"x": Float(0, 1)}), generation=2,
        ...                        portfolio=Portfolio(proposers=("random",))))
        >>> at, trials = ask(at, 5, Budget(trials=3))
        >>> [trial.number for trial in trials]
        [0, 1]
        >>> at = tell(tell(at, 1, 0.5), 0, Failure(kind="told", reason="no luck"))
        >>> [trial.number for trial in ask(at, 5, Budget(trials=3))[1]]
        [2]
    """
    if not at.proposals:
        slots = slots_left(at.state, budget)
        at = replace(at, proposals=plan(at.state, slots) if slots else ())
    waiting = [p for p in at.proposals if p.slot not in at.out and p.slot not in at.told]
    if at.out and not waiting and _follows(at, budget):
        raise waited_for(at)
    given = tuple(waiting[:n])
    return replace(at, out=at.out.union(p.slot for p in given)), given


def waited_for(at: Asking) -> SweepError:
    """The error that nothing can follow before what is handed out was told."""
    numbers = [at.proposals[slot].number for slot in sorted(at.out)]
    return SweepError(
        f"generation {at.state.generations_done} waits for trials {listing(numbers)}, which were "
        "handed out; tell their values or errors first, then ask for others",
        untold=tuple(numbers),
    )


def _follows(at: Asking, budget: Budget) -> bool:
    """Whether another generation follows the open one."""
    space = at.state.declaration.space
    after = replace(
        at.state,
        trials_done=at.state.trials_done + len(at.proposals),
        seen=at.state.seen.and_also(space.key(p.params) for p in at.proposals),
    )
    return slots_left(after, budget) > 0


def take_back(at: Asking, number: int) -> Asking:
    """A trial that was handed out will not be told: it is the next one to be handed out again."""
    return replace(at, out=at.out - {number - at.state.trials_done})


def handed_out(at: Asking, number: int) -> Proposal:
    """The proposal of a trial that is handed out and not told.

    Raises:
        SweepError: The trial was told before, or is not handed out.
    """
    slot = number - at.state.trials_done
    if slot not in at.out:
        raise _not_out(at, number)
    return at.proposals[slot]


def tell(at: Asking, number: int, result: float | Failure) -> Asking:
    """What came of a trial; the last one of a generation seals it.

    Args:
        at: The sweep so far.
        number: The trial's.
        result: The finite value, in the user's own sign, or the failure.

    Raises:
        SweepError: The trial was told before, or is not handed out.
    """
    proposal = handed_out(at, number)
    failure = result if isinstance(result, Failure) else None
    value = None if isinstance(result, Failure) else result
    return take(at, TrialRecord(proposal=proposal, value=value, failure=failure))


def take(at: Asking, record: TrialRecord, *, driven_s: float = 0.0) -> Asking:
    """A trial that is handed out has this record; the last one of a generation seals it.

    Args:
        at: The sweep so far.
        record: Of one of `Asking.proposals`.
        driven_s: Seconds of driving up to now, for the seal.
    """
    slot = record.proposal.slot
    told = {**at.told, slot: record}
    if len(told) < len(at.proposals):
        return replace(at, told=told, out=at.out - {slot})
    event = GenerationSealed(
        generation=at.state.generations_done,
        trials=tuple(told[s] for s in sorted(told)),
        driven_s=driven_s,
    )
    return Asking(events=(*at.events, event), state=evolve(at.state, event))


def _not_out(at: Asking, number: int) -> SweepError:
    known = next((t for t in at.trials() if t.proposal.number == number), None)
    if known is not None:
        found = f"value {known.value!r}" if known.failure is None else f"{known.failure.kind}"
        return SweepError(
            f"trial {number} was told already ({found}); a trial is told once", number=number
        )
    numbers = [at.proposals[slot].number for slot in sorted(at.out)]
    return SweepError(
        f"trial {shown(number)} is not handed out; there are {listing(numbers)}, "
        "and ask() hands out others",
        number=number,
    )


def directed(at: Asking, direction: Direction) -> Asking:
    """The same sweep in a direction; nothing that was proposed so far depends on it.

    Raises:
        SweepError: Values were told already, in the other direction.
    """
    declaration = at.state.declaration
    if declaration.direction == direction:
        return at
    if at.trials_told:
        raise SweepError(
            f"{at.trials_told} trials were told in the direction {declaration.direction}; "
            f"to {direction}, begin with another optimizer",
            direction=declaration.direction,
        )
    turned = begin(replace(declaration, direction=direction))
    return replace(turned, proposals=at.proposals, out=at.out)
