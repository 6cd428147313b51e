"""The generation loop: plan, evaluate, seal, until the target is met or somebody asks to stop.

It serves everyone: the Prefect flow gives it a mapper that submits tasks, the library face one that
calls, tests their own. All it knows of the world are its ports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from lepton_core.declaration import Budget
from lepton_core.errors import NothingUsableError, RecordError
from lepton_core.events import GenerationSealed, Proposal, TrialRecord, shared_failure
from lepton_core.fold import SweepState, evolve
from lepton_core.plan import plan, slots_left, untried
from lepton_flows.night import Night
from lepton_flows.observer import Observer
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.trial import Evaluator, StopSignal, TrialLedger, run_slot


class Ledger(TrialLedger, Protocol):
    """What the loop needs of a ledger."""

    def open_slots(self, generation: int) -> Mapping[int, OpenSlot]:
        """What is on record for the open generation."""
        ...

    def seal(self, event: GenerationSealed, state: SweepState) -> None:
        """Close a generation; `state` is the one that follows."""
        ...


class Mapper(Protocol):
    """What evaluates the slots of a generation, side by side or one after another."""

    def __call__(
        self, work: Callable[[Proposal], TrialRecord | None], proposals: Sequence[Proposal]
    ) -> list[TrialRecord | None]:
        """`work` done for each proposal, in their order."""
        ...


def one_after_another(
    work: Callable[[Proposal], TrialRecord | None], proposals: Sequence[Proposal]
) -> list[TrialRecord | None]:
    """The mapper that needs nothing."""
    return [work(proposal) for proposal in proposals]


def drive(
    ledger: Ledger,
    state: SweepState,
    evaluator: Evaluator,
    mapper: Mapper,
    *,
    stop: StopSignal,
    observer: Observer,
    generations: int | None = None,
    night: Night | None = None,
) -> SweepState:
    """Drive a sweep until it is asked to stop, `generations` are sealed, or nothing is left to do.

    Nothing is left when the budget is met, or every configuration of the space was tried; and for
    now, when the night is over, which may leave a generation open.

    Args:
        ledger: The sweep's record, held by this driver.
        state: The fold of its history.
        evaluator: What a trial is given to.
        mapper: What evaluates a generation's trials.
        stop: How others ask for an end; an unsealed generation then stays open.
        observer: Who watches.
        generations: How many to seal at most.
        night: How far this run may go; counts what it adds.

    Returns:
        The state after the last seal.

    Raises:
        NothingUsableError: All trials of the first generation failed for the same reason.
    """
    budget = state.settings.budget if state.settings else Budget()
    driven_before, started = state.driven_s, time.monotonic()
    sealed, night = 0, night or Night()
    night.begin()
    while not (stop.draining or night.is_over or generations == sealed):
        generation = state.generations_done
        recorded = ledger.open_slots(generation)
        proposals = open_proposals(state, recorded, budget)
        if not proposals:
            break
        done = {n for n, slot in recorded.items() if slot.result is not None}
        night.open = len(done)
        share = night.share([p.slot for p in proposals if p.slot not in done]) | done

        def work(
            proposal: Proposal, recorded: Mapping[int, OpenSlot] = recorded, night: Night = night
        ) -> TrialRecord | None:
            slot = recorded.get(proposal.slot, OpenSlot())
            record = slot.result
            if record is not None:
                observer.trial_recalled(record)
            elif not night.is_over:
                record = run_slot(ledger, evaluator, proposal, slot, stop)
                if record is not None:
                    night.count()
                    observer.trial_finished(record)
            return record

        records = mapper(work, [proposal for proposal in proposals if proposal.slot in share])
        trials = tuple(record for record in records if record is not None)
        if len(trials) < len(proposals):
            break
        event = GenerationSealed(
            generation=generation,
            trials=trials,
            driven_s=driven_before + time.monotonic() - started,
        )
        state = evolve(state, event)
        ledger.seal(event, state)
        sealed, night.open = sealed + 1, 0
        observer.sealed(state)
        if sealed == 1:
            _stop_if_hopeless(state, event)
    return state


def open_proposals(
    state: SweepState, recorded: Mapping[int, OpenSlot], budget: Budget
) -> Sequence[Proposal]:
    """The open generation's proposals: those on record stand, the others are planned.

    A generation that was begun keeps the number of slots that it was planned with.
    """
    standing = {s: o.proposal for s, o in recorded.items() if o.proposal is not None}
    slots = next((p.slots for p in standing.values()), 0) or slots_left(state, budget)
    if not slots:
        return ()
    for slot, proposal in standing.items():
        if (proposal.slots, proposal.number) != (slots, state.trials_done + slot):
            raise RecordError(
                f"the run of generation {proposal.generation}, slot {slot} says that it is trial "
                f"{proposal.number}, one of {proposal.slots}; expected trial "
                f"{state.trials_done + slot}, one of {slots}: it was altered",
                number=proposal.number,
            )
    if len(standing) == slots:
        return [standing[slot] for slot in range(slots)]
    return [standing.get(p.slot, p) for p in plan(state, slots)]


def _stop_if_hopeless(state: SweepState, event: GenerationSealed) -> None:
    failure = shared_failure(event.trials)
    if untried(state) == 0:  # then there is no next run, which this would promise
        return
    if state.best is None and failure is not None:
        raise NothingUsableError(
            f"all {len(event.trials)} trials of generation {event.generation} "
            f"failed for the same reason ({failure.kind}): {failure.reason}\n"
            "Mend the objective, then run the same command again; these trials stay on record.",
            kind=failure.kind,
            reason=failure.reason,
        )


def require_usable(state: SweepState) -> None:
    """Do nothing if a sweep at its end has a usable result.

    Raises:
        NothingUsableError: It has none.
    """
    if state.best is None:
        last = f"; the last: {state.last_failure.reason}" if state.last_failure else ""
        if untried(state) == 0:
            advice = "The space has no other configurations: mend the objective, then declare a new"
        else:
            advice = "Mend the objective and raise the budget, or declare a new"
        raise NothingUsableError(
            f"none of the {state.trials_done} trials gave a usable result{last}\n{advice} sweep.",
            trials=state.trials_done,
        )
