"""A recorded population's checkpoints: here as folders, and in the store for other processes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lepton_core.asking import Asking
from lepton_core.declaration import Direction
from lepton_core.events import TrialRecord, best_of
from lepton_tasks import write_points
from lepton_tasks.attempts import OpenSlot, open_slots
from lepton_tasks.checkpoint_artifacts import CHECKPOINT, CheckpointArtifacts
from lepton_tasks.checkpoints import START, Checkpoints, missing
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.store import reachable
from lepton_tasks.sweep_record import SweepRecord


class RecordedCheckpoints(Checkpoints):
    """Checkpoints that are artifacts of their trials' runs, too. Calls may come from any thread.

    What is in the folder of this machine was made by this process, or fetched and held against the
    digests on record.

    Args:
        folder: Exists; nobody else writes there.
        find: The sweep as the store has it, for reading while this process does not drive it.
    """

    def __init__(self, folder: Path, find: Callable[[], SweepRecord | None]) -> None:
        super().__init__(folder)
        self._find = find
        self._ledger: MlflowLedger | None = None
        self._artifacts: CheckpointArtifacts | None = None
        self._runs: dict[int, str] = {}  # by trial, those whose checkpoints may be in the store
        self._fetching = threading.Lock()

    def hold(self, ledger: MlflowLedger, at: Asking, slots: Mapping[int, OpenSlot]) -> None:
        """Begin to write, for the driver that holds the sweep.

        What attempts that count for nothing left in the store is deleted.

        Args:
            ledger: The sweep's.
            at: The sweep as it is recorded.
            slots: What was on record for the generation that was open.
        """
        for place in self.folder.iterdir():  # others may have driven on since it was written
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
        self._ledger, self._artifacts = ledger, CheckpointArtifacts(ledger.record.store)
        told = {s.result.proposal.number: s.run_id for s in slots.values() if s.result is not None}
        sealed = ledger.record.seals.run_of
        known = {number: told.get(number) or sealed(number) for number in may_be_there(at)}
        self._runs = {number: run_id for number, run_id in known.items() if run_id is not None}
        for run_id in ledger.left_over:
            self._artifacts.delete(run_id)

    def release(self) -> None:
        """Write no more: the sweep is given back."""
        self._ledger = None

    def bring(self, number: int | None) -> Path:
        """A checkpoint's folder, fetched from the store if it is not here.

        Raises:
            CheckpointError: It is not there, or was altered.
        """
        with self._fetching:
            if not self.place(number).is_dir():
                self._fetch(number)
        return super().bring(number)

    def _fetch(self, number: int | None) -> None:
        record = self._ledger.record if self._ledger else self._find()
        if record is None:
            raise missing(number)
        with reachable(record.store.address.place):
            run_id = self._run_of(number, record)
            if run_id is None:
                raise missing(number)
            run = record.store.client.get_run(run_id)
            with self.writing(number) as folder:
                if not CheckpointArtifacts(record.store).get(run, folder):
                    raise missing(number)

    def _run_of(self, number: int | None, record: SweepRecord) -> str | None:
        """The run that has a trial's checkpoint, or the start's."""
        if number is None:
            return self._ledger.parent if self._ledger else record.parent
        found = self._runs.get(number) if self._ledger else record.seals.run_of(number)
        if found is not None or self._ledger is not None:
            return found
        slots = open_slots(record.attempts(len(record.seals)), record.head)
        told = {s.result.proposal.number: s.run_id for s in slots.values() if s.result is not None}
        return told.get(number)

    def run_of(self, number: int) -> str | None:
        """The run that has a trial's checkpoint, while this process drives the sweep."""
        return self._runs.get(number)

    def has_start(self) -> bool:
        """Whether the model as it was handed over is kept, here or in the store."""
        if super().has_start():
            return True
        record = self._ledger.record if self._ledger else self._find()
        if record is None:
            return False
        with reachable(record.store.address.place):
            run_id = self._run_of(None, record)
            return (
                run_id is not None and CHECKPOINT in record.store.client.get_run(run_id).data.tags
            )

    def keep_start(self) -> None:
        """Keep the model as it was handed over as artifacts of the parent run."""
        from mlflow.entities import RunTag  # noqa: PLC0415  (costs a second)

        if self._ledger is None or self._artifacts is None:
            return
        self._ledger.lease.check()
        parent = self._ledger.parent
        tags = self._artifacts.put(write_points.START_CHECKPOINT, parent, self.folder / START)
        written = [RunTag(key, text) for key, text in tags.items()]
        self._ledger.client.log_batch(write_points.START_KNOWN, parent, tags=written)

    def keep(self, number: int, run_id: str) -> None:
        """Keep a trial's checkpoint as artifacts of its run; its result will name them.

        Args:
            number: The trial's.
            run_id: The run of the attempt that wrote it.
        """
        if self._ledger is None or self._artifacts is None:
            return
        self._ledger.lease.check()
        tags = self._artifacts.put(write_points.CHECKPOINT, run_id, self.place(number))
        self._ledger.tag_with_result(run_id, tags)
        self._runs[number] = run_id

    def retain(self, numbers: Collection[int]) -> None:
        """Remove all checkpoints but these and the start, from the store too.

        Another driver can need none of them: it would go on from the last seal, which is there.

        Raises:
            LeaseLostError: Another driver took over.
        """
        super().retain(numbers)
        if self._ledger is None or self._artifacts is None:
            return
        gone = [number for number in self._runs if number not in numbers]
        if gone:
            self._ledger.lease.check(certain=True)
        for number in gone:
            self._artifacts.delete(self._runs[number])
            del self._runs[number]


def may_be_there(at: Asking) -> set[int]:
    """The trials whose checkpoints an earlier driver may have left in the store.

    Once a round is begun, all are deleted but those that its trials go on from and the best's. A
    driver that died at this left some of what was there for the round before.
    """
    done = at.trials()
    rounds = sorted({trial.proposal.generation for trial in done})[-2:]
    late = [trial.proposal for trial in done if trial.proposal.generation in rounds]
    late += at.proposals
    found = {p.number for p in late} | {p.origin.get("from") for p in late}
    for first in rounds:
        before = [trial for trial in done if trial.proposal.generation < first]
        found.add(_best(before, at.state.declaration.direction))
    found.add(_best(done, at.state.declaration.direction))
    return {number for number in found if number is not None}


def _best(trials: list[TrialRecord], direction: Direction) -> int | None:
    best = best_of(trials, direction)
    return None if best is None else best.proposal.number
