"""The register of sweeps held against the runs that it names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lepton_core.canonical import canonical_json, shown
from lepton_core.errors import RecordError
from lepton_tasks import records, register
from lepton_tasks.doctor.findings import Finding, Repair, deleted_run
from lepton_tasks.lookup import is_deleted, run_or_none
from lepton_tasks.register import EXPERIMENT, REGISTER
from lepton_tasks.seals import seal_key
from lepton_tasks.store import Store
from lepton_tasks.untrusted import read_object


def register_findings(store: Store) -> Iterator[Finding]:
    """What is wrong with the register as a whole."""
    pointer = store.client.get_experiment_by_name(EXPERIMENT)
    if pointer is None:
        yield from _lost_name(store)
        return
    if pointer.lifecycle_stage != "active":
        yield Finding(
            what=f"the experiment {EXPERIMENT}",
            found="deleted",
            recorded="the one that says which run registers sweeps",
            run_id=pointer.experiment_id,
            meaning="harmless",
            remedy="'mlflow gc' would take it away for good",
            repairs=[
                Repair(action="restore experiment", target=pointer.experiment_id, key=EXPERIMENT)
            ],
        )
    named = str(pointer.tags.get(REGISTER, ""))
    run = run_or_none(store.client, named)
    if run is None:
        yield _lost_pointer(store, pointer.experiment_id, named)
    elif is_deleted(run):
        remedy = "until it is restored no other sweep can be declared"
        yield deleted_run("the register run", named, "harmless", remedy=remedy)


def _lost_name(store: Store) -> Iterator[Finding]:
    """No experiment has the register's name: it was renamed, purged, or there never was one."""
    from mlflow.entities import ViewType  # noqa: PLC0415  (costs a second)

    runs = register.register_runs(store)
    if not runs:
        return
    every = store.client.search_experiments(view_type=ViewType.ALL)
    renamed = [one for one in every if one.tags.get(REGISTER) in runs]
    repairs = [
        Repair(action="rename experiment", target=one.experiment_id, value=EXPERIMENT)
        for one in renamed
    ]
    if not renamed and len(runs) == 1:
        repairs = [Repair(action="point to register", target="", key=EXPERIMENT, value=runs[0])]
    yield Finding(
        what=f"the experiment {EXPERIMENT}",
        found=f"named {shown(renamed[0].name)}" if renamed else "gone for good",
        recorded="the one that says which run registers sweeps",
        run_id=renamed[0].experiment_id if renamed else runs[0],
        meaning="blocked",
        remedy=_choose(runs) if len(repairs) != 1 else "",
        repairs=repairs if len(repairs) == 1 else (),
    )


def _lost_pointer(store: Store, experiment_id: str, named: str) -> Finding:
    runs = register.register_runs(store)
    one = len(runs) == 1
    return Finding(
        what=f"tag {REGISTER} of the experiment {EXPERIMENT}",
        found=f"{shown(named)}, which is no run" if named else "missing",
        recorded=f"the run that registers sweeps: {', '.join(runs) or 'none is left'}",
        run_id=experiment_id,
        meaning="blocked",
        remedy="" if one else _choose(runs),
        repairs=[
            Repair(action="point to register", target=experiment_id, key=EXPERIMENT, value=runs[0])
        ]
        if one
        else (),
    )


def _choose(runs: list[str]) -> str:
    if not runs:
        return "restore a backup of the store, or import exports of its sweeps"
    return (
        f"several runs register sweeps ({', '.join(runs)}): set the tag {REGISTER} to the right one"
    )


def entry_findings(store: Store, name: str) -> list[Finding]:
    """What is wrong with the register's entry of one sweep; the register itself must be whole.

    An entry is right if its ledger run declares the sweep with the entry's digest. If it does not,
    the first seal tells which of the two was altered: it is chained to the declaration's digest.
    """
    text = register.texts(store).get(name)
    ledgers = register.driven_ledgers(store, name)
    if text is None:
        return [_missing_entry(store, name, ledgers)] if ledgers else []
    try:
        entry = register.read_entry(name, text)
        run = run_or_none(store.client, entry.ledger)
        if run is not None and entry.digest in (_declared(run), _torn(run)):
            return []
        if run is not None and run.data.tags.get(records.SWEEP) == name:
            right = _proven(run, entry.digest)
            ledgers = [entry.ledger] if right else ledgers
            if right == entry.digest:
                return []
        found = f"ledger run {shown(entry.ledger)}, digest {shown(entry.digest)}"
    except RecordError as error:
        if "schema" in error.values:
            raise
        found = shown(text)
    return _wrong_entry(store, name, ledgers, found)


def _proven(run: Any, registered: str) -> str | None:
    """The digest of a ledger run's declaration as far as it is proven; None if it is not."""
    declared = _declared(run)
    if declared is None or declared == registered:
        return registered  # a torn declaration says nothing against the register
    claim = records.epoch_key(1)
    if claim not in run.data.params:
        return registered
    for key in sorted(run.data.params):
        if key.startswith("seal/00000000/") and len(key) == len(seal_key(0, 0)):
            try:
                previous = read_object(run.data.params[key])["previous"]
            except (ValueError, KeyError):
                continue
            if previous == declared:
                return declared
    return registered


def _torn(run: Any) -> str | None:
    """The digest that a ledger run names for a declaration that does not give it."""
    digest = run.data.tags.get(records.DECLARATION + records.DIGEST)
    return None if digest is None else str(digest)


def _declared(run: Any) -> str | None:
    """The digest of a ledger run's own declaration, if that is whole."""
    if records.read_long_tag(run.data.tags, records.DECLARATION) is None:
        return None
    return str(run.data.tags[records.DECLARATION + records.DIGEST])


def _entry_text(store: Store, ledger: str) -> str | None:
    declared = _declared(store.client.get_run(ledger))
    return None if declared is None else canonical_json({"ledger": ledger, "digest": declared})


def _missing_entry(store: Store, name: str, ledgers: list[str]) -> Finding:
    text = _entry_text(store, ledgers[0]) if len(ledgers) == 1 else None
    return Finding(
        what="its entry in the register",
        found="missing",
        recorded=f"one for ledger run {', '.join(ledgers)}",
        run_id=ledgers[0],
        meaning="blocked",
        remedy=""
        if text
        else "there is no one ledger run whose declaration is whole; restore a backup of the store",
        repairs=[Repair(action="enter sweep", target=ledgers[0], key=name, value=text)]
        if text
        else (),
    )


def _wrong_entry(store: Store, name: str, ledgers: list[str], found: str) -> list[Finding]:
    text = _entry_text(store, ledgers[0]) if len(ledgers) == 1 else None
    return [
        Finding(
            what="its entry in the register",
            found=found,
            recorded=f"ledger run {', '.join(ledgers) or 'none is left'} and the digest of its "
            "declaration",
            run_id=register.find(store) or "",
            meaning="blocked",
            remedy="MLflow writes a param once, so the register run is replaced by another that "
            "has all the others' entries as they are"
            if text
            else "there is no one ledger run whose declaration is whole; restore a backup",
            repairs=[Repair(action="replace entry", target=ledgers[0], key=name, value=text)]
            if text
            else (),
        )
    ]
