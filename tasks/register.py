"""Which sweeps a store holds: one register run, whose write-once params are the sweeps' names.

MLflow has no uniqueness on runs, only on experiments' names. So the name of one experiment,
created with the register run's id in its tags (one transaction, the first wins), says which run is
the register; every sweep's name is then a write-once param of that run. Listing all sweeps is one
call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lepton_core.canonical import canonical_json, shown
from lepton_core.declaration import Declaration, is_sweep_name
from lepton_core.errors import RecordError
from lepton_tasks import records, write_points
from lepton_tasks.attempts import find_ledgers, find_runs
from lepton_tasks.lookup import is_deleted, run_or_none
from lepton_tasks.records import refuse_newer
from lepton_tasks.store import Store
from lepton_tasks.untrusted import read_object
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import WritePoint

EXPERIMENT = "lepton-register"
REGISTER = "lepton.register"
PREFIX = "sweep/"
ASK_DOCTOR = "'lepton doctor NAME' says what can be done"


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered sweep.

    Attributes:
        ledger: The run id of its ledger.
        digest: The SHA-256 of its declaration.
    """

    name: str
    ledger: str
    digest: str


def entries(store: Store) -> dict[str, Entry]:
    """All sweeps of the store by name, in the order of names.

    Raises:
        RecordError: The register is lost, or an entry of it cannot be read.
    """
    return {name: read_entry(name, text) for name, text in texts(store).items()}


def texts(store: Store) -> dict[str, str]:
    """What the register holds under each sweep's name, unread, in the order of names.

    Raises:
        RecordError: The register is lost.
    """
    register = find(store)
    if register is None:
        return {}
    run = run_or_none(store.client, register)
    if run is None:
        raise RecordError(
            f"the run {register}, which registers all sweeps in {store.address.place}, is gone; "
            f"{ASK_DOCTOR}",
            run_id=register,
        )
    params = run.data.params
    names = (key.removeprefix(PREFIX) for key in sorted(params) if key.startswith(PREFIX))
    return {name: params[PREFIX + name] for name in names if is_sweep_name(name)}


def lookup(store: Store, name: str) -> Entry | None:
    """The sweep of that name, or None.

    Raises:
        RecordError: The register or the sweep's entry is lost, or cannot be read.
    """
    text = texts(store).get(name)
    if text is not None:
        return read_entry(name, text)
    if lost := driven_ledgers(store, name):
        text = texts(store).get(name)  # a rival may have registered it, and driven, meanwhile
        if text is not None:
            return read_entry(name, text)
        raise RecordError(
            f"sweep {name!r} is no more in the register of {store.address.place}, though the "
            f"ledger run {lost[0]} holds its history; {ASK_DOCTOR}",
            name=name,
        )
    return None


def driven_ledgers(store: Store, name: str) -> list[str]:
    """The ledger runs of a name that were driven once, hence registered: others are nobody's."""
    if not is_sweep_name(name):
        return []
    found = find_ledgers(store.client, store.ledger_id, name)
    first = records.epoch_key(1)
    return [
        run.info.run_id
        for run in found
        if records.KILLED not in run.data.tags
        and any(key >= first for key in run.data.params if key.startswith("epoch/"))
    ]


def enter(
    store: Store, declaration: Declaration, more_tags: Mapping[str, str] | None = None
) -> Entry:
    """Register a sweep under its name, which it then has for ever.

    Args:
        store: The open store.
        declaration: The sweep.
        more_tags: Further tags of its ledger run, there from its first moment.

    Returns:
        The sweep of that name: this one, or one that was registered before (perhaps a moment ago,
        by a rival), whose identity the caller must compare.

    Raises:
        RecordError: The register is lost, or was deleted.
    """
    register = find(store) or _make(store)
    if is_deleted(store.client.get_run(register)):
        raise RecordError(
            f"the run {register}, which registers all sweeps in {store.address.place}, was "
            f"deleted; restore it: mlflow runs restore --run-id {register}",
            run_id=register,
        )
    tags = records.declaration_tags(declaration)
    ledger = _ledger_run(
        store,
        write_points.LEDGER_RUN,
        declaration.name,
        {records.SWEEP: declaration.name, **tags, **(more_tags or {})},
    )
    text = canonical_json({"ledger": ledger, "digest": tags[records.DECLARATION + records.DIGEST]})
    stored = write_once(store.client, write_points.NAME, register, PREFIX + declaration.name, text)
    if stored != text:  # a rival was faster; this ledger run is nobody's
        reason = "another driver declared this sweep first"
        store.client.set_tag(write_points.KILLED_REASON, ledger, records.KILLED, reason)
        store.client.set_terminated(write_points.KILLED_STATUS, ledger, "KILLED")
    return read_entry(declaration.name, stored)


def _ledger_run(store: Store, point: WritePoint, name: str, tags: dict[str, str]) -> str:
    """A new run in the ledger's experiment, ended at once: nothing there ever shows as running."""
    run = store.client.create_run(
        point, store.ledger_id, run_name=name, tags={records.KIND: "ledger", **tags}
    )
    store.client.set_terminated(write_points.LEDGER_ENDED, run.info.run_id)
    return str(run.info.run_id)


def read_entry(name: str, text: str) -> Entry:
    """An entry of the register.

    Raises:
        RecordError: The text is none.
    """
    try:
        content = read_object(text)
        refuse_newer(content, f"the register's entry of sweep {name!r}")
        ledger, declared = content["ledger"], content["digest"]
        readable = records.is_run_id(ledger) and isinstance(declared, str)
    except (ValueError, KeyError):
        readable, ledger, declared = False, "", ""
    if not readable:
        raise RecordError(
            f"the register's entry of sweep {name!r} was altered: expected its ledger run and "
            f"the digest of its declaration, found {shown(text)}; {ASK_DOCTOR}",
            name=name,
        )
    return Entry(name, ledger, declared)


def find(store: Store) -> str | None:
    """The register run's id, or None in a store without sweeps.

    Raises:
        RecordError: There is a register, but nothing points to it.
    """
    pointer = store.client.get_experiment_by_name(EXPERIMENT)
    if pointer is None:
        strays = register_runs(store)
        pointer = store.client.get_experiment_by_name(EXPERIMENT)  # a rival may have made it now
        if strays and pointer is None:
            raise RecordError(
                f"the experiment {EXPERIMENT!r} is gone from {store.address.place} or has another "
                f"name, though the run {strays[0]} registers sweeps; {ASK_DOCTOR}",
                experiment=EXPERIMENT,
            )
    if pointer is None:
        return None
    register = pointer.tags.get(REGISTER)
    if not records.is_run_id(register):
        raise RecordError(
            f"the experiment {EXPERIMENT!r} in {store.address.place} has lost its tag {REGISTER}, "
            f"which names the run that registers all sweeps; {ASK_DOCTOR}",
            experiment=EXPERIMENT,
        )
    return register


def register_runs(store: Store) -> list[str]:
    """The runs that register a sweep at least: one, unless somebody made others.

    One that registers none lost the race for being the register, or was made just before a crash.
    """
    condition = f"tags.`{records.KIND}` = 'ledger' and tags.`{records.SWEEP}` IS NULL"
    return [
        run.info.run_id
        for run in find_runs(store.client, store.ledger_id, condition)
        if records.KILLED not in run.data.tags
        and any(key.startswith(PREFIX) for key in run.data.params)
    ]


def _make(store: Store) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)

    register = _ledger_run(store, write_points.REGISTER_RUN, "register of sweeps", {})
    location = store.address.artifacts_of(EXPERIMENT)
    try:
        store.client.create_experiment(
            write_points.REGISTER_POINTER,
            EXPERIMENT,
            artifact_location=location,
            tags={REGISTER: register},
        )
    except MlflowException:
        found = find(store)
        if found is None:
            raise
        if found != register:  # a rival made it meanwhile; our run is nobody's
            store.client.set_terminated(write_points.KILLED_STATUS, register, "KILLED")
        return found
    return register
