"""What comes next: the proposals of the open generation, decided from the state alone."""

from __future__ import annotations

from lepton_core import portfolio
from lepton_core.declaration import Budget
from lepton_core.events import Proposal
from lepton_core.fold import SweepState
from lepton_core.rng import trial_seed

SECONDS_PER_HOUR = 3600.0


def untried(state: SweepState) -> int | None:
    """How many configurations of the space were not tried yet; None: as good as endless.

    Tried is what is sealed, failed or not. Where it is counted, it is exact. A population that
    trains goes on with the same settings as long as it likes.
    """
    size = None if state.declaration.training else state.declaration.space.size
    return None if size is None else max(0, size - len(state.seen))


def slots_left(state: SweepState, budget: Budget) -> int:
    """How many slots the next generation has; 0: the sweep is done.

    A full one, or what the budget leaves, or what is left to be tried: no sweep repeats itself only
    to use up its budget.
    """
    if budget.hours is not None and state.driven_s >= budget.hours * SECONDS_PER_HOUR:
        return 0
    left = [state.declaration.generation, untried(state)]
    if budget.trials is not None:
        left.append(budget.trials - state.trials_done)
    return max(0, min(slots for slots in left if slots is not None))


def trials_at_end(state: SweepState, budget: Budget) -> int | None:
    """How many trials the sweep will have, as far as can be told; None: no number ends it.

    Fewer than the budget, where the space has no more to try.
    """
    left = untried(state)
    if budget.trials is None or left is None:
        return budget.trials
    return max(state.trials_done, min(budget.trials, state.trials_done + left))


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
