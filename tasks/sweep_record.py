"""A sweep as the ledger has it, for reading: its declaration, settings, seals and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import overload

from lepton_core.declaration import Settings
from lepton_core.errors import RecordError, UnknownSweepError
from lepton_core.events import Event, SettingsAmended, SweepDeclared
from lepton_core.fold import SweepState
from lepton_tasks import records, register
from lepton_tasks.attempts import Attempt, read_attempts, unfinished_trials
from lepton_tasks.register import Entry
from lepton_tasks.seals import Seals
from lepton_tasks.snapshots import fold
from lepton_tasks.store import Store, address, connect, exists, reachable

PARENT = "parent"


class SweepRecord:
    """One sweep as the ledger has it, for reading.

    Args:
        store: The open store.
        entry: The sweep's registration.

    Raises:
        RecordError: The declaration or a seal is torn or was altered.
    """

    def __init__(self, store: Store, entry: Entry) -> None:
        self.store, self.entry = store, entry
        self._folded: tuple[str, SweepState] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the ledger run again: claims, settings and seals, in one call."""
        run = self.store.client.get_run(self.entry.ledger)
        self.take(run.data.params, run.data.tags)

    def take(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Be what the ledger run was when somebody read it.

        Raises:
            RecordError: The declaration or a seal is torn or was altered.
        """
        self.params, self.tags = params, tags
        if self.tags.get(records.DECLARATION + records.DIGEST) != self.entry.digest:
            raise RecordError(
                f"the declaration of sweep {self.entry.name!r} was altered: its digest is not the "
                "registered one",
                name=self.entry.name,
            )
        self.declaration = records.read_declaration(self.tags)
        self.seals = Seals(self.params, self.declaration, self.entry.digest)

    @property
    def parent(self) -> str | None:
        """The run id of the sweep's parent run, once there is one."""
        return self.params.get(PARENT)

    @property
    def settings(self) -> Settings | None:
        """The latest driver's settings."""
        keys = sorted(key for key in self.params if key.startswith("settings/"))
        return records.read_settings(self.params[keys[-1]]) if keys else None

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
        client = self.store.client
        experiment = client.get_run(self.parent).info.experiment_id
        return read_attempts(client, experiment, self.declaration, generation)

    @property
    def has_running_trials(self) -> bool:
        """Whether a trial's run shows as under way: it is, or a lost request made it late."""
        if self.parent is None:
            return False
        client = self.store.client
        experiment = client.get_run(self.parent).info.experiment_id
        return any(unfinished_trials(client, experiment, self.entry.name))


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
            entries = register.entries(store)
            if name in entries:
                return store, entries[name]
            known = ", ".join(entries) or "none"
    else:
        known = "none; there is no such file yet"
    raise UnknownSweepError(
        f"no sweep named {name!r} in {where.place} (there are: {known}).\n"
        "MLFLOW_TRACKING_URI says which store; unset, it is mlruns/ of the current directory.",
        name=name,
    )
