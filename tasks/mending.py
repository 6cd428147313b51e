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
from lepton_tasks.findings import Finding, Repair
from lepton_tasks.own_runs import trials_experiment
from lepton_tasks.register import EXPERIMENT, PREFIX, REGISTER
from lepton_tasks.store import Store
from lepton_tasks.store_client import StoreClient
from lepton_tasks.sweep_record import PARENT, SweepRecord
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import WritePoint

REPAIR = WritePoint(
    "doctor.repair",
    "a repair",
    "what is wrong still is: the doctor is asked again",
)
SHOWN = 2000  # characters of what was there, and of what is, in the tag that tells of a repair


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
    """Do one repair, and tell of it on the run or experiment where it was done."""
    if "experiment" in repair.action or repair.action == "point to register":
        target = _mend_experiment(shop, repair)
        tags = shop.client.get_experiment(target).tags
        text = _telling(finding.what, finding.found, str(repair))
        shop.client.set_experiment_tag(REPAIR, target, _next_key(tags), text)
        return
    tags = shop.client.get_run(repair.target).data.tags
    what, before, after = finding.what, finding.found, str(repair.value) or str(repair)
    if repair.action in ("set tag", "remove tag"):
        what, before = f"tag {repair.key}", tags.get(repair.key, "none")
    if repair.action in ("enter sweep", "replace entry"):
        enter(shop.opened(), repair)
    elif repair.action == "new parent":
        after = new_parent(shop.opened(), repair.target, shop.epoch)
    else:
        _mend_run(shop.client, repair)
    tell(shop.client, repair.target, tags, what, before, after)


def _mend_experiment(shop: Workshop, repair: Repair) -> str:
    match repair.action:
        case "restore experiment":
            shop.client.restore_experiment(REPAIR, repair.target)
        case "rename experiment":
            shop.client.rename_experiment(REPAIR, repair.target, str(repair.value))
        case _:
            return _point(shop, repair.target, str(repair.value))
    return repair.target


def _mend_run(client: StoreClient, repair: Repair) -> None:
    from mlflow.entities import Metric  # noqa: PLC0415  (costs a second)

    target, key, value = repair.target, repair.key, repair.value
    match repair.action:
        case "restore run":
            client.restore_run(REPAIR, target)
        case "set tag":
            client.set_tag(REPAIR, target, key, str(value))
        case "remove tag":
            client.delete_tag(REPAIR, target, key)
        case "set status":
            client.update_run(REPAIR, target, str(value))
        case "mark killed":
            mark_killed(client, target, str(value))
        case "log param":
            write_once(client, REPAIR, target, key, str(value))
        case "log metric":
            # At the latest step, or a curve would outrun its sweep, but after what is there.
            points = client.get_metric_history(target, key)
            step = max((point.step for point in points), default=0)
            times = [point.timestamp + 1 for point in points if point.step == step]
            now = max([time.time_ns() // 10**6, *times])
            client.log_batch(REPAIR, target, metrics=[Metric(key, float(value), now, step)])


def mark_killed(client: StoreClient, run_id: str, reason: str) -> None:
    """Have an attempt count for nothing; its end stays as it was."""
    client.set_tag(REPAIR, run_id, records.KILLED, reason)
    client.update_run(REPAIR, run_id, "KILLED")


def tell(client: StoreClient, run_id: str, tags: Any, what: str, before: str, after: str) -> None:
    """Tell on a run what was changed there, beside what its tags tell already."""
    client.set_tag(REPAIR, run_id, _next_key(tags), _telling(what, before, after))


def _telling(what: str, before: str, after: str) -> str:
    return canonical_json(
        {
            "what": what,
            "from": before[:SHOWN],
            "to": after[:SHOWN],
            "at": now(),
            "by": f"lepton doctor {__version__}",
        }
    )


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
        shop.client.set_experiment_tag(REPAIR, experiment_id, REGISTER, run_id)
        return experiment_id
    location = shop.opened().address.artifacts_of(EXPERIMENT)
    tags = {REGISTER: run_id}
    return str(
        shop.client.create_experiment(REPAIR, EXPERIMENT, artifact_location=location, tags=tags)
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
    if repair.action == "enter sweep" and write_once(client, REPAIR, old, right, text) == text:
        return
    tags = {records.KIND: "ledger"}
    new = client.create_run(
        REPAIR, store.ledger_id, run_name="register of sweeps", tags=tags
    ).info.run_id
    client.set_terminated(REPAIR, new)
    write_once(client, REPAIR, new, right, text)
    for step in ("before", "after"):
        for key, entry in client.get_run(old).data.params.items():
            if key.startswith(PREFIX):
                write_once(client, REPAIR, new, key, entry)
        if step == "before":
            client.set_experiment_tag(REPAIR, pointer.experiment_id, REGISTER, new)
    client.set_tag(REPAIR, old, records.KILLED, f"replaced as the register by run {new}")


def new_parent(store: Store, ledger: str, epoch: int) -> str:
    """Another parent run, for one that is gone for good; the trials are nested in it afterwards."""
    run = store.client.get_run(ledger)
    name = run.data.tags.get(records.SWEEP, "")
    tags = {
        records.KIND: "sweep",
        records.SWEEP: name,
        records.LEDGER: ledger,
        **{k: v for k, v in run.data.tags.items() if k.startswith(records.DECLARATION)},
    }
    entry = register.lookup(store, name)
    beside = store.experiment_id
    if entry is not None:
        beside = trials_experiment(SweepRecord(store, entry), beside)
    parent = str(store.client.create_run(REPAIR, beside, run_name=name, tags=tags).info.run_id)
    store.client.set_terminated(REPAIR, parent, "KILLED")
    key = PARENT if PARENT not in run.data.params else f"{PARENT}/{epoch:06d}"
    write_once(store.client, REPAIR, ledger, key, parent)
    return parent
