"""What the runs of a sweep's trials hold beside their results: other metrics, models."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_core.events import Proposal
from lepton_tasks.attempts import find_runs, read_attempt, trial_condition
from lepton_tasks.sweep_record import SweepRecord


def of_sweep(record: SweepRecord) -> dict[int, Mapping[str, float]]:
    """What the trials of a sweep that count recorded beside the sweep's metric, by number."""
    if record.parent is None:
        return {}
    experiment = record.parent_info().experiment_id
    condition = trial_condition(record.entry.name)
    found: dict[int, Mapping[str, float]] = {}
    for run in find_runs(record.store.client, experiment, condition):
        attempt = read_attempt(run, record.declaration)
        if attempt is None or attempt.result is None:
            continue
        metrics = {k: v for k, v in run.data.metrics.items() if k != record.declaration.metric}
        found[attempt.result.proposal.number] = metrics
    return found


def run_of(record: SweepRecord, proposal: Proposal) -> str | None:
    """The run whose result counts for a trial, or None."""
    attempts = record.attempts(proposal.generation)
    counted = (a.run_id for a in attempts if a.result and a.slot == proposal.slot)
    return next(counted, None)
