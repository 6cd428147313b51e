"""Importing a sweep: the file is checked to its end, then written as its drivers wrote it.

Each driver of the file becomes one here: it claims its epoch, says its settings, records its
attempts and seals its generations, by the code that drivers use. So an import that was killed is a
sweep whose driver was killed, and goes on as such. Until it is done nobody may drive the sweep:
`SweepRecord` refuses one whose ledger run has an origin and does not say that it is imported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Declaration
from lepton_core.errors import InputError
from lepton_core.export_format import Driver, End, Line, Parent, Run, Sealed
from lepton_core.sweep_file import parse_name
from lepton_tasks import records, register, write_points
from lepton_tasks.register import Entry
from lepton_tasks.store import Store, connect, reachable
from lepton_tasks.sweep_record import IMPORTED, ORIGIN, SweepRecord
from lepton_tasks.transfer.export_check import Checked, ExportCheck, check_file
from lepton_tasks.transfer.export_file import at_line, read_lines
from lepton_tasks.transfer.import_ledger import ImportLedger, become, drivers_replayed
from lepton_tasks.write_once import write_once

DONE, NOTHING_TO_DO = "imported", "nothing to do"
SECONDS_BETWEEN_WORDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was imported.

    Attributes:
        ending: "imported", or "nothing to do" for what had been imported before.
        record: The sweep as it is now.
    """

    ending: str
    checked: Checked
    record: SweepRecord


def import_sweep(
    path: Path, name: str | None = None, say: Callable[[str], None] = lambda _: None
) -> Imported:
    """Bring an exported sweep into the store that the environment names.

    Args:
        path: The file.
        name: The sweep's name here; its own if None.
        say: Told now and then how far it is.

    Raises:
        ExportFileError: The file is no export, or was altered; nothing was written.
        InputError: The store has another sweep of that name; nothing was written.
        DrivenElsewhereError: Another import of it is under way.
        StoreUnreachableError: The store failed.
    """
    checked = check_file(path)
    declaration = checked.state.declaration
    if name is not None:
        declaration = replace(declaration, name=parse_name(name))
    store = connect()
    with reachable(store.address.place):
        origin = _origin(checked)
        record = SweepRecord(store, _enter(store, declaration, origin), unfinished=True)
        ending = NOTHING_TO_DO
        if IMPORTED not in record.params:
            store.client.be_patient(say, threading.Event())
            _Import(record, path, checked.end.runs, origin, say).write()
            record.refresh()
            ending = DONE
    return Imported(ending=ending, checked=checked, record=record)


def _origin(checked: Checked) -> str:
    """Where an imported sweep comes from: equal for two imports of the same file alone."""
    return canonical_json(
        {
            "name": checked.state.declaration.name,
            "head": checked.header.head,
            "digest": checked.end.digest,
            "lepton": checked.header.lepton,
        }
    )


def _enter(store: Store, declaration: Declaration, origin: str) -> Entry:
    """Register the sweep, or find what an earlier import of the same file registered."""
    name = declaration.name
    entry = register.lookup(store, name) or register.enter(store, declaration, {ORIGIN: origin})
    ledger = store.client.get_run(entry.ledger).data
    if ledger.tags.get(ORIGIN) == origin:
        return entry
    what = "a sweep"
    if ORIGIN in ledger.tags and IMPORTED not in ledger.params:
        what = "an unfinished import of another file"
    raise InputError(
        f"{store.address.place} has {what} named {name!r} already, and a name is given once. "
        "Import this one as another with --as NAME, or into another store (MLFLOW_TRACKING_URI).",
        name=name,
    )


class _Import:
    """One process's work at an import: it writes what is not written yet."""

    def __init__(
        self,
        record: SweepRecord,
        path: Path,
        runs: int,
        origin: str,
        say: Callable[[str], None],
    ) -> None:
        self.record, self.path, self.runs, self.origin, self.say = record, path, runs, origin, say
        self.check = ExportCheck()
        self.ledger: ImportLedger | None = None
        self._replayed = drivers_replayed(record)
        self._parent: Parent | None = None
        self._seen, self._spoke = 0, time.monotonic()

    def write(self) -> None:
        """Write the file's lines, from where an earlier import stopped.

        The lines are checked once more, as the file might have changed since.
        """
        try:
            for number, line in read_lines(self.path):
                with at_line(self.path, number):
                    self.check.take(line)
                self._take(line)
        except BaseException:
            if self.ledger is not None:
                with suppress(Exception):  # what went wrong first is what counts
                    self.ledger.leave()
            raise

    def _take(self, line: Line) -> None:
        match line:
            case Parent():
                self._parent = line
            case Driver():
                if line.epoch >= self._replayed:
                    self.ledger = become(self.record, line, self._parent, self.ledger, self.say)
            case Run():
                self._seen += 1
                self._tell()
                if self._is_open(int(line.tags[records.GENERATION])):
                    self._written.take(line, self.check.head)
            case Sealed():
                if self._is_open(line.generation) and self.check.seal and self.check.state:
                    self._written.seal_as(self.check.seal, self.check.state)
            case End():
                if self.ledger is not None:
                    self.ledger.conclude(self._parent, self.origin)
                else:  # nobody ever drove it
                    client, ledger = self.record.store.client, self.record.entry.ledger
                    write_once(client, write_points.IMPORT_DONE, ledger, IMPORTED, self.origin)

    @property
    def _written(self) -> ImportLedger:
        if self.ledger is None:  # the check lets no run or seal come before a driver
            raise InputError(f"{self.path} has changed while it was imported")
        return self.ledger

    def _is_open(self, generation: int) -> bool:
        return self.ledger is not None and generation >= self.ledger.sealed_before

    def _tell(self) -> None:
        if time.monotonic() - self._spoke > SECONDS_BETWEEN_WORDS:
            self._spoke = time.monotonic()
            self.say(f"{self._seen} of {self.runs} runs")
