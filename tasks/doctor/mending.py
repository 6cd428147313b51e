"""One repair: what is changed in the store, and the tag that tells of it.

Nothing is deleted: what is written over, or taken off, stands in a tag `lepton.repaired.N` of the
run or experiment concerned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lepton_core.canonical import canonical_json
from lepton_core.errors import RecordError
from lepton_core.version import __version__
from lepton_tasks import records, register
from lepton_tasks.attempts import find_parents
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.doctor.own_runs import trials_experiment
from lepton_tasks.register import EXPERIMENT, PREFIX, REGISTER
from lepton_tasks.store import Store
from lepton_tasks.store_client import StoreClient
from lepton_tasks.sweep_record import PARENT, SweepRecord
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import DOCTOR_REPAIR, DOCTOR_TOLD, WritePoint

# MLflow lets nothing be told on what is deleted or not there yet.
NOTHING_REPLACED = ("restore run", "restore experiment", "new parent")
SHOWN = 2000  # characters of what was there, and of what is, in the tag that tells of a repair
END_OF_TIME = 2**63 - 1  # the last time that stores can hold


@dataclass(frozen=True, slots=True)
class Workshop:
    """What repairs need: the store's client, and what is open of the store yet.

    Attributes:
        store: None if its experiments are not all there.
        epoch: That of our own lease, once there is one.
    """

    client: StoreClient
    store: Store | None = None
    epoch: int = 0

    def opened(self) -> Store:
        """The store, which the repair at hand cannot have been found without."""
        if self.store is None:
            raise RecordError("the store's experiments are not all there; examine it again")
        return self.store


def perform(shop: Workshop, finding: Finding, repair: Repair) -> None:
    """Do one repair, and tell of it on the run or experiment where it is done.

    What is replaced is told before it is: a crash between the two must not lose it.
    """
    if "experiment" in repair.action or repair.action == "point to register":
        _perform_on_experiment(shop, finding, repair)
        return
    tags = shop.client.get_run(repair.target).data.tags
    what, before, after = finding.what, finding.found, str(repair.value) or str(repair)
    if repair.action in ("set tag", "remove tag"):
        what, before = f"tag {repair.key}", tags.get(repair.key, "none")
    if repair.action not in NOTHING_REPLACED:
        tell(shop.client, repair.target, tags, what, before, after)
    if repair.action in ("enter sweep", "replace entry"):
        enter(shop.opened(), repair)
    elif repair.action == "new parent":
        after = new_parent(shop.opened(), repair.target, shop.epoch)
    else:
        _mend_run(shop.client, repair)
    if repair.action in NOTHING_REPLACED:
        tell(shop.client, repair.target, tags, what, before, after)


def _perform_on_experiment(shop: Workshop, finding: Finding, repair: Repair) -> None:
    text, target = _telling(finding.what, finding.found, str(repair)), repair.target
    there = bool(target) and repair.action not in NOTHING_REPLACED
    if not there:
        target = _mend_experiment(shop, repair)
    key = _next_key(shop.client.get_experiment(target).tags)
    shop.client.set_experiment_tag(DOCTOR_TOLD, target, key, text)
    if there:
        _mend_experiment(shop, repair)


def _mend_experiment(shop: Workshop, repair: Repair) -> str:
    match repair.action:
        case "restore experiment":
            shop.client.restore_experiment(DOCTOR_REPAIR, repair.target)
        case "rename experiment":
            shop.client.rename_experiment(DOCTOR_REPAIR, repair.target, str(repair.value))
        case _:
            return _point(shop, repair.target, str(repair.value))
    return repair.target


def _mend_run(client: StoreClient, repair: Repair) -> None:
    target, key, value = repair.target, repair.key, repair.value
    match repair.action:
        case "restore run":
            client.restore_run(DOCTOR_REPAIR, target)
        case "set tag":
            client.set_tag(DOCTOR_REPAIR, target, key, str(value))
        case "remove tag":
            client.delete_tag(DOCTOR_REPAIR, target, key)
        case "set status":
            client.update_run(DOCTOR_REPAIR, target, str(value))
        case "mark killed":
            mark_killed(client, target, str(value))
        case "log param":
            write_once(client, DOCTOR_REPAIR, target, key, str(value))
        case "log metric":
            client.log_batch(DOCTOR_REPAIR, target, metrics=[_latest(client, target, key, value)])


def _latest(client: StoreClient, run_id: str, key: str, value: str | float) -> Any:
    """A point that comes after all that are there, at the latest step: a curve must not grow.

    The latest point is kept beside the curve too, and either may have been edited.
    """
    from mlflow.entities import Metric  # noqa: PLC0415  (costs a second)

    # As a message, a run tells the times and steps that its dict of metrics leaves out.
    kept = [m for m in client.get_run(run_id).data.to_proto().metrics if m.key == key]
    points = [*client.get_metric_history(run_id, key), *kept]
    step = max((int(point.step) for point in points), default=0)
    now, latest = time.time_ns() // 10**6, [int(p.timestamp) for p in points if p.step == step]
    if END_OF_TIME in latest:
        step, latest = step + 1, []
    return Metric(key, float(value), max([now, *(before + 1 for before in latest)]), step)


def mark_killed(
    client: StoreClient, run_id: str, reason: str, point: WritePoint = DOCTOR_REPAIR
) -> None:
    """Have an attempt count for nothing; its end stays as it was."""
    client.set_tag(point, run_id, records.KILLED, reason)
    client.update_run(point, run_id, "KILLED")


def tell(client: StoreClient, run_id: str, tags: Any, what: str, before: str, after: str) -> None:
    """Tell on a run what is changed there, beside what its tags tell already."""
    client.set_tag(DOCTOR_TOLD, run_id, _next_key(tags), _telling(what, before, after))


def _telling(what: str, before: str, after: str) -> str:
    return canonical_json(
        {
            "what": what,
            "from": _cut(before),
            "to": _cut(after),
            "at": now(),
            "by": f"lepton doctor {__version__}",
        }
    )


def _cut(text: str) -> str:
    """A text that takes no more than its share of a tag, in which some characters take six."""
    while len(canonical_json(text)) > SHOWN:
        text = text[: min(SHOWN, len(text) - len(text) // 4)]
    return text


def _next_key(tags: Any) -> str:
    number = 1
    while f"{records.REPAIRED}.{number}" in tags:
        number += 1
    return f"{records.REPAIRED}.{number}"


def now() -> str:
    """The wall clock, for people."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _point(shop: Workshop, experiment_id: str, run_id: str) -> str:
    """Have the register's experiment point to its run; make the experiment if it is gone."""
    if experiment_id:
        shop.client.set_experiment_tag(DOCTOR_REPAIR, experiment_id, REGISTER, run_id)
        return experiment_id
    location = shop.opened().address.artifacts_of(EXPERIMENT)
    tags = {REGISTER: run_id}
    return str(
        shop.client.create_experiment(
            DOCTOR_REPAIR, EXPERIMENT, artifact_location=location, tags=tags
        )
    )


def enter(store: Store, repair: Repair) -> None:
    """Enter a sweep in the register; where a wrong entry is in the way, in another register run.

    A sweep that is declared at this very moment may have got into the old register run, so what is
    there is copied once more after the new one counts.
    """
    client = store.client
    pointer = client.get_experiment_by_name(EXPERIMENT)
    if pointer is None:
        raise RecordError(f"the experiment {EXPERIMENT!r} is gone; examine the sweep again")
    old = pointer.tags[REGISTER]
    right, text = PREFIX + repair.key, str(repair.value)
    if (
        repair.action == "enter sweep"
        and write_once(client, DOCTOR_REPAIR, old, right, text) == text
    ):
        return
    tags = {records.KIND: "ledger"}
    new = client.create_run(
        DOCTOR_REPAIR, store.ledger_id, run_name="register of sweeps", tags=tags
    ).info.run_id
    client.set_terminated(DOCTOR_REPAIR, new)
    write_once(client, DOCTOR_REPAIR, new, right, text)
    for step in ("before", "after"):
        for key, entry in client.get_run(old).data.params.items():
            if key.startswith(PREFIX):
                write_once(client, DOCTOR_REPAIR, new, key, entry)
        if step == "before":
            client.set_experiment_tag(DOCTOR_REPAIR, pointer.experiment_id, REGISTER, new)
    client.set_tag(DOCTOR_REPAIR, old, records.KILLED, f"replaced as the register by run {new}")


def new_parent(store: Store, ledger: str, epoch: int) -> str:
    """Another parent run, for one that is gone for good; the trials are nested in it afterwards."""
    recorded = store.client.get_run(ledger)
    name = recorded.data.tags.get(records.SWEEP, "")
    tags = {
        records.KIND: "sweep",
        records.SWEEP: name,
        records.LEDGER: ledger,
        **{k: v for k, v in recorded.data.tags.items() if k.startswith(records.DECLARATION)},
    }
    entry = register.lookup(store, name)
    beside = store.experiment_id
    if entry is not None:
        beside = trials_experiment(SweepRecord(store, entry), beside)
    found = list(find_parents(store.client, beside, ledger))  # by a repair that was cut off
    run = (
        found[0]
        if len(found) == 1
        else store.client.create_run(DOCTOR_REPAIR, beside, run_name=name, tags=tags)
    )
    parent = str(run.info.run_id)
    store.client.set_terminated(DOCTOR_REPAIR, parent, "KILLED")
    key = PARENT if PARENT not in recorded.data.params else f"{PARENT}/{epoch:06d}"
    write_once(store.client, DOCTOR_REPAIR, ledger, key, parent)
    return parent
