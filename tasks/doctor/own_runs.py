"""The two runs that are the sweep itself, ledger and parent, held against the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lepton_core.canonical import shown
from lepton_core.declaration import to_loss
from lepton_tasks import records
from lepton_tasks.attempts import find_parents
from lepton_tasks.doctor import by_hand
from lepton_tasks.doctor.findings import Finding, Repair, deleted_run
from lepton_tasks.doctor.ledger_check import BACKUP, mistaken_claim
from lepton_tasks.lease import is_driven
from lepton_tasks.lookup import is_deleted, run_or_none
from lepton_tasks.seals import uncounted
from lepton_tasks.sweep_record import IMPORTED, ORIGIN, PARENT, SETTINGS, SweepRecord

RUNNING, FINISHED = "RUNNING", "FINISHED"
ASIDE = "Restore a backup of the store, or go on from there with --reopen"


def emptied(record: SweepRecord) -> Finding:
    """The finding that the ledger run's records are all gone: then no run can be judged."""
    return Finding(
        what="the records in the ledger run",
        found="missing",
        recorded="the claims and seals of its drivers, one of whom made the parent run",
        run_id=record.entry.ledger,
        meaning="blocked",
        remedy=BACKUP,
    )


def ledger_findings(record: SweepRecord) -> Iterator[Finding]:
    """What is wrong with the ledger run beside its claims and seals, which are read already."""
    ledger = record.entry.ledger
    if record.deleted:
        yield deleted_run("the ledger run", ledger, "blocked")
    expected = {records.KIND: "ledger", records.SWEEP: record.entry.name}
    if IMPORTED in record.params:
        expected[ORIGIN] = record.params[IMPORTED]
    elif ORIGIN in record.tags:
        yield _tag_of_nobody("ledger run", ledger, record.tags, ORIGIN)
    yield from _tags("ledger run", ledger, record.tags, expected)
    for key in sorted(record.params):
        if SETTINGS.fullmatch(key) and records.read_settings(record.params[key]) is None:
            yield Finding(
                what=f"record {key}",
                found=shown(record.params[key]),
                recorded="a driver's settings",
                run_id=ledger,
                meaning="harmless",
                remedy="each driver records its own settings; MLflow writes a param once, so only "
                f"its database can take this one out: {by_hand.take_out_param(ledger, key)}",
            )
    for claim in records.claims(record.params):
        key = records.released_key(claim.epoch)
        found = record.params.get(key)
        if found is not None and found != claim.owner:
            yield Finding(
                what=f"record {key}",
                found=shown(found),
                recorded=repr(claim.owner),
                run_id=ledger,
                meaning="harmless",
                remedy="whether that driver lives is found out by its process and heartbeat; "
                f"MLflow writes a param once, so only its database can mend it: "
                f"{by_hand.take_out_param(ledger, key)}",
            )


def _tags(what: str, run_id: str, tags: Any, expected: dict[str, str]) -> Iterator[Finding]:
    for key, text in expected.items():
        if tags.get(key) != text:
            yield Finding(
                what=f"tag {key} of the {what}",
                found=shown(tags.get(key)),
                recorded=repr(text),
                run_id=run_id,
                meaning="harmless",
                repairs=[Repair(action="set tag", target=run_id, key=key, value=text)],
            )
    if records.KILLED in tags and what == "ledger run":
        yield _tag_of_nobody(what, run_id, tags, records.KILLED)


def _tag_of_nobody(what: str, run_id: str, tags: Any, key: str) -> Finding:
    return Finding(
        what=f"tag {key} of the {what}",
        found=shown(tags[key]),
        recorded="none",
        run_id=run_id,
        meaning="harmless",
        repairs=[Repair(action="remove tag", target=run_id, key=key)],
    )


def parent_findings(record: SweepRecord) -> Iterator[Finding]:
    """What is wrong with the parent run, and what it tells of seals that are gone."""
    client, parent = record.store.client, record.parent
    if parent is None:
        yield from _lost_pointer(record)
        return
    run = run_or_none(client, parent)
    if run is None:
        yield Finding(
            what="the parent run",
            found="gone for good",
            recorded=shown(parent),
            run_id=parent,
            meaning="blocked",
            repairs=[Repair(action="new parent", target=record.entry.ledger)],
        )
        return
    if is_deleted(run):
        yield deleted_run("the parent run", parent, "blocked")
    yield from _experiment(record, run)
    expected = {
        records.KIND: "sweep",
        records.SWEEP: record.entry.name,
        records.LEDGER: record.entry.ledger,
        **{k: v for k, v in record.tags.items() if k.startswith(records.DECLARATION)},
    }
    yield from _tags("parent run", parent, run.data.tags, expected)
    if not is_driven(record.params, record.tags):
        yield from _curve(record, run)


def _lost_pointer(record: SweepRecord) -> Iterator[Finding]:
    """The record of the parent run is missing though generations are sealed."""
    if not record.seals:
        return
    ledger = record.entry.ledger
    client, beside = record.store.client, record.store.experiment_id
    parents = find_parents(client, beside, ledger, deleted=True)
    found = [run.info.run_id for run in parents]
    one = len(found) == 1
    yield Finding(
        what=f"record {PARENT}",
        found="missing",
        recorded="the run id of the sweep's parent run",
        run_id=ledger,
        meaning="blocked",
        remedy="" if one else f"runs that say they are the parent: {', '.join(found) or 'none'}",
        repairs=[Repair(action="log param", target=ledger, key=PARENT, value=found[0])]
        if one
        else [Repair(action="new parent", target=ledger)],
    )


def _experiment(record: SweepRecord, run: Any) -> Iterator[Finding]:
    """Where the parent run is: in an experiment that is there, and with its trials."""
    found = str(run.info.experiment_id)
    held = record.store.client.get_experiment(found)
    if held.lifecycle_stage != "active":
        yield Finding(
            what=f"the experiment {shown(held.name)}",
            found="deleted",
            recorded="where the sweep's runs are",
            run_id=found,
            meaning="blocked",
            repairs=[Repair(action="restore experiment", target=found, key=held.name)],
        )
    expected = trials_experiment(record, found)
    if found != expected:
        yield Finding(
            what="the experiment of the parent run",
            found=found,
            recorded=f"{expected}, where its trials are",
            run_id=run.info.run_id,
            meaning="blocked",
            remedy=f"MLflow moves no run, so only its database can: "
            f"{by_hand.move_run(run.info.run_id, expected)}",
        )


def trials_experiment(record: SweepRecord, otherwise: str) -> str:
    """The experiment that the sweep's sealed trials are in, if they are anywhere.

    Of three of them two agree, so one that was moved does not count for all.
    """
    sealed = len(record.seals)
    asked = dict.fromkeys(record.seals.runs(g)[-1] for g in {0, sealed // 2, sealed - 1} if sealed)
    found = [run_or_none(record.store.client, run_id) for run_id in asked]
    held = [otherwise, *(str(run.info.experiment_id) for run in found if run is not None)]
    return max(held[1:] or held, key=held.count)


def _curve(record: SweepRecord, run: Any) -> Iterator[Finding]:
    """The parent run's curves and status, of a sweep that nobody drives."""
    if any(key.startswith("reopened/") for key in record.params):
        return  # it began again from an earlier seal, and its curves did not
    parent, trials = run.info.run_id, record.seals.trials
    name = f"best_{record.declaration.metric}"
    values = [t.value for seal in record.seals for t in seal.event.trials if t.value is not None]
    shown_best = run.data.metrics.get(name)
    shares = [key for key in sorted(run.data.metrics) if key.startswith("share_")][:1]
    reached = max(
        (
            point.step
            for key in ([name] if shown_best is not None else []) + shares
            for point in record.store.client.get_metric_history(parent, key)
        ),
        default=0,
    )
    overrun = _is_overrun(record)
    if reached > trials and not overrun:
        yield lost_seal(record, f"the parent run's curves reach {reached} trials", parent)
    elif run.info.status == FINISHED and _left_short(record, trials):
        yield lost_seal(record, f"its parent run is FINISHED at {trials} trials", parent)
    elif shown_best is not None and shown_best not in values and not overrun:
        direction = record.declaration.direction
        best = min(values, key=lambda value: to_loss(value, direction), default=None)
        yield Finding(
            what=f"metric {name} of the parent run",
            found=repr(shown_best),
            recorded=repr(best),
            run_id=parent,
            meaning="harmless",
            repairs=[]
            if best is None
            else [Repair(action="log metric", target=parent, key=name, value=best)],
        )


def _is_overrun(record: SweepRecord) -> bool:
    """Whether a driver that had lost its lease showed the open generation in the curves too.

    It may have sealed that generation, which does not count. Of more than one it would have been
    told by its heartbeat; seals of several that do not count were superseded by a later hand.
    """
    beyond = {generation for generation, _ in uncounted(record.params, record.seals)}
    return {g for g in beyond if g >= len(record.seals)} == {len(record.seals)}


def _left_short(record: SweepRecord, trials: int) -> bool:
    """Whether the last driver left cleanly, so that FINISHED means its target, and that is not met.

    A later driver may have died before it said that it drives; then the status says nothing.
    """
    drove = [
        claim
        for claim in records.claims(record.params)
        if records.settings_key(claim.epoch) in record.params
    ]
    if not drove:
        return False
    last = drove[-1]
    settings = records.read_settings(record.params[records.settings_key(last.epoch)])
    left = record.params.get(records.released_key(last.epoch)) == last.owner
    if settings is None or not left:
        return False
    budget, driven = settings.budget, record.seals[-1].event.driven_s if record.seals else 0.0
    out_of_time = budget.hours is not None and driven >= budget.hours * 3600
    if budget.trials is None or trials >= budget.trials or out_of_time:
        return False
    return not _is_exhausted(record, trials)


def _is_exhausted(record: SweepRecord, trials: int) -> bool:
    """Whether the seals hold every configuration of the space: more trials there cannot be."""
    size = record.declaration.space.size
    if size is None or size > trials:
        return False
    sealed = range(len(record.seals))
    return len({key for generation in sealed for key in record.seals.keys(generation)}) >= size


def lost_seal(record: SweepRecord, known_by: str, run_id: str) -> Finding:
    """The finding that the seals' end is missing, or hidden by a claim."""
    mistaken = mistaken_claim(record.entry, record.declaration, record.params)
    if mistaken is not None:
        return mistaken
    sealed = len(record.seals)
    return Finding(
        what=f"the seal of generation {sealed}",
        found="missing",
        recorded=f"{known_by}, though {sealed} generations are sealed",
        run_id=run_id,
        meaning="open",
        remedy=f"{ASIDE}: the results of generation {sealed} stand on their runs, later ones are "
        "evaluated again, from the same proposals",
        reopens=sealed,
    )
