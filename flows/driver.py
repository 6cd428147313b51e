"""One driver's life: find or declare the sweep, win its lease, drive it, leave it clean."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from lepton_core.canonical import digest
from lepton_core.declaration import Budget, Declaration, Settings
from lepton_core.errors import InputError, NothingUsableError
from lepton_core.events import SettingsAmended, sealed_trials
from lepton_core.fold import SweepState, evolve
from lepton_core.night import night_of
from lepton_core.plan import slots_left, untried
from lepton_core.recommendation import recommended
from lepton_core.sweep_file import parse_workers
from lepton_flows.held_sweep import HeldSweep, hold
from lepton_flows.hooks import Hooks, load_hooks
from lepton_flows.loop import require_usable
from lepton_flows.night import Night
from lepton_flows.observer import Driving, Observer, Observers
from lepton_tasks import register
from lepton_tasks.attempts import FAILED, FINISHED, KILLED
from lepton_tasks.lease import leave_if_driven
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.models import Models
from lepton_tasks.objective import source_file
from lepton_tasks.pool import Job, WorkerPool, working
from lepton_tasks.stop_signals import stopping_on_signals
from lepton_tasks.store import Store, address, connect, exists, reachable
from lepton_tasks.sweep_record import SweepRecord, check_has_objective
from lepton_tasks.sweep_yaml import SweepSource
from lepton_tasks.trial import StopSignal

DONE, NOTHING_TO_DO, INTERRUPTED = "finished", "nothing to do", "interrupted"
NIGHT_OVER = "night over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a driver left a sweep.

    Attributes:
        how: "finished" (the target is met, or nothing is left to be tried), "nothing to do" (that
            was so before), "night over" (the nightly limit is met, the target is not) or
            "interrupted".
        added: How many results this driver recorded.
        open: How many results the open generation has.
        signal: The signal that interrupted it, if one did.
        reason: Why it was interrupted.
    """

    state: SweepState
    settings: Settings
    how: str
    parent: str | None
    experiment_id: str
    place: str
    added: int = 0
    open: int = 0
    signal: int | None = None
    reason: str = ""

    def summary(self) -> dict[str, Any]:
        """The ending as JSON can hold it; the keys are documented in ``docs/cli.md``."""
        best = self.state.best
        return {
            "name": self.state.declaration.name,
            "ending": self.how,
            "reason": self.reason,
            "signal": self.signal,
            "trials": self.state.trials_done,
            "generations": self.state.generations_done,
            "added": self.added,
            "open": self.open,
            "target": {
                "trials": self.settings.budget.trials,
                "hours": self.settings.budget.hours,
            },
            "exhausted": untried(self.state) == 0,
            "best": None
            if best is None
            else {
                "number": best.proposal.number,
                "value": best.value,
                "params": dict(best.proposal.params),
                "proposer": best.proposal.proposer,
            },
            "recommended": recommended(self.state),
            "store": self.place,
            "run_id": self.parent,
            "experiment_id": self.experiment_id,
        }


@dataclass(slots=True)
class Drive:
    """A sweep that this process drives: what `drive` needs, while the lease is held.

    Attributes:
        observer: Whom `drive` is to tell: who watches, and the sweep's hooks.
    """

    ledger: MlflowLedger
    state: SweepState
    settings: Settings
    pool: WorkerPool
    stop: StopSignal
    night: Night
    observer: Observer


def drive_sweep(
    source: SweepSource,
    loop: Callable[[Drive], SweepState],
    *,
    observer: Observer,
    workers: int | None = None,
    take_over: bool = False,
    nightly: Budget | None = None,
) -> Ending:
    """Drive a sweep to its target, or for a night, or until it is asked to stop.

    Args:
        source: The sweep as the user gave it.
        loop: The generation loop with a mapper, run while the lease is held.
        observer: Who watches.
        workers: How many trials at a time, instead of what the file says.
        take_over: Do not wait for, nor leave because of, another driver.
        nightly: Drive for one night; what is set here takes the place of the file's limits.

    Raises:
        InputError: Something that the user wrote is wrong; nothing was recorded.
        DrivenElsewhereError: Another driver holds the lease, or took it.
        NothingUsableError: No trial gave a usable result.
        StoreUnreachableError: The store failed.
    """
    night = _night(source, nightly)  # what is wrong with the file needs no store to be told
    if workers is not None:
        parse_workers(workers)
    hooks = Hooks(load_hooks(source), source.parse()[0], observer.say)
    watchers = Observers(observer, hooks)
    try:
        ending = _find_and_drive(source, loop, watchers, night, workers, take_over=take_over)
        if ending.how != NOTHING_TO_DO:
            hooks.concluded(ending.summary())
    except Exception as error:
        hooks.broken(error)
        raise
    finally:
        hooks.close()
    return ending


def _find_and_drive(
    source: SweepSource,
    loop: Callable[[Drive], SweepState],
    observer: Observer,
    night: Night,
    workers: int | None,
    *,
    take_over: bool,
) -> Ending:
    store = connect()
    with reachable(store.address.place):
        declaration, settings, found = _identify(store, source)
        settings = _as_driven(settings, source, workers)
        done = _nothing_to_do(found, settings, take_over=take_over) if found else None
        if done is not None:
            return done
        job = _job(store, declaration, settings, source)
        models = Models(declaration.direction, say=observer.say)
        with working(job, settings.workers, models) as pool:
            with source.placing_objective_errors():
                pool.check()
            held = hold(
                store,
                declaration,
                settings,
                found=found,
                say=observer.say,
                take_over=take_over,
            )
            models.also(held.state.best)
            _warn(held.record, declaration, settings, observer)
            return _drive(held, pool, loop, observer, night)


def _night(source: SweepSource, nightly: Budget | None) -> Night:
    """How far a driver may go; without limits, to the target, of which there must be one.

    Raises:
        InputError: It would go on for ever, or there is no limit for the night.
    """
    _, settings = source.parse()
    if nightly is not None:
        return Night(night_of(settings, nightly))
    if settings.budget == Budget():
        raise InputError(
            f"sweep {source.name!r} has no budget, so this would never end. Run one night of it "
            f"with 'lepton run --nightly', have 'lepton deploy' or 'lepton serve' schedule its "
            "nights, or give it a target, such as budget: {trials: 64}",
            name=source.name,
        )
    return Night()


def look_first(
    source: SweepSource, *, take_over: bool = False, nightly: Budget | None = None
) -> Ending | None:
    """Look whether a sweep needs a driver at all, before anything that takes seconds is started.

    Returns:
        The ending of a sweep that is at its target, or None if there is something to drive.

    Raises:
        InputError: Something that the user wrote is wrong.
        DrivenElsewhereError: A process of this machine drives it.
        NothingUsableError: The sweep is at its target without a usable result.
    """
    _night(source, nightly)
    where = address()
    if not exists(where):
        return None
    store = connect(where)
    with reachable(where.place):
        _, settings, found = _identify(store, source)
        _looked_at.set(found)
        return _nothing_to_do(found, settings, take_over=take_over) if found else None


_looked_at: ContextVar[SweepRecord | None] = ContextVar("lepton_looked_at", default=None)
"""What `look_first` read in this context. A long history takes a second to read, and the driver
reads it again in any case when it has won the lease."""


def _identify(
    store: Store, source: SweepSource
) -> tuple[Declaration, Settings, SweepRecord | None]:
    """What the source declares, and the sweep of that name as the ledger has it, if it does."""
    entry = register.lookup(store, source.name)
    if entry is None:
        return (*source.parse(), None)
    record = _looked_at.get()
    _looked_at.set(None)
    if record is None or (record.entry, record.store.address) != (entry, store.address):
        record = SweepRecord(store, entry)
    record.store = store
    record.check_drivable()
    check_has_objective(record.declaration)
    declaration, settings = source.parse(record.declaration)
    declaration.check_same_identity(record.declaration)
    return declaration, settings, record


def _as_driven(settings: Settings, source: SweepSource, workers: int | None) -> Settings:
    """The settings with this driver's workers, the objective's code as it is now, and the file."""
    file = source_file(settings.objective or "", source.folder)
    known = file is not None and file.is_file()
    return replace(
        settings,
        workers=settings.workers if workers is None else workers,
        code_digest=digest(file.read_text(errors="replace")) if file and known else None,
        file=source.file.name if source.file else None,
    )


def _warn(
    record: SweepRecord, declaration: Declaration, settings: Settings, observer: Observer
) -> None:
    if declaration.start_from != record.declaration.start_from:
        observer.say("warning: start_from has changed; the sweep began with the recorded one")
    before = record.settings
    if before is None:
        return
    if before.code_digest != settings.code_digest or before.objective != settings.objective:
        observer.say(
            "warning: the objective's code has changed since the last driver; "
            "earlier trials were measured by the old one"
        )


def _nothing_to_do(record: SweepRecord, settings: Settings, *, take_over: bool) -> Ending | None:
    """The ending of a sweep whose target is met and whose parent run says so."""
    if not take_over:
        leave_if_driven(record.params, record.tags, record.entry.name)
    state = evolve(record.state, SettingsAmended(settings=settings))
    if slots_left(state, settings.budget) or record.parent is None:
        return None
    parent = record.parent_info()
    if parent.status not in (FINISHED, FAILED) or record.attempts(state.generations_done):
        return None
    if record.has_running_trials:  # nobody's: a request came late, when its driver had left
        return None
    ending = Ending(
        state=state,
        settings=settings,
        how=NOTHING_TO_DO,
        parent=record.parent,
        experiment_id=parent.experiment_id,
        place=record.store.address.place,
    )
    require_usable(state)
    return ending


def _job(store: Store, declaration: Declaration, settings: Settings, source: SweepSource) -> Job:
    return Job(
        objective=settings.objective or "",
        folder=source.folder,
        metric=declaration.metric,
        timeout=settings.timeout,
        tracking_uri=store.address.tracking_uri,
        experiment_id=store.experiment_id,
    )


def _drive(
    held: HeldSweep,
    pool: WorkerPool,
    loop: Callable[[Drive], SweepState],
    observer: Observer,
    night: Night,
) -> Ending:
    stop, ledger, state, settings = held.stop, held.ledger, held.state, held.settings

    def cancel_when_told() -> None:
        stop.wake.wait()
        if stop.immediate:
            pool.cancel()

    threading.Thread(target=cancel_when_told, daemon=True).start()
    held.start(observer.say)
    status, how = KILLED, INTERRUPTED
    # Signals are ours to the very end: what one more Ctrl-C must not interrupt is the leaving.
    with stopping_on_signals(stop, observer.stopping):
        try:
            ledger.start(settings)
            observer.began(
                Driving(
                    state=state,
                    settings=settings,
                    resumed=held.resumed,
                    place=held.place,
                    parent=ledger.parent,
                    experiment_id=ledger.experiment_id,
                    night=night.limits,
                    history=lambda: sealed_trials(held.record.events),
                )
            )
            ledger.kill_strays(but_generation=state.generations_done)
            state = loop(Drive(ledger, state, settings, pool, stop, night, observer))
            held.lease.check(certain=True)
            cut_short = stop.draining or night.is_over
            at_target = slots_left(state, settings.budget) == 0
            if at_target and not (cut_short and _is_left_open(ledger, state)):
                require_usable(state)
                status, how = FINISHED, DONE
            elif not stop.draining:
                how = NIGHT_OVER  # FINISHED is for the target: `doctor` relies on it
        except NothingUsableError:
            status = FAILED
            raise
        except BaseException:
            stop.now("its driver failed")
            raise
        finally:
            pool.close()
            observer.ended()
            held.leave(status)
    return Ending(
        state=state,
        settings=settings,
        how=how,
        parent=ledger.parent,
        experiment_id=ledger.experiment_id,
        place=held.place,
        added=night.added,
        open=night.open,
        signal=stop.signal,
        reason=stop.reason,
    )


def _is_left_open(ledger: MlflowLedger, state: SweepState) -> bool:
    """Whether a generation was begun that the target asks for no more, and is not finished yet.

    It was planned when the budget was higher, or by a release that repeated configurations.
    """
    slots = ledger.open_slots(state.generations_done).values()
    return any(slot.proposal is not None for slot in slots)
