"""The settings that led to the best model, as a table: what a population that trains found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lepton_core.declaration import Training
from lepton_core.events import TrialRecord
from lepton_core.population.lineage import lineage


def schedule(
    trials: Iterable[TrialRecord], number: int, training: Training
) -> list[dict[str, Any]]:
    """The intervals that a trial's checkpoint went through, and their settings.

    Args:
        trials: Of a population that trains, at least those up to that one.
        number: The trial's.
        training: The rhythm.

    Returns:
        A row for each interval, with the keys ``from_step``, ``to_step``, ``member`` (whose
        interval it was), ``trial``, ``proposer``, ``loss`` (held out, at its end) and
        ``settings``, by name.

    Example:
        >>> from lepton_core.events import Proposal
        >>> proposal = Proposal(generation=0, slot=1, slots=2, number=1, params={"rate": 0.1},
        ...                     proposer="ga", origin={"from": None}, seed=0)
        >>> trained = TrialRecord(proposal=proposal, value=0.5)
        >>> (row,) = schedule([trained], 1, Training(steps=100, rounds=4))
        >>> row["to_step"], row["loss"], row["settings"]
        (25, 0.5, {'rate': 0.1})
    """
    return [
        {
            "from_step": training.steps_before(trial.proposal.generation),
            "to_step": training.steps_before(trial.proposal.generation + 1),
            "member": trial.proposal.slot,
            "trial": trial.proposal.number,
            "proposer": trial.proposal.proposer,
            "loss": trial.value,
            "settings": dict(trial.proposal.params),
        }
        for trial in lineage(trials, number)
    ]
