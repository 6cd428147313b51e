"""Which sweeps a store holds: one register run, whose write-once params are the sweeps' names.

MLflow has no uniqueness on runs, only on experiments' names. So the name of one experiment,
created with the register run's id in its tags (one transaction, the first wins), says which run is
the register; every sweep's name is then a write-once param of that run. Listing all sweeps is one
call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_tasks import records, write_points
from lepton_tasks.store import Store
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import WritePoint

EXPERIMENT = "lepton-register"
REGISTER = "lepton.register"
PREFIX = "sweep/"


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
    """All sweeps of the store by name, in the order of names."""
    register = _find(store)
    if register is None:
        return {}
    params = store.client.get_run(register).data.params
    names = sorted(key for key in params if key.startswith(PREFIX))
    found = (_parse(key.removeprefix(PREFIX), params[key]) for key in names)
    return {entry.name: entry for entry in found}


def lookup(store: Store, name: str) -> Entry | None:
    """The sweep of that name, or None."""
    return entries(store).get(name)


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
    """
    register = _find(store) or _make(store)
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
    return _parse(declaration.name, stored)


def _ledger_run(store: Store, point: WritePoint, name: str, tags: dict[str, str]) -> str:
    """A new run in the ledger's experiment, ended at once: nothing there ever shows as running."""
    run = store.client.create_run(
        point, store.ledger_id, run_name=name, tags={records.KIND: "ledger", **tags}
    )
    store.client.set_terminated(write_points.LEDGER_ENDED, run.info.run_id)
    return str(run.info.run_id)


def _parse(name: str, text: str) -> Entry:
    content = json.loads(text)
    return Entry(name, content["ledger"], content["digest"])


def _find(store: Store) -> str | None:
    pointer = store.client.get_experiment_by_name(EXPERIMENT)
    if pointer is None:
        return None
    register = pointer.tags.get(REGISTER)
    if register is None:
        raise RecordError(
            f"the experiment {EXPERIMENT!r} in {store.address.place} has lost its tag {REGISTER}, "
            "which names the run that registers all sweeps; set it again",
            experiment=EXPERIMENT,
        )
    return str(register)


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
        found = _find(store)
        if found is None:
            raise
        if found != register:  # a rival made it meanwhile; our run is nobody's
            store.client.set_terminated(write_points.KILLED_STATUS, register, "KILLED")
        return found
    return register
