"""A sweep as the ledger has it, for reading: its declaration, settings, seals and attempts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from lepton_core.canonical import shown
from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import (
    InputError,
    RecordError,
    UnfinishedImportError,
    UnknownSweepError,
)
from lepton_core.events import Event, SettingsAmended, SweepDeclared
from lepton_core.fold import SweepState
from lepton_tasks import records, register
from lepton_tasks.attempts import (
    Attempt,
    find_parents,
    read_attempts,
    unfinished_trials,
)
from lepton_tasks.gaps import check_whole
from lepton_tasks.lookup import is_deleted, run_or_none
from lepton_tasks.register import Entry
from lepton_tasks.seals import Seals
from lepton_tasks.snapshots import fold
from lepton_tasks.store import Store, address, connect, exists, reachable

PARENTS, SETTINGS = re.compile(r"parent(/[0-9]{6})?"), re.compile(r"settings/[0-9]{6}")
PARENT = "parent"  # and `parent/NNNNNN`, which `lepton doctor` writes for one that is gone
ORIGIN = "lepton.origin"  # tag of an imported sweep's ledger run, from its first moment
IMPORTED = "imported"  # param of the same, once all of it is there


class SweepRecord:
    """One sweep as the ledger has it, for reading.

    Args:
        store: The open store.
        entry: The sweep's registration.
        unfinished: Read a sweep too whose import is not done.

    Raises:
        RecordError: The declaration or a seal is torn, was altered or taken out.
        UnfinishedImportError: The sweep's import was begun and is not done.
    """

    def __init__(self, store: Store, entry: Entry, *, unfinished: bool = False) -> None:
        self.store, self.entry, self.unfinished = store, entry, unfinished
        self._folded: tuple[str, SweepState] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the ledger run again: claims, settings and seals, in one call."""
        run = run_or_none(self.store.client, self.entry.ledger)
        if run is None:
            raise RecordError(
                f"the ledger run {shown(self.entry.ledger)} of sweep {self.entry.name!r} is gone "
                f"from {self.store.address.place}, and its history with it; restore a backup of "
                "the store, or import an export of the sweep",
                name=self.entry.name,
                run_id=self.entry.ledger,
            )
        self.deleted = is_deleted(run)
        self.take(run.data.params, run.data.tags)

    def take(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Be what the ledger run was when somebody read it.

        Raises:
            RecordError: The declaration or a seal is torn, was altered or taken out.
            UnfinishedImportError: The sweep's import was begun and is not done.
        """
        self.params, self.tags = params, tags
        if self._is_being_imported and not self.unfinished:
            name = self.entry.name
            raise UnfinishedImportError(
                f"the import of sweep {name!r} was begun and is not done. If nobody is at it, "
                "give 'lepton import' the same file again: it goes on from there.",
                name=name,
            )
        if self.tags.get(records.DECLARATION + records.DIGEST) != self.entry.digest:
            raise RecordError(
                f"the declaration of sweep {self.entry.name!r} was altered: its digest is not the "
                f"registered one; 'lepton doctor {self.entry.name}' says what can be done",
                name=self.entry.name,
            )
        self.declaration = records.read_declaration(self.tags)
        if self.declaration.name != self.entry.name:
            raise RecordError(
                f"the ledger run of sweep {self.entry.name!r} declares "
                f"{self.declaration.name!r}; the register was altered",
                name=self.entry.name,
            )
        self.seals = Seals(self.params, self.declaration, self.entry.digest)
        check_whole(self.entry.name, self.params, len(self.seals))

    @property
    def _is_being_imported(self) -> bool:
        """Whether an import was begun and is not done: what drivers drove has only such a tag."""
        driven = any(
            SETTINGS.fullmatch(key) and key.replace("settings", "origin") not in self.params
            for key in self.params
        )
        return ORIGIN in self.tags and IMPORTED not in self.params and not driven

    @property
    def parent(self) -> str | None:
        """The run id of the sweep's parent run, once there is one; of several, the latest."""
        found = [key for key in self.params if PARENTS.fullmatch(key)]
        return self.params[max(found)] if found else None

    @property
    def settings(self) -> Settings | None:
        """The latest settings that can be read: each driver records its own."""
        keys = sorted((key for key in self.params if SETTINGS.fullmatch(key)), reverse=True)
        found = (records.read_settings(self.params[key]) for key in keys)
        return next((settings for settings in found if settings is not None), None)

    @property
    def events(self) -> Sequence[Event]:
        """The sweep's history for the fold; each event is read when it is asked for."""
        first = [SweepDeclared(declaration=self.declaration)]
        amended = [SettingsAmended(settings=self.settings)] if self.settings else []
        return History([*first, *amended], self.seals)

    @property
    def head(self) -> str:
        """The hash that the next seal is chained to."""
        return self.seals.head()

    @property
    def state(self) -> SweepState:
        """The fold of `events`, by way of the newest snapshot that holds."""
        if self._folded is None or self._folded[0] != self.head:
            self._folded = self.head, fold(self.params, self.declaration, self.seals)
        return replace(self._folded[1], settings=self.settings)

    def attempts(self, generation: int | None = None) -> list[Attempt]:
        """The sweep's trial runs, or those of one generation."""
        if self.parent is None:
            return []
        experiment = self.parent_info().experiment_id
        return read_attempts(self.store.client, experiment, self.declaration, generation)

    def parent_info(self) -> Any:
        """MLflow's info of the parent run, which there must be.

        Raises:
            RecordError: It was deleted, or is gone.
        """
        run = run_or_none(self.store.client, self.parent or "")
        if run is None or is_deleted(run):
            raise RecordError(
                f"the parent run {shown(self.parent)} of sweep {self.entry.name!r} was deleted; "
                f"'lepton doctor {self.entry.name}' says what can be done",
                name=self.entry.name,
                run_id=self.parent,
            )
        return run.info

    @property
    def is_emptied(self) -> bool:
        """Whether the ledger run has no record of a driver, though one made the parent run.

        A driver claims the sweep before it writes anything else.
        """
        if records.claims(self.params):
            return False
        store = self.store
        ledger = self.entry.ledger
        parents = find_parents(store.client, store.experiment_id, ledger, deleted=True)
        return self.parent is not None or next(parents, None) is not None

    def check_drivable(self) -> None:
        """Do nothing if the sweep's own runs are there to be written.

        Raises:
            RecordError: The ledger run or the parent run was deleted, or the records taken out.
        """
        if self.is_emptied:
            raise RecordError(
                f"the records in the ledger run {self.entry.ledger} of sweep {self.entry.name!r} "
                "were taken out: there is no driver's claim, though its parent run is there; "
                f"'lepton doctor {self.entry.name}' says what can be done",
                name=self.entry.name,
                run_id=self.entry.ledger,
            )
        if self.deleted:
            raise RecordError(
                f"the ledger run {self.entry.ledger} of sweep {self.entry.name!r} was deleted; "
                f"'lepton doctor {self.entry.name}' says what can be done",
                name=self.entry.name,
                run_id=self.entry.ledger,
            )
        if self.parent is not None:
            self.parent_info()

    @property
    def has_running_trials(self) -> bool:
        """Whether a trial's run shows as under way: it is, or a lost request made it late."""
        if self.parent is None:
            return False
        experiment = self.parent_info().experiment_id
        return any(unfinished_trials(self.store.client, experiment, self.entry.name))


class History(Sequence[Event]):
    """The events of a sweep: its declaration and settings, then a seal for each generation."""

    def __init__(self, first: Sequence[Event], seals: Seals) -> None:
        self._first, self._seals = first, seals

    def __len__(self) -> int:
        """How many there are."""
        return len(self._first) + len(self._seals)

    def __iter__(self) -> Iterator[Event]:
        """One after the other."""
        yield from self._first
        for seal in self._seals:
            yield seal.event

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        """One event, or some."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at, before = range(len(self))[index], len(self._first)
        return self._first[at] if at < before else self._seals[at - before].event


def open_record(name: str) -> SweepRecord:
    """A sweep of the store that the environment names, for reading.

    Raises:
        UnknownSweepError: The store has no sweep of that name; names those that it has.
        StoreUnreachableError: The store failed.
    """
    store, entry = find_sweep(name)
    with reachable(store.address.place):
        return SweepRecord(store, entry)


def find_sweep(name: str) -> tuple[Store, Entry]:
    """The store that the environment names, and a sweep of it, whose history is not read.

    Raises:
        UnknownSweepError: The store has no sweep of that name; names those that it has.
        StoreUnreachableError: The store failed.
    """
    where = address()
    if exists(where):
        store = connect(where)
        with reachable(where.place):
            entry = register.lookup(store, name)
            if entry is not None:
                return store, entry
            known = ", ".join(register.texts(store)) or "none"
    else:
        known = "none; there is no such file yet"
    raise UnknownSweepError(
        f"no sweep named {name!r} in {where.place} (there are: {known}).\n"
        "MLFLOW_TRACKING_URI says which store; unset, it is mlruns/ of the current directory.",
        name=name,
    )


def find_to_resume(name: str) -> None:
    """Do nothing if the store has that sweep, and it is one of an objective.

    Raises:
        UnknownSweepError: The store has no sweep of that name; names those that it has.
        InputError: It trains a population, which its script drives.
        StoreUnreachableError: The store failed.
    """
    store, entry = find_sweep(name)
    with reachable(store.address.place):
        run = run_or_none(store.client, entry.ledger)
        tags = {} if run is None else run.data.tags
    # What is wrong with the record is said by who reads all of it.
    if tags.get(records.DECLARATION + records.DIGEST) == entry.digest:
        check_has_objective(records.read_declaration(tags))


def check_has_objective(declaration: Declaration) -> None:
    """Do nothing if a sweep evaluates an objective, which a sweep file can name.

    Raises:
        InputError: It trains a population, which its script drives.
    """
    if declaration.training is None:
        return
    name, direction = declaration.name, declaration.direction
    raise InputError(
        f"sweep {name!r} trains a population: a model and a train step, which no sweep file "
        "names. Run its script again, which goes on from here: "
        f"lepton.Optimizer(name={name!r}).{direction}(train_step, steps=..., model=model, "
        "data=(x, y))",
        name=name,
    )
