"""Proof by recomputation: would the search, run again, propose what the record says it proposed?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lepton_core.canonical import canonical_json
from lepton_core.events import Event, GenerationSealed, Proposal
from lepton_core.fold import SweepState, evolve
from lepton_core.plan import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first proposal that comes out otherwise."""

    recorded: Proposal
    recomputed: Proposal


def first_divergence(
    events: Iterable[Event], *, look: Callable[[SweepState], object] = lambda _: None
) -> Divergence | None:
    """The first recorded proposal that recomputing does not give, in order of proposal.

    Each generation is planned anew from the *recorded* history before it, so one divergence does
    not bring others after it.

    Args:
        events: The history, read once.
        look: Shown every state on the way.

    Raises:
        RecordError: The events do not follow one another.
    """
    state: SweepState | None = None
    for event in events:
        after = evolve(state, event)
        if state is not None and isinstance(event, GenerationSealed):
            recorded = [trial.proposal for trial in event.trials]
            for was, now in zip(recorded, plan(state, len(recorded)), strict=True):
                if proposal_text(was) != proposal_text(now):
                    return Divergence(recorded=was, recomputed=now)
        state = after
        look(state)
    return None


def proposal_text(proposal: Proposal) -> str:
    """All of a proposal as one text: equal texts mean equal proposals, to the last bit."""
    return canonical_json(
        {
            "generation": proposal.generation,
            "slot": proposal.slot,
            "slots": proposal.slots,
            "number": proposal.number,
            "params": dict(proposal.params),
            "proposer": proposal.proposer,
            "origin": dict(proposal.origin),
            "seed": proposal.seed,
        }
    )
