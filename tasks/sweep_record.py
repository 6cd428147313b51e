"""A sweep as the ledger has it, for reading: its declaration, settings, seals and attempts."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_core.declaration import Settings
from lepton_core.errors import RecordError, UnknownSweepError
from lepton_core.events import Event, SettingsAmended, SweepDeclared
from lepton_tasks import records, register
from lepton_tasks.attempts import Attempt, find_runs, read_attempts, trial_condition
from lepton_tasks.register import Entry
from lepton_tasks.seals import Seal, seals
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
        self.refresh()

    def refresh(self) -> None:
        """Read the ledger run again: claims, settings and seals, in one call."""
        run = self.store.client.get_run(self.entry.ledger)
        self.params: Mapping[str, str] = run.data.params
        self.tags: Mapping[str, str] = run.data.tags
        if self.tags.get(records.DECLARATION + records.DIGEST) != self.entry.digest:
            raise RecordError(
                f"the declaration of sweep {self.entry.name!r} was altered: its digest is not the "
                "registered one",
                name=self.entry.name,
            )
        self.declaration = records.read_declaration(self.tags)
        self.seals: tuple[Seal, ...] = tuple(
            seals(self.params, self.declaration, self.entry.digest)
        )

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
    def events(self) -> list[Event]:
        """The sweep's history for the fold."""
        amended = [SettingsAmended(settings=self.settings)] if self.settings else []
        sealed = [seal.event for seal in self.seals]
        return [SweepDeclared(declaration=self.declaration), *amended, *sealed]

    @property
    def head(self) -> str:
        """The hash that the next seal is chained to."""
        return self.seals[-1].hash if self.seals else self.entry.digest

    def attempts(self, generation: int | None = None) -> list[Attempt]:
        """The sweep's trial runs, or those of one generation."""
        if self.parent is None:
            return []
        client = self.store.client
        experiment = client.get_run(self.parent).info.experiment_id
        return read_attempts(client, experiment, self.declaration, generation)

    @property
    def has_running_trials(self) -> bool:
        """Whether a trial's run shows as running: under way, or made late, by a lost request."""
        if self.parent is None:
            return False
        client = self.store.client
        experiment = client.get_run(self.parent).info.experiment_id
        condition = f"{trial_condition(self.entry.name)} and attributes.status = 'RUNNING'"
        return next(find_runs(client, experiment, condition), None) is not None


def open_record(name: str) -> SweepRecord:
    """A sweep of the store that the environment names, for reading.

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
                return SweepRecord(store, entries[name])
            known = ", ".join(entries) or "none"
    else:
        known = "none; there is no such file yet"
    raise UnknownSweepError(
        f"no sweep named {name!r} in {where.place} (there are: {known}).\n"
        "MLFLOW_TRACKING_URI says which store; unset, it is mlruns/ of the current directory.",
        name=name,
    )
