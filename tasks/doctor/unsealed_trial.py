"""Runs that look like a sweep's trials and that no seal counts: orphans, open trials, strangers.

A run names the seal that its proposal was made from: its base. The open generation's trials stand
on the last seal. One that stands on a seal which is not there shows that a seal was lost, if it is
whole and its driver is the one that was entitled to write that seal. A driver that had lost its
lease may have gone on from a seal of its own that never counted: its runs are left-overs. All
others are a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton_core.canonical import shown
from lepton_core.declaration import SCHEMA, Declaration
from lepton_tasks import records
from lepton_tasks.attempts import UNFINISHED, Attempt, read_attempt, status_of
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.untrusted import whole_number

ALTERED = "orphaned: its record was altered before its generation was sealed"
STRANGER = "orphaned: no driver of this sweep made it, or none that counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a sweep is, to tell what an unsealed run can be.

    Attributes:
        sealed: How many generations are sealed; the number of the open one.
        bases: What proposals can have been made from: the declaration's digest, and each seal's
            hash; the last is that of the open generation.
        uncounted: The hashes of seals that do not count.
        epochs: How many drivers claimed the sweep.
        entitled: The epoch that may seal the open generation.
        parent: The sweep's parent run, if it is there.
    """

    sealed: int
    bases: Sequence[str]
    uncounted: frozenset[str]
    epochs: int
    entitled: int
    parent: str | None


def newer(run: Any) -> int | None:
    """The schema that a run says it is of, if that is later than ours."""
    schema = whole_number(run.data.tags.get(records.SCHEMA_TAG))
    return schema if schema is not None and schema > SCHEMA else None


def unsealed_findings(run: Any, declaration: Declaration, at: Standing) -> Iterator[Finding]:
    """What is wrong with a run that no seal counts; nothing, if it is KILLED as it should be."""
    tags, run_id, status = run.data.tags, run.info.run_id, run.info.status
    stands = records.RESULT in tags and records.KILLED not in tags
    if status == "KILLED" and not (stands and _is_open(tags, at)):
        return
    if (schema := newer(run)) is not None:
        yield Finding(
            what=f"run {run_id}",
            found=f"of schema {schema}",
            recorded=f"up to {SCHEMA}, which this Lepton reads",
            run_id=run_id,
            meaning="open",
            remedy="upgrade Lepton; if the run is none of this sweep's: "
            f"mlflow runs delete --run-id {run_id}",
        )
        return
    generation = whole_number(tags.get(records.GENERATION))
    epoch = whole_number(tags.get(records.EPOCH)) or 0
    if generation is None or read_attempt(run, declaration) is None:
        found = f"{status}, with the sweep's tags but no place in it"
        yield _stranger(run_id, f"run {run_id}", found)
        return
    what = f"run {run_id} of generation {generation}"
    if not 1 <= epoch <= at.epochs:
        found = f"{status}, by epoch {shown(tags.get(records.EPOCH))}"
        yield _stranger(run_id, what, found)
    elif _is_open(tags, at):
        yield from _open_trial(run, declaration, at)
    elif status in UNFINISHED and records.RESULT not in tags:
        return  # made twice by a store, or left by a crash: whoever drives next ends it
    elif generation < at.sealed:
        yield _stranger(run_id, what, f"{status} beside the attempt that counts")
    elif not is_left_over(run, at):
        yield _stranger(run_id, what, f"{status}, proposed from no seal of this sweep")


def _is_open(tags: Mapping[str, str], at: Standing) -> bool:
    """Whether a run's place is in the open generation, and its proposal from the last seal."""
    generation = whole_number(tags.get(records.GENERATION))
    return generation == at.sealed and tags.get(records.BASE) == at.bases[-1]


def is_left_over(run: Any, at: Standing) -> bool:
    """Whether a driver that had lost its lease made a run, from a seal that does not count."""
    epoch = whole_number(run.data.tags.get(records.EPOCH)) or 0
    return 1 <= epoch < at.entitled and run.data.tags.get(records.BASE) in at.uncounted


def shows_lost_seal(run: Any, declaration: Declaration, at: Standing) -> bool:
    """Whether a run was proposed from a seal that is not there any more.

    A run that somebody copied, or made up, shows nothing: a lost seal's hash is none of those that
    are there, and the proposal that was made from it is whole.
    """
    tags = run.data.tags
    generation = whole_number(tags.get(records.GENERATION)) or 0
    epoch = whole_number(tags.get(records.EPOCH)) or 0
    if run.info.status == "KILLED" or newer(run) is not None:
        return False
    attempt = read_attempt(run, declaration)
    return (
        attempt is not None
        and attempt.proposal is not None
        and generation > at.sealed
        and at.entitled <= epoch <= at.epochs
        and attempt.base not in at.uncounted.union(at.bases)
        and at.parent in (None, tags.get(records.PARENT_RUN))
    )


def _stranger(run_id: str, what: str, found: str) -> Finding:
    return Finding(
        what=what,
        found=found,
        recorded="KILLED",
        run_id=run_id,
        meaning="harmless",
        repairs=[Repair(action="mark killed", target=run_id, value=STRANGER)],
    )


def _open_trial(run: Any, declaration: Declaration, at: Standing) -> Iterator[Finding]:
    """What is wrong with an attempt of the open generation: it contradicts itself."""
    attempt = read_attempt(run, declaration)
    if attempt is None or attempt.killed is not None:
        return
    if attempt.proposal is None:
        found = "torn, or its digest does not fit"
        wrong = [(f"tag {records.PROPOSAL} of run {run.info.run_id}", found, "one of this slot")]
    else:
        yield from _shown_otherwise(run, attempt, at.parent)
        wrong = list(_contradictions(run, attempt, declaration))
    for what, found, recorded in wrong:
        yield Finding(
            trial=attempt.proposal.number if attempt.proposal else None,
            what=what,
            found=found,
            recorded=recorded,
            run_id=attempt.run_id,
            meaning="open",
            remedy="marked KILLED, its slot is evaluated again with the same params and seed",
            repairs=[Repair(action="mark killed", target=attempt.run_id, value=ALTERED)],
        )


def _contradictions(
    run: Any, attempt: Attempt, declaration: Declaration
) -> Iterator[tuple[str, str, str]]:
    """Where params, metric and result of a finished attempt do not fit: what, found, expected."""
    tags, name, proposal, result = (
        run.data.tags,
        declaration.metric,
        attempt.proposal,
        attempt.result,
    )
    if records.RESULT not in tags or proposal is None:
        return
    for key, text in declaration.space.to_strings(proposal.params).items():
        if run.data.params.get(key) != text:
            yield f"param {key}", shown(run.data.params.get(key)), f"{text!r} in its proposal"
    if result is None:
        yield f"tag {records.RESULT}", "unreadable", "the driver's result"
        return
    if result.attempt != attempt.number:
        yield f"tag {records.RESULT}", f"that of attempt {result.attempt}", f"of {attempt.number}"
    found = run.data.metrics.get(name)
    if result.value is not None and found != result.value:
        yield f"metric {name}", repr(found), f"{result.value!r} in its result"


def _shown_otherwise(run: Any, attempt: Attempt, parent: str | None) -> Iterator[Finding]:
    """What people see of an attempt that its own proposal and result tell otherwise."""
    tags, proposal, run_id = run.data.tags, attempt.proposal, attempt.run_id
    assert proposal is not None  # noqa: S101  (for the type checker; the caller looked)
    expected = {
        records.NUMBER: str(proposal.number),
        records.SEED: str(proposal.seed),
        records.PROPOSER: proposal.proposer,
        **({records.PARENT_RUN: parent} if parent else {}),
    }
    wrong = [
        (
            f"tag {key}",
            shown(tags.get(key)),
            Repair(action="set tag", target=run_id, key=key, value=text),
        )
        for key, text in expected.items()
        if tags.get(key) != text
    ]
    if attempt.result is not None and attempt.status not in UNFINISHED:
        status = status_of(attempt.result)
        if attempt.status != status:
            repair = Repair(action="set status", target=run_id, value=status)
            wrong.append(("status", attempt.status, repair))
    for what, found, repair in wrong:
        yield Finding(
            trial=proposal.number,
            what=what,
            found=found,
            recorded=repr(repair.value),
            run_id=run_id,
            meaning="harmless",
            repairs=[repair],
        )


def hidden_findings(run: Any, declaration: Declaration, at: Standing) -> Iterator[Finding]:
    """Why a finished trial of the open generation is not found where those of its sweep are."""
    tags, attempt = run.data.tags, None if newer(run) else read_attempt(run, declaration)
    if attempt is None or attempt.result is None or not _is_open(tags, at):
        return
    wrong = []
    if attempt.deleted:
        repair = Repair(action="restore run", target=attempt.run_id)
        wrong.append(("its run", "deleted", attempt.run_id, repair))
    for key, text in ((records.KIND, "trial"), (records.SWEEP, declaration.name)):
        if tags.get(key) != text and not attempt.deleted:
            repair = Repair(action="set tag", target=attempt.run_id, key=key, value=text)
            wrong.append((f"tag {key}", shown(tags.get(key)), repr(text), repair))
    for what, found, recorded, repair in wrong:
        yield Finding(
            trial=attempt.result.proposal.number,
            what=what,
            found=found,
            recorded=recorded,
            run_id=attempt.run_id,
            meaning="open",
            remedy="as long as its run is not found, its slot is evaluated again",
            repairs=[repair],
        )
