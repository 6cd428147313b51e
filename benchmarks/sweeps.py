"""Lepton's searches on a problem, in memory: the same fold and plan that every sweep has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan
from time import process_time
from typing import TYPE_CHECKING, Any

from ablations import ABLATIONS

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.events import Failure, GenerationSealed, Proposal, SweepDeclared, TrialRecord
from lepton_core.fold import SweepState, evolve, replay
from lepton_core.plan import plan
from lepton_core.pools import JUDGED_PROPOSERS
from lepton_core.proposers import UNJUDGED_PROPOSERS
from lepton_core.recommendation import recommended

if TYPE_CHECKING:
    from problems import Problem

CHECKPOINTS = (25, 50, 100, 200)  # trials after which results are recorded
PORTFOLIOS: dict[str, Portfolio] = {
    "lepton": Portfolio(proposers=JUDGED_PROPOSERS, judge=True),
    "lepton-unjudged": Portfolio(proposers=UNJUDGED_PROPOSERS),
    **{f"lepton-{name}": Portfolio(proposers=(name,)) for name in ("ga", "pso", "rl", "random")},
    **{
        f"without-{name}": Portfolio(
            proposers=tuple(other for other in JUDGED_PROPOSERS if other != name), judge=True
        )
        for name in JUDGED_PROPOSERS
    },
    **{name: Portfolio(proposers=JUDGED_PROPOSERS, judge=True) for name in ABLATIONS},
}
"""Lepton's variants by the name that results give them."""

Fails = Callable[[Mapping[str, Any]], bool]
Recommend = Callable[[SweepState], int | None]
RECOMMEND: dict[str, Recommend] = {
    name: recommended for name, portfolio in PORTFOLIOS.items() if portfolio.judge
}
"""How a variant finds the number of its answer, where it is not the trial of the lowest loss."""


@dataclass
class Run:
    """What one search did.

    Attributes:
        params: What was evaluated, in order.
        losses: What the search was told of each; NaN for a failure.
        search_s: CPU seconds of the search itself, evaluations not counted.
        recommended: Its answers after so many trials, if it has a way of its own to find them.
    """

    params: list[Mapping[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    search_s: float = 0.0
    recommended: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ms_per_proposal(self) -> float:
        """CPU milliseconds of search for each proposal."""
        return 1000 * self.search_s / max(1, len(self.losses))

    def answer(self, trials: int) -> Mapping[str, Any] | None:
        """What the search recommends after so many trials; None: all have failed.

        By default it is the params of the lowest loss observed.
        """
        known = [done for done in self.recommended if done <= trials]
        if known:
            return self.recommended[max(known)]
        usable = [(loss, i) for i, loss in enumerate(self.losses[:trials]) if not isnan(loss)]
        return self.params[min(usable)[1]] if usable else None


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
    begun = process_time()
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
    run.search_s += process_time() - begun
    while len(run.losses) < evaluations:
        begun = process_time()
        proposals = plan(state, min(generation, evaluations - len(run.losses)))
        run.search_s += process_time() - begun
        trials = tuple(_evaluated(problem, p, fails) for p in proposals)
        run.params += [p.params for p in proposals]
        run.losses += [float("nan") if t.value is None else t.value for t in trials]
        begun = process_time()
        state = evolve(state, GenerationSealed(generation=state.generations_done, trials=trials))
        run.search_s += process_time() - begun
        done = len(run.losses)
        if recommend and any(done <= c < done + generation for c in CHECKPOINTS):
            number = recommend(state)
            if number is not None:
                run.recommended[done] = run.params[number]
    return run


def _evaluated(problem: Problem, proposal: Proposal, fails: Fails) -> TrialRecord:
    if fails(proposal.params):
        return TrialRecord(proposal=proposal, failure=Failure(kind="exception", reason="planted"))
    return TrialRecord(proposal=proposal, value=problem.loss(proposal.params, proposal.seed))
