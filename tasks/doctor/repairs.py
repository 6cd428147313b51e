"""Doing what an examination says can be done, in the order in which it can be done.

What the trials' runs need is done under a lease of our own, so that nobody drives meanwhile; what
stands in the way of a lease (the register, the ledger run) is done before it, when nobody drives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lepton_core.canonical import canonical_json
from lepton_core.version import __version__
from lepton_tasks import records
from lepton_tasks.attempts import find_runs, trial_condition
from lepton_tasks.doctor.audit import audit, notes
from lepton_tasks.doctor.examination import Examination, examine
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.doctor.mending import Workshop, mark_killed, now, perform, tell
from lepton_tasks.doctor.own_runs import trials_experiment
from lepton_tasks.lease import Lease, acquire, await_free
from lepton_tasks.lookup import run_or_none
from lepton_tasks.store import address, reachable
from lepton_tasks.store_client import StoreClient
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.untrusted import whole_number
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import DOCTOR_REOPENED, DOCTOR_SUPERSEDED

ROUNDS = 8  # what a restored run lacks is found only then; each round mends at least one thing
REOPENED = "orphaned: the seal that it was proposed from is lost; its sweep was opened again"


@dataclass(frozen=True, slots=True)
class Done:
    """A repair that was made."""

    finding: Finding
    repair: Repair


def heal(
    name: str,
    *,
    reopen: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Done]:
    """Make every repair that can be made.

    Args:
        name: The sweep's.
        reopen: Go on from the last proven generation where later seals are lost or altered.
        say: Told why this waits.

    Raises:
        DrivenElsewhereError: A driver lives; nothing was repaired.
        LeptonError: As `examine`.
    """
    done: list[Done] = []
    for _ in range(ROUNDS):
        found = examine(name)
        with reachable(address().place):
            if found.record is None or found.record.deleted:
                made = _before_the_lease(found, reopen=reopen, say=say)
                done += made
                if made:
                    continue
                return done
            if found.record.is_emptied or (found.reopens is not None and not reopen):
                return done  # a lease of ours would end what shows that a record is missing
            return done + _under_a_lease(found.record, found, say)
    return done


# -- before a lease can be had -----------------------------------------------------------------


def _before_the_lease(
    found: Examination, *, reopen: bool, say: Callable[[str], None]
) -> list[Done]:
    """Mend the way to the sweep: experiments, the register, the ledger run."""
    client = _client(found)
    if found.store is not None and found.entry is not None:
        if run_or_none(client, found.entry.ledger) is None:
            return []
        if not any(finding.what.startswith("record epoch/") for finding in found.findings):
            await_free(client, found.entry.ledger, found.name, say)
    done, shop = [], Workshop(client, found.store)
    for finding in found.findings:
        if finding.meaning == "blocked" or found.record is None:
            for repair in finding.repairs:
                if found.record is not None and repair != _restoring(found.record):
                    continue  # it needs a lease, which a deleted ledger run cannot give
                perform(shop, finding, repair)
                done.append(Done(finding, repair))
        if finding.reopens is not None and reopen and found.entry and found.store:
            done.append(_reopen_broken(found, finding, say))
    return done


def _restoring(record: SweepRecord) -> Repair:
    return Repair(action="restore run", target=record.entry.ledger)


def _client(found: Examination) -> StoreClient:
    from mlflow import MlflowClient  # noqa: PLC0415  (costs a second)

    if found.store is not None:
        return found.store.client
    where = address()
    return StoreClient(MlflowClient(where.tracking_uri), where.place)


def _reopen_broken(found: Examination, finding: Finding, say: Callable[[str], None]) -> Done:
    """Claim the sweep from its first unproven generation on: other seals of it count no more."""
    assert found.store is not None  # noqa: S101  (for the type checker; the caller looked)
    assert found.entry is not None  # noqa: S101
    generation = finding.reopens or 0
    lease = acquire(
        found.store.client,
        found.entry.ledger,
        name=found.name,
        from_generation=lambda _: generation,
        say=say,
    )
    try:
        _note_reopening(lease, generation)
        record = SweepRecord(found.store, found.entry)
        _open_again(record, generation)
    finally:
        lease.release()
    return _reopened(finding)


def _reopened(finding: Finding) -> Done:
    return Done(finding, Repair(action="reopen", target=finding.run_id, value=str(finding.reopens)))


def _note_reopening(lease: Lease, generation: int) -> None:
    content = {"generation": generation, "at": now(), "by": f"lepton doctor {__version__}"}
    key = records.reopened_key(lease.epoch)
    write_once(lease.client, DOCTOR_REOPENED, lease.run_id, key, canonical_json(content))


def _open_again(record: SweepRecord, generation: int) -> None:
    """Mark the trials of later generations, and show the parent run as interrupted."""
    client = record.store.client
    parent = run_or_none(client, record.parent) if record.parent else None
    if parent is None:
        return
    experiment = trials_experiment(record, str(parent.info.experiment_id))
    condition = trial_condition(record.entry.name)
    for run in find_runs(client, experiment, condition):
        of = whole_number(run.data.tags.get(records.GENERATION))
        if of is not None and of > generation and run.info.status != "KILLED":
            tell(client, run.info.run_id, run.data.tags, "status", run.info.status, "KILLED")
            mark_killed(client, run.info.run_id, REOPENED, DOCTOR_SUPERSEDED)
    if parent.info.status == "FINISHED":
        tell(client, record.parent or "", parent.data.tags, "status", "FINISHED", "KILLED")
        client.update_run(DOCTOR_SUPERSEDED, record.parent or "", "KILLED")


# -- under a lease -----------------------------------------------------------------------------


def _under_a_lease(
    record: SweepRecord, found: Examination, say: Callable[[str], None]
) -> list[Done]:
    wanted = [*found.findings, *found.notes]
    if not any(finding.repairs or finding.reopens is not None for finding in wanted):
        return []
    client, done, tried = record.store.client, [], set[Repair]()
    lease = acquire(
        client,
        record.entry.ledger,
        name=record.entry.name,
        from_generation=lambda _: len(record.seals),
        say=say,
    )
    lease.start(stop_driving=say)
    shop = Workshop(client, record.store, lease.epoch)
    try:
        for finding in (f for f in wanted if f.reopens is not None):
            _note_reopening(lease, finding.reopens or 0)
            _open_again(record, finding.reopens or 0)
            done.append(_reopened(finding))
            record.refresh()  # what was found is seen otherwise from the new claim
            wanted = [*audit(record), *notes(record)]
            break
        for _ in range(ROUNDS):
            before = len(done)
            for finding, repair in _open_repairs(wanted, tried):
                lease.check()
                tried.add(repair)
                perform(shop, finding, repair)
                done.append(Done(finding, repair))
            if len(done) == before:
                break
            record.refresh()
            wanted = [*audit(record), *notes(record)]
    finally:
        lease.release()
    return done


def _open_repairs(findings: list[Finding], tried: set[Repair]) -> Iterator[tuple[Finding, Repair]]:
    for finding in findings:
        for repair in finding.repairs:
            if repair not in tried:
                yield finding, repair
