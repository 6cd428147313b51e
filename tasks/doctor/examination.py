"""The examination of one sweep, from the store's experiments down to its trials' runs.

Each layer is looked at only when those above it are whole: without the register there is no entry,
without a readable ledger run there are no seals to hold the trials against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lepton_core.errors import RecordError, UnknownSweepError
from lepton_tasks import register
from lepton_tasks.doctor.audit import audit, notes
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.doctor.ledger_check import unreadable_findings
from lepton_tasks.doctor.register_check import entry_findings, register_findings
from lepton_tasks.doctor.snapshot_check import snapshot_findings
from lepton_tasks.register import Entry
from lepton_tasks.store import (
    LEDGER_EXPERIMENT,
    Address,
    Store,
    address,
    connect,
    exists,
    quieten,
    reachable,
)
from lepton_tasks.sweep_record import SweepRecord, open_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found, and how far the record could be read.

    Attributes:
        findings: What is wrong.
        notes: What is not, but worth a word.
        store: The open store, or None if its experiments are not all there.
        entry: The sweep's registration, once that is whole.
        record: The sweep, if its ledger run can be read as a whole.
    """

    name: str
    findings: Sequence[Finding]
    notes: Sequence[Finding] = ()
    store: Store | None = None
    entry: Entry | None = None
    record: SweepRecord | None = None

    @property
    def reopens(self) -> int | None:
        """The generation that ``--reopen`` would go on from, or None if there is no need."""
        return next((f.reopens for f in self.findings if f.reopens is not None), None)


def examine(name: str) -> Examination:
    """Examine a sweep of the store that the environment names.

    Raises:
        UnknownSweepError: The store has no sweep of that name, and no trace of one.
        RecordError: The sweep is of a later schema: it is not altered, but cannot be read.
        StoreUnreachableError: The store failed.
    """
    where = address()
    if not exists(where):
        open_record(name)  # says so
    with reachable(where.place):
        lost = _deleted_experiments(where)
    if lost:
        return Examination(name=name, findings=lost)
    store = connect(where)
    with reachable(where.place):
        findings = list(register_findings(store))
        if any(finding.meaning == "blocked" for finding in findings):
            return Examination(name=name, findings=findings, store=store)
        findings += entry_findings(store, name)
        if any(finding.meaning == "blocked" for finding in findings):
            return Examination(name=name, findings=findings, store=store)
        entry = register.lookup(store, name)
        if entry is None:
            open_record(name)  # says so
            raise UnknownSweepError(f"no sweep named {name!r}", name=name)
        return _examine_ledger(store, entry, findings)


def _examine_ledger(store: Store, entry: Entry, findings: list[Finding]) -> Examination:
    try:
        record = SweepRecord(store, entry)
        # A seal is read when it is asked for, and all are: what stands in one may be no seal.
        found = audit(record) or snapshot_findings(record)
    except RecordError:
        unreadable = list(unreadable_findings(store, entry))
        if not unreadable:
            raise  # of a later schema, or mended meanwhile
        findings += unreadable
        return Examination(name=entry.name, findings=findings, store=store, entry=entry)
    return Examination(
        name=entry.name,
        findings=found,
        notes=notes(record),
        store=store,
        entry=entry,
        record=record,
    )


def _deleted_experiments(where: Address) -> list[Finding]:
    """The experiments of Lepton's that were deleted: without them no store can be opened."""
    from mlflow import MlflowClient  # noqa: PLC0415  (costs a second)

    quieten()
    client = MlflowClient(where.tracking_uri)
    found = []
    for name in (where.experiment, LEDGER_EXPERIMENT):
        held = client.get_experiment_by_name(name)
        if held is not None and held.lifecycle_stage != "active":
            repair = Repair(action="restore experiment", target=held.experiment_id, key=name)
            found.append(
                Finding(
                    what=f"the experiment {name}",
                    found="deleted, and its runs with it",
                    recorded="where sweeps are recorded",
                    run_id=held.experiment_id,
                    meaning="blocked",
                    repairs=[repair],
                )
            )
    return found
