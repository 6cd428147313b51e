"""Holding a sweep's runs against its seals: what was edited, deleted or added behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lepton_tasks.attempts import (
    UNFINISHED,
    find_ledgers,
    find_runs,
    trial_condition,
    unfinished_trials,
)
from lepton_tasks.doctor import by_hand
from lepton_tasks.doctor.findings import Finding, Repair, deleted_run
from lepton_tasks.doctor.own_runs import (
    emptied,
    ledger_findings,
    lost_seal,
    parent_findings,
    trials_experiment,
)
from lepton_tasks.doctor.register_check import register_findings
from lepton_tasks.doctor.sealed_trial import SealedTrial, SealedTrials, differences
from lepton_tasks.doctor.unsealed_trial import (
    Standing,
    hidden_findings,
    is_left_over,
    shows_lost_seal,
    unsealed_findings,
)
from lepton_tasks.lease import is_driven
from lepton_tasks.lookup import is_deleted, run_or_none
from lepton_tasks.members import find_members
from lepton_tasks.records import (
    GENERATION,
    KILLED,
    KIND,
    PARENT_RUN,
    RESULT,
    claims,
    is_run_id,
)
from lepton_tasks.seals import entitled, uncounted
from lepton_tasks.sweep_record import SweepRecord

LEFT = "orphaned: its driver died"
NOBODYS = "the register names another ledger run for this sweep"
PAGE = 5000  # runs held at a time, about 100 MB; smaller pages take twice as long


def audit(record: SweepRecord) -> list[Finding]:
    """Everything that differs between a sweep's seals and its runs, the sweep's own first.

    What other people's code logs beside ours (further metrics, params, tags, artifacts, runs) is
    no alteration. What a driver is writing while we look can seem one: only what a second look
    finds too is one.
    """
    before = record.params
    found = _differences(record)
    if found:
        record.refresh()
        if record.params != before or is_driven(record.params, record.tags):
            found = [finding for finding in _differences(record) if finding in found]
    return found


def _differences(record: SweepRecord) -> list[Finding]:
    if record.is_emptied:
        return [*register_findings(record.store), emptied(record)]
    own = [
        *register_findings(record.store),
        *ledger_findings(record),
        *parent_findings(record),
    ]
    lost = any(finding.reopens is not None for finding in own)
    return [*own, *_trials(record, known_lost=lost)]


def _trials(record: SweepRecord, *, known_lost: bool) -> Iterator[Finding]:
    """One pass over the trials' runs, page by page, against an index of the seals."""
    experiment, at, declaration = _experiment(record), _standing(record), record.declaration
    # Which trial each counted run should hold, until the run is found.
    unseen = {run_id: number for number, run_id in enumerate(record.seals.counted())}
    counted, trials = frozenset(unseen), SealedTrials(record.seals, at.parent)
    lost = known_lost or is_driven(record.params, record.tags)  # then the seals go on meanwhile
    client, condition = record.store.client, trial_condition(record.entry.name)
    for run in find_runs(client, experiment, condition, page_size=PAGE):
        number = unseen.pop(run.info.run_id, None)
        if number is not None:
            yield from differences(run, trials[number], declaration)
        elif not shows_lost_seal(run, declaration, at):
            yield from unsealed_findings(run, declaration, at)
        elif not lost:
            lost = True
            known_by = f"run {run.info.run_id} was proposed from it"
            yield lost_seal(record, known_by, run.info.run_id)
    for number in unseen.values():
        yield from _absent(record, trials[number], experiment)
    of_open = f"tags.`{GENERATION}` = '{at.sealed}'"
    for run in _nested(record, experiment, of_open, deleted=True):
        if run.info.run_id not in counted:
            yield from hidden_findings(run, declaration, at)


def _standing(record: SweepRecord) -> Standing:
    claimed, sealed, parent = claims(record.params), len(record.seals), record.parent
    is_there = parent is not None and run_or_none(record.store.client, parent) is not None
    return Standing(
        sealed=sealed,
        bases=[record.seals.head(generations) for generations in range(sealed + 1)],
        uncounted=frozenset(found for _, found in uncounted(record.params, record.seals)),
        epochs=len(claimed),
        entitled=entitled(claimed, sealed),
        # What a population's trials are nested in are its members' runs, which are for people.
        parent=parent if is_there and not record.declaration.training else None,
    )


def _nested(
    record: SweepRecord, experiment: str, condition: str, *, deleted: bool = False
) -> Iterator[Any]:
    """The runs under the sweep's parent run that fulfil a condition, whoever made them."""
    if is_run_id(record.parent):  # others can write there what is none, nor safe in a search
        condition = f"tags.`{PARENT_RUN}` = '{record.parent}' and {condition}"
        yield from find_runs(record.store.client, experiment, condition, deleted=deleted)


def _experiment(record: SweepRecord) -> str:
    """Where the trials are."""
    parent = run_or_none(record.store.client, record.parent) if record.parent else None
    beside = record.store.experiment_id if parent is None else str(parent.info.experiment_id)
    return trials_experiment(record, beside)


def _absent(record: SweepRecord, sealed: SealedTrial, experiment: str) -> Iterator[Finding]:
    """What became of a counted run that is not where the sweep's trials are."""
    run = run_or_none(record.store.client, sealed.run_id)
    number = sealed.trial.proposal.number
    if run is None:
        yield Finding(
            trial=number,
            what="its run",
            found="gone for good",
            recorded=sealed.run_id,
            run_id=sealed.run_id,
            remedy="the seal has its params, metric and result; what else was logged on it is in "
            "a backup of the store, or nowhere",
        )
    elif is_deleted(run):
        yield deleted_run("its run", sealed.run_id, "proven", trial=number)
    elif str(run.info.experiment_id) != experiment:
        yield Finding(
            trial=number,
            what="its run",
            found=f"in experiment {run.info.experiment_id}",
            recorded=f"in experiment {experiment}",
            run_id=sealed.run_id,
            remedy="MLflow moves no run, so only its database can: "
            f"{by_hand.move_run(sealed.run_id, experiment)}",
        )
    else:
        yield from differences(run, sealed, record.declaration)


def notes(record: SweepRecord) -> list[Finding]:
    """What is no alteration but worth a word: strangers' runs, and what a crash left behind."""
    if record.is_emptied:
        return []
    experiment, counted = _experiment(record), frozenset(record.seals.counted())
    found = [*_foreign(record, experiment, counted)]
    if not is_driven(record.params, record.tags):
        found += _left_running(record, experiment, counted)
        found += _left_over(record, experiment, counted)
    return [*found, *_rivals(record)]


def _foreign(record: SweepRecord, experiment: str, counted: frozenset[str]) -> Iterator[Finding]:
    """Runs that somebody nested in the sweep: they are left alone."""
    for run in _nested(record, experiment, f"tags.`{KIND}` IS NULL"):
        if run.info.run_id not in counted:  # one of ours that lost its tags is an alteration
            yield Finding(
                what=f"run {run.info.run_id}",
                found="nested in the sweep's parent run",
                recorded="nothing; it is not Lepton's, and counts for nothing",
                run_id=run.info.run_id,
                meaning="note",
            )


def _left_running(
    record: SweepRecord, experiment: str, counted: frozenset[str]
) -> Iterator[Finding]:
    """Runs that show as running though nobody drives."""
    client = record.store.client
    for run in unfinished_trials(client, experiment, record.entry.name):
        run_id = run.info.run_id
        if run_id in counted or RESULT in run.data.tags:
            continue  # an alteration, or a result that the next driver counts
        repair = Repair(action="mark killed", target=run_id, value=LEFT)
        yield _left(run_id, f"run {run_id}", repair)
    if record.declaration.training:
        for run in find_members(client, experiment, record.entry.ledger):
            if run.info.status in UNFINISHED:
                run_id = run.info.run_id
                repair = Repair(action="set status", target=run_id, value="KILLED")
                yield _left(run_id, f"the member's run {run_id}", repair)
    parent = run_or_none(client, record.parent) if record.parent else None
    if parent is not None and parent.info.status in UNFINISHED and not is_deleted(parent):
        run_id = parent.info.run_id
        repair = Repair(action="set status", target=run_id, value="KILLED")
        yield _left(run_id, "the parent run", repair)


def _left(run_id: str, what: str, repair: Repair) -> Finding:
    return Finding(
        what=what,
        found="RUNNING, though nobody drives",
        recorded="nothing yet; the next driver ends or marks it",
        run_id=run_id,
        meaning="note",
        repairs=[repair],
    )


def _left_over(record: SweepRecord, experiment: str, counted: frozenset[str]) -> Iterator[Finding]:
    """What a driver that had lost its lease finished in generations that were never sealed."""
    at = _standing(record)
    if not at.uncounted:
        return
    for run in find_runs(record.store.client, experiment, trial_condition(record.entry.name)):
        run_id, status = run.info.run_id, run.info.status
        if run_id not in counted and is_left_over(run, at) and status in ("FINISHED", "FAILED"):
            yield Finding(
                what=f"run {run_id}",
                found=f"{status}, by a driver that had lost its lease",
                recorded="nothing; the next driver marks it once it gets there",
                run_id=run_id,
                meaning="note",
                repairs=[Repair(action="mark killed", target=run_id, value=LEFT)],
            )


def _rivals(record: SweepRecord) -> Iterator[Finding]:
    """Ledger runs of the same name that were never registered: their drivers lost a race."""
    store, name = record.store, record.entry.name
    for run in find_ledgers(store.client, store.ledger_id, name):
        run_id, tags = run.info.run_id, run.data.tags
        if run_id == record.entry.ledger or KILLED in tags:
            continue
        same = tags.get("lepton.declaration.digest") == record.entry.digest
        found = "the same sweep" if same else "another sweep of this name"
        yield Finding(
            what=f"ledger run {run_id}",
            found=f"declares {found}",
            recorded=f"the sweep's is {record.entry.ledger}; this one lost the race to be it",
            run_id=run_id,
            meaning="note",
            repairs=[Repair(action="mark killed", target=run_id, value=NOBODYS)],
        )
