"""What comes next: the proposals of the open generation, decided from the state alone."""

from __future__ import annotations

from lepton_core import portfolio
from lepton_core.declaration import Budget
from lepton_core.events import Proposal
from lepton_core.fold import SweepState
from lepton_core.rng import trial_seed

SECONDS_PER_HOUR = 3600.0


def slots_left(state: SweepState, budget: Budget) -> int:
    """How many slots the next generation has: a full one, or what the budget leaves; 0: done."""
    if budget.hours is not None and state.driven_s >= budget.hours * SECONDS_PER_HOUR:
        return 0
    full = state.declaration.generation
    if budget.trials is None:
        return full
    return max(0, min(full, budget.trials - state.trials_done))


def plan(state: SweepState, slots: int) -> tuple[Proposal, ...]:
    """The proposals of the next generation, one a slot.

    Args:
        state: The state after the last seal.
        slots: How many, 1 or more.

    Returns:
        The same proposals whenever it is asked on the same state.

    Example:
        >>> from lepton_core.declaration import Declaration, Portfolio
        >>> from lepton_core.events import SweepDeclared
        >>> from lepton_core.fold import replay
        >>> from lepton_core.space import Float, Space
        >>> declared = SweepDeclared(declaration=Declaration(name="demo",
        ...     space=Space({"x": Float(0, 1)}), portfolio=Portfolio(proposers=("random",))))
        >>> [proposal.proposer for proposal in plan(replay([declared]), 2)]
        ['sobol', 'sobol']
    """
    generation = state.generations_done
    candidates = portfolio.suggest(
        state.portfolio,
        state.declaration,
        generation=generation,
        first_number=state.trials_done,
        slots=slots,
        seen=state.seen,
    )
    return tuple(
        Proposal(
            generation=generation,
            slot=slot,
            slots=slots,
            number=state.trials_done + slot,
            params=candidate.params,
            proposer=candidate.proposer,
            origin=candidate.origin,
            seed=trial_seed(state.declaration.seed, generation, slot),
        )
        for slot, candidate in enumerate(candidates)
    )
