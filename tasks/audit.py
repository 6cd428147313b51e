"""Holding the trials' runs against the seals: what was edited, deleted or added behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_tasks import records
from lepton_tasks.attempts import find_runs, trial_condition
from lepton_tasks.records import claims
from lepton_tasks.seals import entitled, seal_key
from lepton_tasks.snapshots import differing
from lepton_tasks.sweep_record import SweepRecord

KEPT_SEALS = 64
PAGE = 5000  # runs held at a time, about 100 MB; smaller pages take twice as long


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


def _trials(record: SweepRecord) -> list[Alteration]:
    """The runs against the seals, page by page: neither all runs nor all trials are ever held."""
    if record.parent is None:
        return []
    client, name = record.store.client, record.entry.name
    experiment = client.get_run(record.parent).info.experiment_id
    sealed = len(record.seals)
    trials = _LastSeals(record)
    # Which trial each counted run should hold, until the run is found.
    missing: dict[str, int] = {}
    for generation in range(sealed):
        for run_id in record.seals.runs(generation):
            missing[run_id] = len(missing)
    found: list[Alteration] = []
    beside: list[Alteration] = []
    for run in find_runs(client, experiment, trial_condition(name), page_size=PAGE):
        run_id, generation = run.info.run_id, run.data.tags.get(records.GENERATION, "")
        number = missing.pop(run_id, None)
        if number is not None:
            found.extend(
                Alteration(trial=number, what=what, found=now, recorded=recorded, run_id=run_id)
                for what, now, recorded in _differences(run, trials.trial(number), record)
            )
        elif generation.isdigit() and int(generation) < sealed and run.info.status != "KILLED":
            beside.append(
                Alteration(
                    trial=None,
                    what=f"run {run_id} of generation {generation}",
                    found=f"{run.info.status} beside the attempt that counts",
                    recorded="KILLED",
                    run_id=run_id,
                )
            )
    found.extend(
        Alteration(
            trial=number,
            what="its run",
            found="deleted or stripped of its tags",
            recorded=run_id,
            run_id=run_id,
        )
        for run_id, number in missing.items()
    )
    return [*sorted(found, key=lambda one: one.trial or 0), *beside]


class _LastSeals:
    """Gives trials by their numbers; runs come about in that order, so a few seals are kept."""

    def __init__(self, record: SweepRecord) -> None:
        self._seals = record.seals
        self._generation = lru_cache(maxsize=KEPT_SEALS)(lambda at: self._seals[at].event.trials)

    def trial(self, number: int) -> TrialRecord:
        """A sealed trial."""
        generation = self._seals.generation_of(number)
        trials: tuple[TrialRecord, ...] = self._generation(generation)
        return trials[number - trials[0].proposal.number]


class SnapshotCheck:
    """Holds the snapshots against the states of a replay, to which it is shown each in turn.

    Attributes:
        alterations: The snapshots that are not what the replay gives.
    """

    def __init__(self, record: SweepRecord) -> None:
        self.alterations: list[Alteration] = []
        self._ledger = record.entry.ledger
        self._differing = differing(record.params, record.seals)

    def __call__(self, state: SweepState) -> None:
        """Compare the snapshots of this state."""
        for snapshot in self._differing(state):
            self.alterations.append(
                Alteration(
                    trial=None,
                    what=snapshot.key,
                    found="another state" if snapshot.holds else "torn, or not of its digest",
                    recorded="the state that its seals give",
                    run_id=self._ledger,
                )
            )


def _differences(
    run: Any, trial: TrialRecord, record: SweepRecord
) -> Iterator[tuple[str, str, str]]:
    proposal, declaration = trial.proposal, record.declaration
    tags = run.data.tags
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
