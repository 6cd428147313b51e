"""Holding the trials' runs against the seals: what was edited, deleted or added behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lepton_core.declaration import Declaration
from lepton_core.events import TrialRecord
from lepton_tasks import records
from lepton_tasks.attempts import find_runs, trial_condition
from lepton_tasks.records import claims
from lepton_tasks.seals import entitled, seal_key
from lepton_tasks.sweep_record import SweepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One thing that is not as the seals say.

    Attributes:
        trial: The trial's number, or None where it is about the ledger itself.
        what: Which part of its run, such as "param lr".
        found: What is there now.
        recorded: What the seal says.
    """

    trial: int | None
    what: str
    found: str
    recorded: str
    run_id: str

    def __str__(self) -> str:
        """The alteration in one line."""
        where = "ledger" if self.trial is None else f"trial {self.trial}"
        return f"{where}: {self.what} is {self.found}; recorded: {self.recorded}"


def audit(record: SweepRecord) -> list[Alteration]:
    """Everything that differs between a sweep's seals and its runs, in the order of trials.

    What other people's code logs beside ours (further metrics, params, tags, artifacts, runs) is
    no alteration.
    """
    return [*_gaps(record), *_trials(record)]


def _gaps(record: SweepRecord) -> Iterator[Alteration]:
    """Seals that are there though one before them is missing."""
    missing, claimed = len(record.seals), claims(record.params)
    length = len(seal_key(0, 0))  # the keys of a seal's parts are longer than its own
    headers = sum(key.startswith("seal/") and len(key) == length for key in record.params)
    for generation in range(missing + 1, missing + 1 + headers):
        epoch = entitled(claimed, generation)
        # An epoch that began later than the gap says nothing of who should have sealed there.
        same_driver = epoch == entitled(claimed, missing)
        if same_driver and seal_key(generation, epoch) in record.params:
            yield Alteration(
                trial=None,
                what=f"the seal of generation {missing}",
                found="missing",
                recorded=f"one before the seal of generation {generation}",
                run_id=record.entry.ledger,
            )
            return


def _trials(record: SweepRecord) -> Iterator[Alteration]:
    if record.parent is None:
        return
    client, name, declaration = record.store.client, record.entry.name, record.declaration
    experiment = client.get_run(record.parent).info.experiment_id
    runs = {r.info.run_id: r for r in find_runs(client, experiment, trial_condition(name))}
    counted = {run_id for seal in record.seals for run_id in seal.runs}
    for seal in record.seals:
        for trial, run_id in zip(seal.event.trials, seal.runs, strict=True):
            number = trial.proposal.number
            if run_id not in runs:
                yield Alteration(
                    trial=number,
                    what="its run",
                    found="deleted or stripped of its tags",
                    recorded=run_id,
                    run_id=run_id,
                )
                continue
            for what, found, recorded in differences(runs[run_id], trial, declaration):
                yield Alteration(
                    trial=number, what=what, found=found, recorded=recorded, run_id=run_id
                )
    sealed = len(record.seals)
    for run_id, run in runs.items():
        generation = run.data.tags.get(records.GENERATION, "")
        beside = run_id not in counted and generation.isdigit() and int(generation) < sealed
        if beside and run.info.status != "KILLED":
            yield Alteration(
                trial=None,
                what=f"run {run_id} of generation {generation}",
                found=f"{run.info.status} beside the attempt that counts",
                recorded="KILLED",
                run_id=run_id,
            )


def differences(
    run: Any, trial: TrialRecord, declaration: Declaration
) -> Iterator[tuple[str, str, str]]:
    """What of a counted run is not as its seal says: which part, what was found, what is sealed."""
    proposal, tags = trial.proposal, run.data.tags
    expected_tags = {
        records.GENERATION: str(proposal.generation),
        records.SLOT: str(proposal.slot),
        records.ATTEMPT: str(trial.attempt),
        records.PROPOSER: proposal.proposer,
        records.NUMBER: str(proposal.number),
        records.SEED: str(proposal.seed),
    }
    for key, expected in expected_tags.items():
        if tags.get(key) != expected:
            yield f"tag {key}", repr(tags.get(key)), repr(expected)
    if records.read_proposal(tags, declaration) != proposal:
        yield f"tag {records.PROPOSAL}", "another, or its digest does not fit", "the sealed one"
    for name, text in declaration.space.to_strings(proposal.params).items():
        if run.data.params.get(name) != text:
            yield f"param {name}", repr(run.data.params.get(name)), repr(text)
    status = "FAILED" if trial.failure else "FINISHED"
    if run.info.status != status:
        yield "status", run.info.status, status
    result = records.read_outcome(tags.get(records.RESULT), proposal)
    if result is None or (result.value, result.attempt) != (trial.value, trial.attempt):
        found = "missing" if result is None else repr(result.value)
        yield f"tag {records.RESULT}", found, repr(trial.value)
    value = run.data.metrics.get(declaration.metric)
    if trial.value is not None and value != trial.value:
        yield f"metric {declaration.metric}", repr(value), repr(trial.value)
