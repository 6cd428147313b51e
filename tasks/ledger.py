"""The ledger: a sweep's record in MLflow, as its driver reads and writes it.

Every call that changes the store is here, in `lepton_tasks.register` or in `lepton_tasks.lease`.
What is recorded where, and why each write can be the last one before a crash, is described in
``docs/schema.md``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import RecordError
from lepton_core.events import (
    GenerationSealed,
    Proposal,
    TrialRecord,
)
from lepton_core.fold import SweepState
from lepton_core.portfolio import shares
from lepton_tasks import records, write_points
from lepton_tasks.attempts import (
    OpenSlot,
    find_parents,
    find_runs,
    open_slots,
    read_attempts,
    status_of,
    unfinished_trials,
)
from lepton_tasks.kept_files import keep_file
from lepton_tasks.lease import Lease
from lepton_tasks.members import TRAIN_LOSS, Members
from lepton_tasks.objective import Outcome
from lepton_tasks.parent_note import parent_note
from lepton_tasks.reports import Point
from lepton_tasks.seals import seal_key, seal_texts
from lepton_tasks.snapshots import Keeper, snapshot_key
from lepton_tasks.sweep_record import PARENT, SweepRecord
from lepton_tasks.trial_metrics import Reported, log_batch
from lepton_tasks.write_once import write_once

ORPHANED = "orphaned: its driver died or lost its lease"
SCHEDULE = "schedule.json"  # artifact of the parent run, where a population trained


def milliseconds() -> int:
    """The wall clock as MLflow counts it; for people only, nothing is decided by it."""
    return time.time_ns() // 1_000_000


class MlflowLedger:
    """The ledger of a sweep that this process drives. Calls may come from several threads.

    Args:
        record: The sweep, read after the lease was won.
        lease: The right to drive it.
    """

    def __init__(self, record: SweepRecord, lease: Lease) -> None:
        self.record, self.lease = record, lease
        self.client = record.store.client
        self._hasty = self.client.hasty()
        self.declaration = record.declaration
        self.clock = milliseconds
        self._lock = threading.RLock()
        self._head = record.head
        self._runs: dict[int, str] = {}
        self._reported = Reported(self.client, self.declaration.metric)
        self._flying: set[str] = set()
        self._shown: int | None = None
        self._parent = ""
        self._experiment = record.store.experiment_id
        self._keeper: Keeper | None = Keeper(record.params, record.seals)
        # Nobody drove before the first epoch: there is nothing to find.
        self._others_ahead = lease.epoch > 1
        self._with_result: dict[str, Mapping[str, str]] = {}
        self._train_losses: dict[int, float] = {}  # of the open generation, by slot
        self.left_over: list[str] = []  # attempts at the open generation that count for nothing
        self._members: Members | None = None
        if self.declaration.training:
            ledger = record.entry.ledger
            self._members = Members(self.client, self.declaration, ledger=ledger)

    # -- taking the wheel -------------------------------------------------------------------

    def start(self, settings: Settings) -> None:
        """Record this driver's settings, and make or take up the sweep's parent run."""
        with self._lock:
            self.lease.check()
            text = canonical_json(settings.to_record())
            key = records.settings_key(self.lease.epoch)
            write_once(self.client, write_points.SETTINGS, self.record.entry.ledger, key, text)
            if self.record.parent is None:
                self._parent = self._make_parent(settings)
                self._experiment = self.client.get_run(self._parent).info.experiment_id
            else:
                self._parent = self.record.parent
                self._experiment = self.record.parent_info().experiment_id
            self.client.update_run(write_points.PARENT_RUNNING, self._parent, "RUNNING")
            if self._members:
                new, seals = not self._others_ahead, self.record.seals
                self._members.start(self._experiment, self._parent, seals, self.clock(), new=new)
            self._end_ledger_runs()

    def _end_ledger_runs(self) -> None:
        """End what a crash between the two calls that make a ledger run, or a doubled one, left."""
        running = "attributes.status = 'RUNNING'"
        for run in list(find_runs(self.client, self.record.store.ledger_id, running)):
            self.client.set_terminated(write_points.LEDGER_ENDED, run.info.run_id)

    def _make_parent(self, settings: Settings) -> str:
        name = self.declaration.name
        ledger = self.record.entry.ledger
        # One made by a driver that died before it could say so.
        parents = find_parents(self.client, self.record.store.experiment_id, ledger)
        orphan = next(parents, None)
        if orphan is None:
            tags = {
                records.KIND: "sweep",
                records.SWEEP: name,
                records.LEDGER: ledger,
                **records.declaration_tags(self.declaration),
                "mlflow.note.content": parent_note(self.declaration, settings),
            }
            orphan = self.client.create_run(
                write_points.PARENT_RUN, self.record.store.experiment_id, run_name=name, tags=tags
            )
        run_id = str(orphan.info.run_id)
        return write_once(self.client, write_points.PARENT, ledger, PARENT, run_id)

    @property
    def parent(self) -> str:
        """The run id of the sweep's parent run."""
        return self._parent

    @property
    def experiment_id(self) -> str:
        """The experiment that the sweep's runs are in."""
        return self._experiment

    def open_slots(self, generation: int) -> dict[int, OpenSlot]:
        """What is on record for the open generation; attempts that were under way are orphans.

        Results that a driver recorded before it died stand. Every other attempt that is not
        KILLED becomes so, with its reason. A run that was deleted meanwhile, by its own objective
        perhaps, is brought back: it takes part in the counting.

        The drivers before this one came to a generation only after the one before it. So from
        the first generation on that none of them began, there is nothing to look for: a search
        takes the longer the more runs the store holds.
        """
        with self._lock:
            self.lease.check()
            self._runs, self.left_over = {}, []
            if not self._others_ahead:
                return {}
            attempts = read_attempts(
                self.client, self._experiment, self.declaration, generation, deleted=True
            )
            for attempt in attempts:
                if attempt.deleted:
                    self.client.restore_run(write_points.TRIAL_RESTORED, attempt.run_id)
            self._others_ahead = bool(attempts)
            slots = open_slots(attempts, self._head)
            kept = {slot.run_id for slot in slots.values() if slot.run_id}
            self.left_over = [a.run_id for a in attempts if a.run_id not in kept]
            for attempt in attempts:
                if attempt.run_id in kept and attempt.result is not None:
                    status = status_of(attempt.result)
                    if attempt.status != status:  # not set yet, or set by others since
                        self._set_status(attempt.run_id, status)
                elif attempt.status != "KILLED" or attempt.killed is None:
                    self._kill(attempt.run_id, ORPHANED)
            self._runs = {n: s.run_id for n, s in slots.items() if s.run_id is not None}
            return slots

    def kill_strays(self, *, but_generation: int | None = None) -> None:
        """Mark runs that show as running though nobody runs them, but those of one generation.

        A driver that was killed leaves such runs, and so does a store that made a run twice.
        """
        with self._lock:
            self.lease.check()
            for run in unfinished_trials(self.client, self._experiment, self.declaration.name):
                if run.data.tags.get(records.GENERATION) != str(but_generation):
                    self._kill(run.info.run_id, ORPHANED)

    # -- one trial --------------------------------------------------------------------------

    def begin(self, proposal: Proposal, attempt: int) -> str:
        """Record a proposal as a run, before anything of it is evaluated.

        Returns:
            The run's id.
        """
        name = f"gen{proposal.generation:02d}-{proposal.slot:02d}"
        with self._lock:
            self.lease.check()
            run = self.client.create_run(
                write_points.TRIAL_RUN,
                self._experiment,
                run_name=name if attempt == 0 else f"{name}.{attempt}",
                tags={
                    **records.trial_tags(
                        proposal,
                        attempt,
                        sweep=self.declaration.name,
                        parent=self._above(proposal),
                        epoch=self.lease.epoch,
                        base=self._head,
                    ),
                    **records.proposal_tags(proposal),
                },
            )
            run_id = str(run.info.run_id)
            self._flying.add(run_id)
            params = _params(self.declaration, proposal)
            self.client.log_batch(write_points.TRIAL_PARAMS, run_id, params=params)
        return run_id

    def _above(self, proposal: Proposal) -> str:
        """The run that a trial's is nested in: its member's, where a population trains."""
        return (self._members and self._members.run_of(proposal.slot)) or self._parent

    def tag_with_result(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Have tags written in the very call that makes an attempt count."""
        with self._lock:
            self._with_result[run_id] = tags

    def report(self, run_id: str, points: Sequence[Point]) -> None:
        """Record what an attempt reported on its way."""
        with self._lock:
            self.lease.check()
            self._reported.write(run_id, points)

    def finish(self, run_id: str, record: TrialRecord, outcome: Outcome) -> None:
        """Record an attempt's result, which then counts."""
        from mlflow.entities import Metric, RunTag  # noqa: PLC0415  (costs a second)

        now = milliseconds()
        with self._lock:
            self.lease.check()
            values, steps = {**outcome.metrics}, self._reported.steps(run_id, outcome)
            if record.value is not None:
                values[self.declaration.metric] = record.value
            metrics = [Metric(n, v, now, steps.get(n, 0)) for n, v in values.items()]
            told = records.outcome_text(record, self.lease.epoch)
            named = {**self._with_result.pop(run_id, {}), records.RESULT: told}
            tags = [RunTag(key, text) for key, text in named.items()]
            if TRAIN_LOSS in outcome.metrics:
                self._train_losses[record.proposal.slot] = outcome.metrics[TRAIN_LOSS]
            # The store writes metrics before tags: with a result record, its metrics are there.
            log_batch(self.client, write_points.TRIAL_RESULT, run_id, metrics=metrics, tags=tags)
            self._set_status(run_id, status_of(record), now)
            self._runs[record.proposal.slot] = run_id
            self._flying.discard(run_id)

    def kill(self, run_id: str, reason: str) -> None:
        """Mark an attempt as counting for nothing. `reason` starts with its kind."""
        with self._lock:
            self.lease.check()
            self._kill(run_id, reason)
            self._flying.discard(run_id)

    def _kill(self, run_id: str, reason: str) -> None:
        self.client.set_tag(write_points.KILLED_REASON, run_id, records.KILLED, reason)
        self.client.set_terminated(write_points.KILLED_STATUS, run_id, "KILLED")

    def _set_status(self, run_id: str, status: str, end_time: int | None = None) -> None:
        self.client.set_terminated(write_points.TRIAL_STATUS, run_id, status, end_time)

    def keep_output(self, run_id: str, output: Path) -> None:
        """Keep what an attempt printed, and its traceback, as an artifact of its run.

        Raises:
            RecordError: The store says to write it where Lepton does not write.
        """
        if output.exists() and output.stat().st_size:
            keep_file(self.record.store, write_points.TRIAL_OUTPUT, run_id, output)

    def keep_schedule(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what a population found, as an artifact of the parent run, for whoever reads JSON.

        Args:
            rows: See `lepton_core.population.schedule`.
        """
        content = {"sweep": self.declaration.name, "schedule": list(rows)}
        with self._lock, TemporaryDirectory(prefix="lepton-") as folder:
            self.lease.check()
            file = Path(folder) / SCHEDULE
            file.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
            keep_file(self.record.store, write_points.SCHEDULE, self._parent, file)

    # -- a generation, and the end ----------------------------------------------------------

    def seal(self, event: GenerationSealed, state: SweepState) -> None:
        """Close a generation: from now on its trials are what the fold sees.

        Args:
            event: The generation.
            state: The state that follows, for the parent run's curve.

        Raises:
            LeaseLostError: Another driver took over; the seal does not count.
        """
        ledger, epoch = self.record.entry.ledger, self.lease.epoch
        with self._lock:
            self.lease.check()
            parts, header, chained = seal_texts(
                event, self.declaration, self._runs, epoch=epoch, previous=self._head
            )
            key = seal_key(event.generation, epoch)
            for number, part in enumerate(parts):
                part_key = f"{key}/{number:04d}"
                write_once(self.client, write_points.SEAL_PART, ledger, part_key, part)
            write_once(self.client, write_points.SEAL, ledger, key, header)
            self._head, runs, self._runs = chained, self._runs, {}
            self._keep_snapshot(state, sum(map(len, parts)))
            if self._members:
                losses = self._members.train_losses(runs, self._train_losses)
                self._members.show(event, losses, self.clock())
                self._train_losses = {}
            self._show_curves(state)

    def _keep_snapshot(self, state: SweepState, characters: int) -> None:
        """Keep the state now and then. It can be lost: what fails here is not tried again."""
        ledger = self.record.entry.ledger
        key = snapshot_key(state.generations_done, self.lease.epoch)
        try:
            texts = self._keeper and self._keeper.sealed(state, self._head, characters)
            if not texts:
                return
            parts, header = texts
            for number, part in enumerate(parts):
                part_key = f"{key}/{number:04d}"
                self._hasty.log_param(write_points.SNAPSHOT_PART, ledger, part_key, part)
            self._hasty.log_param(write_points.SNAPSHOT, ledger, key, header)
        except Exception:  # noqa: BLE001  (whatever it is: the seals say it all)
            self._keeper = None

    def _show_curves(self, state: SweepState) -> None:
        """The parent run's curves, for people: where the best changed, and the members' shares."""
        from mlflow.entities import Metric  # noqa: PLC0415  (costs a second)

        points = {}
        found = shares(state.portfolio, self.declaration)
        if len(found) > 1:
            points = {f"share_{name}": share for name, share in found.items()}
        best = state.best
        if best is not None and best.value is not None and best.proposal.number != self._shown:
            points[f"best_{self.declaration.metric}"] = best.value
            self._shown = best.proposal.number
        now, step = self.clock(), state.trials_done
        metrics = [Metric(name, value, now, step) for name, value in points.items()]
        if metrics:
            self.client.log_batch(write_points.CURVES, self._parent, metrics=metrics)

    def end(self, status: str) -> None:
        """Leave: whatever was under way is KILLED, the parent shows how it ended."""
        with self._lock:
            self.lease.check()
            for run_id in sorted(self._flying):
                self._kill(run_id, "cancelled: its driver was stopped")
            self._flying.clear()
            self.kill_strays()
            self._end_ledger_runs()
            if self._members:
                self._members.end(status)
            self.client.set_terminated(write_points.PARENT_ENDED, self._parent, status)

    def abandon(self) -> None:
        """After losing the lease: mark this driver's runs that do not count.

        A driver that was paused between asking for its lease and writing may have ended a run that
        the new driver had already marked; this puts that right. A result that nobody marked is the
        new driver's to count.
        """
        with self._lock:
            try:
                self.record.refresh()
            except RecordError:
                return  # `verify` names it; there is nothing that a fenced driver may mend
            counted = set(self.record.seals.counted())
            for run_id in sorted({*self._flying, *self._runs.values()} - counted):
                tags = self.client.get_run(run_id).data.tags
                sealed = int(tags[records.GENERATION]) < len(self.record.seals)
                if sealed or records.KILLED in tags or records.RESULT not in tags:
                    self._kill(run_id, tags.get(records.KILLED, ORPHANED))


def _params(declaration: Declaration, proposal: Proposal) -> Sequence[Any]:
    from mlflow.entities import Param  # noqa: PLC0415  (costs a second)

    strings = declaration.space.to_strings(proposal.params)
    return [Param(name, text) for name, text in strings.items()]
