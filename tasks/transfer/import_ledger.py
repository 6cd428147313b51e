"""The ledger of a sweep that is being imported: it writes what other drivers decided.

It claims, records and seals as `MlflowLedger` does, and differs in what it is told: whole attempts
with their times and ends, instead of proposals and their results one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lepton_core.canonical import canonical_json, shown
from lepton_core.declaration import Settings
from lepton_core.errors import DrivenElsewhereError, LeaseLostError, RecordError
from lepton_core.export_format import Driver, Parent, Run
from lepton_core.fold import SweepState
from lepton_tasks import records, write_points
from lepton_tasks.attempts import (
    UNFINISHED,
    find_parents,
    find_runs,
    read_attempt,
    status_of,
    trial_condition,
)
from lepton_tasks.lease import Lease, acquire
from lepton_tasks.ledger import ORPHANED, MlflowLedger, milliseconds
from lepton_tasks.records import claims
from lepton_tasks.seals import Seal, entitled, seal_key
from lepton_tasks.sweep_record import IMPORTED, PARENT, SweepRecord
from lepton_tasks.transfer.export_check import as_mlflow
from lepton_tasks.untrusted import is_whole, read_object
from lepton_tasks.write_once import write_once

IMPORTED_RUN = "lepton.imported.run"  # tag: the run's id in the store that it comes from
ORIGINS = re.compile(r"origin/[0-9]{6}")
OURS = "lepton."
RUN_NAME, NOTE = "mlflow.runName", "mlflow.note.content"


def origin_key(epoch: int) -> str:
    """The register that says which driver of the file an epoch stands for."""
    return f"origin/{epoch:06d}"


def drivers_replayed(record: SweepRecord) -> int:
    """The latest of the file's drivers that has an epoch here; 0: none.

    Raises:
        RecordError: The store says something else of one.
    """
    known = [0]
    for key, text in record.params.items():
        if ORIGINS.fullmatch(key):
            known.append(_replayed(key, text))
    return max(known)


def _replayed(key: str, text: str) -> int:
    try:
        epoch = read_object(text)["epoch"]
    except (ValueError, KeyError):
        epoch = None
    if not is_whole(epoch, below=records.MAX_EPOCH + 1):
        raise RecordError(
            f"the record {key} of the ledger run was altered: expected which driver of the file "
            f"that epoch stands for, found {shown(text)}; import the file as another sweep with "
            "--as NAME",
            key=key,
        )
    return int(epoch)


def become(
    record: SweepRecord,
    driver: Driver,
    parent: Parent | None,
    before: ImportLedger | None,
    say: Callable[[str], None],
) -> ImportLedger:
    """Take the wheel as one of the file's drivers.

    Args:
        record: The sweep.
        driver: Which driver.
        parent: The sweep's own run in the file.
        before: The ledger so far, whose lease is given up.
        say: Told if this waits for a silent rival.

    Raises:
        DrivenElsewhereError: Another import of the same sweep is under way, or came between.
    """
    if before is not None:
        before.lease.release()
    known = before.lease.epoch if before else len(claims(record.params))
    name = record.entry.name
    try:
        lease = acquire(
            record.store.client,
            record.entry.ledger,
            name=name,
            from_generation=_sealed,
            say=say,
            versions=driver.environment,
        )
    except DrivenElsewhereError as error:
        raise DrivenElsewhereError(
            f"sweep {name!r} is being imported by {error.driver}, since {error.since}; "
            "leave it to that process, or give the same command again when it has ended",
            **error.values,
        ) from None
    if lease.epoch != known + 1:
        lease.release()
        raise DrivenElsewhereError(
            f"another import of sweep {name!r} came between; give the same command again",
            name=name,
        )
    lease.start(stop_driving=lambda _: None)  # a lost lease shows at the next write
    text = canonical_json({"epoch": driver.epoch, "claimed_at": driver.claimed_at})
    client, point = record.store.client, write_points.IMPORT_ORIGIN
    write_once(client, point, record.entry.ledger, origin_key(lease.epoch), text)
    if before is None:
        record.refresh()
        ledger = ImportLedger(record, lease, contested=known > 0)
    else:
        ledger, before.lease = before, lease
    if driver.settings is not None:
        if parent is not None:
            ledger.make_parent(parent)
        ledger.start(Settings.from_record(driver.settings))
    return ledger


def _sealed(params: Any) -> int:
    """How many generations are sealed."""
    claimed, generation = claims(params), 0
    while seal_key(generation, entitled(claimed, generation)) in params:
        generation += 1
    return generation


class ImportLedger(MlflowLedger):
    """The ledger as an import writes it.

    Args:
        record: The sweep, read after the lease was won.
        lease: The right to write it.
        contested: Whether another process wrote at this import before, and may still do so.
    """

    def __init__(self, record: SweepRecord, lease: Lease, *, contested: bool) -> None:
        super().__init__(record, lease)
        self.sealed_before = len(record.seals)
        self._contested = contested
        self._generation = -1
        self._ids: dict[str, str] = {}  # of the generation, by the ids in the file
        self._there: dict[str, list[Any]] = {}  # what was found of the generation, by the same
        self._ended = 0

    def make_parent(self, parent: Parent) -> None:
        """Make the sweep's own run, if an earlier import has not."""
        if self.record.parent is not None:
            return
        ledger, name = self.record.entry.ledger, self.declaration.name
        made = next(find_parents(self.client, self.record.store.experiment_id, ledger), None)
        if made is None:
            theirs = {k: v for k, v in parent.tags.items() if not k.startswith(OURS)}
            theirs.pop(RUN_NAME, None)
            if NOTE in theirs:  # it tells which commands to type
                there = parent.tags.get(records.SWEEP, name)
                for verb in ("resume", "verify"):
                    said, now = f"`lepton {verb} {there}`", f"`lepton {verb} {name}`"
                    theirs[NOTE] = theirs[NOTE].replace(said, now)
            made = self.client.create_run(
                write_points.PARENT_RUN,
                self.record.store.experiment_id,
                start_time=parent.start,
                run_name=name,
                tags={
                    **theirs,
                    records.KIND: "sweep",
                    records.SWEEP: name,
                    records.LEDGER: ledger,
                    IMPORTED_RUN: parent.run,
                    **records.declaration_tags(self.declaration),
                },
            )
        write_once(self.client, write_points.PARENT, ledger, PARENT, str(made.info.run_id))
        self.record.refresh()

    def take(self, run: Run, base: str) -> None:
        """Record one attempt, or what an earlier import left out of it.

        Args:
            run: The attempt as it is in the file.
            base: The hash of the last seal in the file, which here is another.
        """
        with self._lock:
            self.lease.check()
            self._turn_to(int(run.tags[records.GENERATION]))
            tags, status = self._as_here(run, base)
            killed = tags.get(records.KILLED)
            same = [
                found
                for found in self._there.get(run.run, [])
                if found.data.tags.get(records.KILLED) == killed
            ]
            made = same[0] if same else None
            if made is None:
                made = self.client.create_run(
                    write_points.TRIAL_RUN,
                    self._experiment,
                    start_time=run.start,
                    run_name=run.name,
                    tags=tags,
                )
            run_id = str(made.info.run_id)
            if made.info.status in UNFINISHED:
                self._log(run_id, run)
                self._set_status(run_id, status, run.end or milliseconds())
            self._ids[run.run] = run_id
            self._ended = max(self._ended, run.end or run.start)

    def _as_here(self, run: Run, base: str) -> tuple[dict[str, str], str]:
        """An attempt's tags and status here; one that was under way is ended as orphans are."""
        tags = {
            **run.tags,
            records.PARENT_RUN: self._parent,
            records.SWEEP: self.declaration.name,
            IMPORTED_RUN: run.run,
        }
        tags.pop(RUN_NAME, None)
        if tags.get(records.BASE) == base:
            tags[records.BASE] = self._head
        status = run.status
        if status in UNFINISHED:
            attempt = read_attempt(as_mlflow(run), self.declaration)
            result = attempt.result if attempt else None
            status = "KILLED" if result is None else status_of(result)
            if result is None:
                tags.setdefault(records.KILLED, ORPHANED)
        return tags, status

    def _log(self, run_id: str, run: Run) -> None:
        from mlflow.entities import Metric, Param  # noqa: PLC0415  (costs a second)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        params = [Param(key, text) for key, text in run.params.items()]
        metrics = [Metric(key, value, when, step) for key, value, when, step in run.metrics]
        if not params and not metrics:
            return
        point = write_points.IMPORT_VALUES
        try:
            self.client.log_batch(point, run_id, params=params, metrics=metrics)
        except MlflowException:
            # Our successor may have written the same at the same moment; written again it is there.
            self.lease.check(certain=True)
            self.client.log_batch(point, run_id, params=params, metrics=metrics)

    def seal_as(self, seal: Seal, state: SweepState) -> None:
        """Close a generation with the runs that its attempts are here.

        Args:
            seal: The seal in the file.
            state: The state that follows.
        """
        with self._lock:
            self._kill_doubles()
            self._runs = {slot: self._ids[run] for slot, run in enumerate(seal.runs)}
            ended = self._ended
            self.clock = lambda: ended  # the parent's curves show when it was
            self.seal(seal.event, state)
            self.clock = milliseconds

    def conclude(self, parent: Parent | None, origin: str) -> None:
        """The last line is written: the sweep's own run ends as it did, and the sweep is free."""
        with self._lock:
            self.lease.check(certain=True)
            self._kill_doubles()
            if parent is not None and self._parent:
                self._log(self._parent, self._without_curves(parent))
                status = "KILLED" if parent.status in UNFINISHED else parent.status
                ended = parent.end or milliseconds()
                self.kill_strays()  # a store may have made a run twice
                if self._members:
                    self._members.end(status)
                point = write_points.PARENT_ENDED
                self.client.set_terminated(point, self._parent, status, ended)
            ledger, point = self.record.entry.ledger, write_points.IMPORT_DONE
            write_once(self.client, point, ledger, IMPORTED, origin)
        self.lease.release()

    def leave(self) -> None:
        """Stop in the middle; whoever goes on need not wait."""
        try:
            if self._parent:
                self.end("KILLED")
        except LeaseLostError:
            self._withdraw()
        finally:
            self.lease.release()

    # -- what several processes may have written at once ------------------------------------

    def _turn_to(self, generation: int) -> None:
        if generation == self._generation:
            return
        self._kill_doubles()
        self._generation, self._ids, self._ended = generation, {}, 0
        self._there = self._find(generation) if self._contested else {}

    def _find(self, generation: int) -> dict[str, list[Any]]:
        """The runs of a generation that are here, by their ids in the file."""
        found: dict[str, list[Any]] = {}
        condition = trial_condition(self.declaration.name, generation)
        for run in find_runs(self.client, self._experiment, condition):
            found.setdefault(run.data.tags.get(IMPORTED_RUN, ""), []).append(run)
        return found

    def _kill_doubles(self) -> None:
        """Mark what an earlier process of this import wrote after its successor had looked."""
        if not self._contested or self._generation < 0:
            return
        for theirs, runs in self._find(self._generation).items():
            for run in runs:
                ours = self._ids.get(theirs, run.info.run_id)
                if run.info.run_id != ours and run.info.status != "KILLED":
                    self._kill(run.info.run_id, ORPHANED)

    def _withdraw(self) -> None:
        """After losing the lease: mark those of this process's runs that its successor has too."""
        self.record.refresh()
        counted = set(self.record.seals.counted())
        for theirs, runs in self._find(self._generation).items():
            mine = self._ids.get(theirs)
            if len(runs) > 1 and mine is not None and mine not in counted:
                self._kill(mine, ORPHANED)

    def _without_curves(self, parent: Parent) -> Parent:
        """The parent without what its seals have drawn here already."""
        ours = f"best_{self.declaration.metric}"
        kept = tuple(m for m in parent.metrics if m[0] != ours and not m[0].startswith("share_"))
        return replace(parent, metrics=kept)
