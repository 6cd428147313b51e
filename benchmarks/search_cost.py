"""What a generation of proposals costs after a long history, by a cold start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import process_time
from typing import TYPE_CHECKING

import numpy as np

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.events import Event, GenerationSealed, SweepDeclared, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan

if TYPE_CHECKING:
    from problems import Problem

HISTORIES = (48, 200, 1000, 10_000)
REPEATS = 3


def cost(
    problem: Problem, portfolio: Portfolio, generation: int, histories: Iterable[int] = HISTORIES
) -> Iterator[tuple[int, float, float]]:
    """After each history: its trials, ms per proposal, and ms to tell the whole history.

    The history is random. Times are CPU milliseconds, the median of `REPEATS`.
    """
    for trials in histories:
        events = list(_random_history(problem, generation, trials))
        begun = process_time()
        told = [SweepDeclared(declaration=_declaration(problem, portfolio, generation)), *events]
        state = replay(told)
        told_ms = 1000 * (process_time() - begun)
        times = []
        for _ in range(REPEATS):
            begun = process_time()
            proposals = plan(state, generation)
            times.append(1000 * (process_time() - begun) / len(proposals))
        yield trials, float(np.median(times)), told_ms


def _declaration(problem: Problem, portfolio: Portfolio, generation: int) -> Declaration:
    return Declaration(name="cost", space=problem.space, generation=generation, portfolio=portfolio)


def _random_history(problem: Problem, generation: int, trials: int) -> Iterator[Event]:
    """Random search's own generations, but for its opening."""
    declaration = _declaration(problem, Portfolio(proposers=("random",)), generation)
    state = replay([SweepDeclared(declaration=declaration)])
    for number in range(trials // generation):
        sealed = GenerationSealed(
            generation=number,
            trials=tuple(
                TrialRecord(proposal=p, value=problem.loss(p.params, p.seed))
                for p in plan(state, generation)
            ),
        )
        state = evolve(state, sealed)
        yield sealed
