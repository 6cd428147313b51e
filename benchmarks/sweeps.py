"""Lepton's searches on a problem, in memory: the same fold and plan that every sweep has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.events import Failure, GenerationSealed, Proposal, SweepDeclared, TrialRecord
from lepton_core.fold import SweepState, evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers import DEFAULT_PROPOSERS

if TYPE_CHECKING:
    from problems import Problem

PORTFOLIOS: dict[str, Portfolio] = {
    "lepton": Portfolio(proposers=DEFAULT_PROPOSERS),
    **{f"lepton-{name}": Portfolio(proposers=(name,)) for name in ("ga", "pso", "rl", "random")},
}
"""Lepton's variants by the name that results give them."""

Fails = Callable[[Mapping[str, Any]], bool]
Recommend = Callable[[SweepState], Mapping[str, Any]]


@dataclass
class Run:
    """What one search did.

    Attributes:
        params: What was evaluated, in order.
        losses: What the search was told of each; NaN for a failure.
        search_s: Seconds the search itself took, evaluations not counted.
        recommended: Its answer; None: the params of the lowest loss.
    """

    params: list[Mapping[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    search_s: float = 0.0
    recommended: Mapping[str, Any] | None = None

    @property
    def ms_per_proposal(self) -> float:
        """Milliseconds of search for each proposal."""
        return 1000 * self.search_s / max(1, len(self.losses))

    def answer(self) -> Mapping[str, Any]:
        """What the search recommends: by default the params of the lowest loss observed.

        Raises:
            ValueError: Every trial failed.
        """
        if self.recommended is not None:
            return self.recommended
        usable = [(loss, i) for i, loss in enumerate(self.losses) if loss == loss]  # noqa: PLR0124
        if not usable:
            raise ValueError("every trial failed; expected one with a loss")
        return self.params[min(usable)[1]]


def no_failures(params: Mapping[str, Any]) -> bool:
    """Nothing fails."""
    del params  # Unused: whatever they are.
    return False


def lepton(
    problem: Problem,
    seed: int,
    evaluations: int,
    portfolio: Portfolio,
    generation: int,
    *,
    fails: Fails = no_failures,
    recommend: Recommend | None = None,
) -> Run:
    """One sweep.

    Args:
        problem: What is minimised.
        seed: The sweep's seed.
        evaluations: How many trials.
        portfolio: Who proposes, and whether a judge ranks it.
        generation: Slots in a full generation.
        fails: Which params fail instead of giving a loss.
        recommend: The answer at a state; None: the trial of the lowest loss.
    """
    run = Run()
    begun = perf_counter()
    state = replay(
        [
            SweepDeclared(
                declaration=Declaration(
                    name="bench",
                    space=problem.space,
                    seed=seed,
                    generation=generation,
                    portfolio=portfolio,
                )
            )
        ]
    )
    run.search_s += perf_counter() - begun
    while len(run.losses) < evaluations:
        begun = perf_counter()
        proposals = plan(state, min(generation, evaluations - len(run.losses)))
        run.search_s += perf_counter() - begun
        trials = tuple(_evaluated(problem, p, fails) for p in proposals)
        run.params += [p.params for p in proposals]
        run.losses += [float("nan") if t.value is None else t.value for t in trials]
        begun = perf_counter()
        state = evolve(state, GenerationSealed(generation=state.generations_done, trials=trials))
        run.search_s += perf_counter() - begun
    if recommend is not None:
        run.recommended = recommend(state)
    return run


def _evaluated(problem: Problem, proposal: Proposal, fails: Fails) -> TrialRecord:
    if fails(proposal.params):
        return TrialRecord(proposal=proposal, failure=Failure(kind="exception", reason="planted"))
    return TrialRecord(proposal=proposal, value=problem.loss(proposal.params, proposal.seed))
