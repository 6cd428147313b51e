"""An Optimizer's journal in MLflow: the ledger that `lepton run` writes, without Prefect."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from threading import Thread
from typing import Any

from lepton.optimizer.asked_reports import AskedReports, Port
from lepton.optimizer.journal import Journal, Metrics, say, stopped
from lepton_core.asking import Asking
from lepton_core.declaration import Budget, Settings
from lepton_core.errors import DrivenElsewhereError, InputError, LeptonError, SweepError
from lepton_core.events import GenerationSealed, Proposal, SettingsAmended, TrialRecord
from lepton_core.population.schedule import schedule
from lepton_flows.held_sweep import HeldSweep, hold
from lepton_flows.loop import open_proposals
from lepton_tasks import recorded_metrics, register
from lepton_tasks.active_run import on_run
from lepton_tasks.attempts import FAILED, FINISHED, KILLED, OpenSlot, open_slots
from lepton_tasks.checkpoints import folder_of
from lepton_tasks.models import Models, has_model, load, log, no_model
from lepton_tasks.objective import Outcome
from lepton_tasks.recorded_checkpoints import RecordedCheckpoints
from lepton_tasks.reports import Reports
from lepton_tasks.stop_signals import Interrupts
from lepton_tasks.store import Address, Store, address, connect, exists, reachable
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.trial import StopSignal

_holding: weakref.WeakValueDictionary[tuple[str, str], MlflowJournal] = (
    weakref.WeakValueDictionary()
)
"""The journals of this process that hold a sweep: a cell that is run again takes it over."""


def find(name: str, where: Address | None = None) -> SweepRecord | None:
    """The sweep of that name in a store, or None; else in the one that the environment names.

    Raises:
        RecordError: Its record was altered.
        StoreUnreachableError: The store failed.
    """
    where = where or address()
    if not exists(where):
        return None
    store = connect(where)
    with reachable(where.place):
        entry = register.lookup(store, name)
        if entry is None:
            return None
        record = SweepRecord(store, entry)
        record.check_drivable()
        return record


def as_recorded(record: SweepRecord) -> Asking:
    """A sweep as its record has it, with what is told of the open generation."""
    with reachable(record.store.address.place):
        slots = open_slots(record.attempts(record.state.generations_done), record.head)
    told = {n: slot.result for n, slot in slots.items() if slot.result is not None}
    at = Asking(events=tuple(record.events), state=record.state)
    if not told:
        return at
    return replace(at, proposals=tuple(open_proposals(at.state, slots, Budget())), told=told)


class MlflowJournal(Journal):
    """A journal in MLflow. It holds the sweep's lease from `open` to `leave`.

    Args:
        name: The sweep's name.
        record: The sweep as the store has it, or None for a new one.
    """

    records = True

    def __init__(self, name: str, record: SweepRecord | None) -> None:
        super().__init__()
        self.name, self.record = name, record
        self.address = address()  # from here on the same, wherever the process goes
        self.held: HeldSweep | None = None
        self._finalizer: Any = None
        self._slots: dict[int, OpenSlot] = {}
        self._runs: dict[int, str] = {}
        self._parent = ""
        self._reports = AskedReports()
        self._since = 0.0
        self._told: StopSignal | None = None  # by which it was asked to stop, between two calls
        self._before: Mapping[int, Metrics] | None = {} if record is None else None

    def __getstate__(self) -> dict[str, Any]:
        """A copy holds nothing and reads anew."""
        return {"name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read when it is needed."""
        MlflowJournal.__init__(self, state["name"], None)
        self._before = None

    # -- holding the sweep ------------------------------------------------------------------

    def open(self, at: Asking, settings: Settings) -> Asking:
        """Win the sweep's lease, unless it is held, and read what is recorded.

        Raises:
            DrivenElsewhereError: Another driver lives.
            IdentityError: The store has another sweep of that name.
            StoreUnreachableError: The store failed.
        """
        if self.held is not None:
            if self._is_forked:
                raise SweepError(
                    "this process was forked from one that drives the sweep, by this optimizer; "
                    "ask, tell and minimize there, or give an optimizer of its own to each"
                )
            if self.held.settings.budget == settings.budget and not self.stop.draining:
                return at
            self.leave(KILLED)
        declaration = at.state.declaration
        store = self.connect()
        with reachable(store.address.place):
            key = (store.address.tracking_uri, declaration.name)
            _take_from(_holding.get(key), declaration.name)
            _holding.pop(key, None)
            record = find(declaration.name, self.address)
            settings = _as_driven(record, settings)
            held = hold(store, declaration, settings, found=record, say=say)
            self.record, self.held, self._told = held.record, held, None
            self._finalizer = weakref.finalize(self, _leave, held, KILLED)
            _holding[key] = self
            self.ledger, self.stop = held.ledger, held.stop
            try:
                held.start(say)
                held.ledger.start(settings)
                self._parent = held.ledger.parent
                held.ledger.kill_strays(but_generation=held.state.generations_done)
                self._since = time.monotonic()
                watch = (weakref.ref(self), held)
                Thread(target=_leave_when_told, args=watch, name="lepton-stop", daemon=True).start()
                return self._read(held, at)
            except BaseException:
                with suppress(LeptonError):
                    self.leave(KILLED)  # what was half begun is begun anew the next time
                raise

    def _read(self, held: HeldSweep, at: Asking) -> Asking:
        """The sweep as it is recorded; what this process has handed out is handed out again."""
        state = held.state
        self._slots = found = held.ledger.open_slots(state.generations_done)
        standing = any(slot.proposal for slot in self._slots.values())
        proposals = tuple(open_proposals(state, self._slots, Budget())) if standing else ()
        told = [s.result for _, s in sorted(self._slots.items()) if s.result is not None]
        ours = at.out if at.state.generations_done == state.generations_done else ()
        out = {slot for slot in ours if proposals and at.proposals[slot] == proposals[slot]}
        out -= {record.proposal.slot for record in told}
        self._runs = {}
        events = (held.record.events[0], SettingsAmended(settings=held.settings))
        seals = (event for event in held.record.events if isinstance(event, GenerationSealed))
        now = Asking(
            events=(*events, *seals),
            state=state,
            proposals=proposals,
            out=frozenset(out | {record.proposal.slot for record in told}),
        )
        for record in told:  # the last one seals it, where its driver died before it could
            now = self.take(now, record)
        if state.declaration.training:
            self.checkpoints.hold(held.ledger, now, found)
        for slot in sorted(out):
            self.begin(proposals[slot])
        return now

    def leave(self, status: str) -> None:
        """Give the sweep back; what was handed out and not told counts for nothing."""
        forked = self._is_forked
        held, self.held = self.held, None
        if held is None or forked:  # then it is the parent's to give back
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        self._reports.pause()
        if held.state.declaration.training:
            self.checkpoints.release()
        with reachable(held.place):
            held.leave(status)

    @property
    def _is_forked(self) -> bool:
        return self.held is not None and self.held.lease.claim.process.pid != os.getpid()

    @property
    def is_at_rest(self) -> bool:  # type: ignore[override]
        """Whether the last driver left the sweep as one that came to its end does."""
        if self.record is None or self.record.parent is None:
            return self.record is None
        with self.reachable():
            return self.record.parent_info().status in (FINISHED, FAILED)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Around what uses the store: its client's errors become one of ours."""
        with reachable(self.address.place):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Ctrl-C waits until nothing is half written; what failed is read anew the next time.

        Raises:
            SweepError: Somebody asked for an end.
        """
        with Interrupts() as interrupts, self.busy, self.reachable():
            if self.held is not None:  # Ctrl-C ends the waiting for a store that is away
                self.held.record.store.client.give_up = interrupts.stop.wake
            if self._told is not None:
                told, self._told = self._told, None
                raise stopped(told)
            try:
                yield
            except (SweepError, InputError):  # the user's mistake: nothing was written
                raise
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and self.held is not None:
                    self.held.stop.now("stopped by Ctrl-C")  # and the store waited for no longer
                with suppress(LeptonError):
                    self.leave(KILLED)
                raise

    def connect(self) -> Store:
        """The open store."""
        return connect(self.address)

    # -- trials -----------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """The store and the parent run."""
        parent = self._parent or (self.record and self.record.parent)
        return f"history in {self.address.place}, parent run {parent}" if parent else ""

    @property
    def told_before(self) -> Mapping[int, Metrics]:
        """The other metrics of the trials on record when this one began to look."""
        if self._before is None:
            record = self.record or find(self.name, self.address)
            with self.reachable():
                self._before = recorded_metrics.of_sweep(record) if record else {}
        return self._before

    def slot(self, proposal: Proposal) -> OpenSlot:
        """What is on record for a slot of the open generation."""
        return self._slots.get(proposal.slot, OpenSlot())

    def reporter(self, proposal: Proposal) -> Port:
        """What a trial that is handed out reports to: its run, as a stepped metric."""
        return Port(self._reports, proposal.number)

    def begin(self, proposal: Proposal) -> None:
        """A run for a trial that is handed out, before anybody evaluates it."""
        super().begin(proposal)
        slot = self.slot(proposal)
        run_id = self._runs[proposal.slot] = self.ledger.begin(proposal, slot.attempts)
        self._reports.begin(proposal.number, Reports(self.ledger, run_id, self.stop))
        self._slots[proposal.slot] = replace(slot, attempts=slot.attempts + 1)

    def finish(self, proposal: Proposal, outcome: Outcome) -> TrialRecord:
        """The result of a trial, on its run."""
        attempt = self.slot(proposal).attempts - 1
        record = replace(super().finish(proposal, outcome), attempt=attempt)
        self._reports.end(proposal.number)
        self.ledger.finish(self._runs[proposal.slot], record, outcome)
        del self._runs[proposal.slot]
        return record

    def keep(self, models: Models, proposal: Proposal, outcome: Outcome) -> None:
        """Log a trial's model to its run, if the trial is the best by now."""
        if self.held is None or outcome.value is None:
            return
        if models.wants(outcome.value, proposal.number):
            with on_run(self.held.record.store, self._runs[proposal.slot]):
                models.cannot(log(outcome.model))
            models.keep(proposal.number, outcome.model)

    @cached_property
    def checkpoints(self) -> RecordedCheckpoints:
        """What a population goes on from: artifacts of the trials' runs."""
        name, where = self.name, self.address
        return RecordedCheckpoints(folder_of(self), lambda: find(name, where))

    def keep_best(self, models: Models, best: Mapping[int, Any], at: Asking) -> None:
        """Log the model of a population's best trial to its run, and the schedule to the parent.

        A model that is there is not logged again.
        """
        training = at.state.declaration.training
        if self.held is None or training is None:
            return
        ledger, store = self.held.ledger, self.held.record.store
        for number, model in best.items():
            run_id = self.checkpoints.run_of(number)
            if run_id is not None and not has_model(store, run_id):
                with on_run(store, run_id):
                    models.cannot(log(model))
            ledger.keep_schedule(schedule(at.trials(), number, training))

    def model(self, proposal: Proposal) -> Any:
        """The model that a trial's run has.

        Raises:
            NothingUsableError: There is none, or it cannot be loaded.
        """
        record = find(self.name, self.address)
        with self.reachable():
            run_id = recorded_metrics.run_of(record, proposal) if record else None
            if record is None or run_id is None:
                raise no_model(proposal.number)
            return load(record.store, run_id, proposal.number)

    def check(self) -> None:
        """Do nothing, if the sweep is still held for certain.

        Raises:
            LeaseLostError: Another driver took over.
        """
        if self.held is not None:
            self.held.lease.check(certain=True)

    def driven_s(self, at: Asking) -> float:
        """Seconds that the sweep was held, over all drivers."""
        return at.state.driven_s + time.monotonic() - self._since

    def sealed(self, at: Asking) -> None:
        """Seal the generation in the ledger."""
        event = at.events[-1]
        if self.held is not None and isinstance(event, GenerationSealed):
            self.held.ledger.seal(event, at.state)
            self._slots, self._runs, self._since = {}, {}, time.monotonic()


def _take_from(other: MlflowJournal | None, name: str) -> None:
    """Have another optimizer of this process give the sweep back.

    Raises:
        DrivenElsewhereError: It is evaluating an objective, from within which this may be called.
    """
    if other is None or other.held is None:
        return
    if other.is_driven:
        raise DrivenElsewhereError(
            f"sweep {name!r} is being driven by another optimizer of this process, which is "
            "evaluating an objective: in another thread, or around this very call.\n"
            "Wait until it has ended, or stop it with 'lepton cancel'.",
            name=name,
        )
    with other.busy:
        other.leave(KILLED)


def _as_driven(record: SweepRecord | None, settings: Settings) -> Settings:
    """Settings that keep what a sweep file said before and an optimizer does not say."""
    before = record.settings if record else None
    if before is None:
        return settings
    if settings.code_digest and before.code_digest and settings.code_digest != before.code_digest:
        say(
            "the objective's code has changed since the last driver; "
            "earlier trials were measured by the old one"
        )
    return replace(
        before,
        budget=settings.budget,
        workers=settings.workers,
        code_digest=settings.code_digest or before.code_digest,
    )


def _leave_when_told(reference: weakref.ref[MlflowJournal], held: HeldSweep) -> None:
    """Give the sweep back when somebody asks for it while the optimizer's user does other things.

    What drives is `busy` and sees to it itself.
    """
    held.stop.wake.wait()
    journal = reference()
    if journal is None or not held.stop.immediate:
        return
    with journal.busy:
        if journal.held is held:
            journal._told = held.stop  # noqa: SLF001  (of this module)
            with suppress(LeptonError):
                journal.leave(KILLED)


def _leave(held: HeldSweep, status: str) -> None:
    """At the end of the process, or when the optimizer is forgotten: there is nobody to tell."""
    if os.getpid() == held.lease.claim.process.pid:  # not in a forked child
        with suppress(Exception):
            held.leave(status)
