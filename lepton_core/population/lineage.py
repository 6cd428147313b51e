"""What led to a checkpoint: the settings that were used on the way, through every copy."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_core.events import TrialRecord


def lineage(trials: Iterable[TrialRecord], number: int) -> tuple[TrialRecord, ...]:
    """The intervals that a trial's checkpoint went through, from the beginning to that trial.

    Args:
        trials: Of a population that trains, at least those up to that one.
        number: The trial's.

    Example:
        >>> from lepton_core.events import Proposal
        >>> def trained(number, start, slot):
        ...     proposal = Proposal(generation=number // 2, slot=slot, slots=2, number=number,
        ...                         params={}, proposer="ga", origin={"from": start}, seed=0)
        ...     return TrialRecord(proposal=proposal, value=0.5)
        >>> population = [trained(0, None, 0), trained(1, None, 1), trained(2, 1, 0)]
        >>> [trial.proposal.number for trial in lineage(population, 2)]
        [1, 2]
    """
    by_number = {trial.proposal.number: trial for trial in trials}
    found: list[TrialRecord] = []
    at: int | None = number
    while at is not None:
        found.append(by_number[at])
        at = by_number[at].proposal.origin["from"]
    return tuple(reversed(found))
