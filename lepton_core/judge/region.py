"""The trust region: how far from the best trial the local judge may look.

It doubles after successes and halves after failures, and is as wide along each param as the global
judge finds the loss to be smooth there: TuRBO (Eriksson et al., "Scalable global optimization via
local Bayesian optimization", NeurIPS 2019), with its successes counted by blocks of trials, so that
it does the same whatever the size of a generation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FIRST, MOST, LEAST = 0.8, 1.6, 2.0**-6  # sides, of the cube
BLOCK = 8  # trials, at least, that make a success or a failure
PATIENCE = 2  # successes, or failures, in a row, until the side changes
PROGRESS = 1e-3  # the least success, of the distance from the usual loss to the best
HUGE = 8e307  # what is further from 0 than that counts as that far: differences stay finite
MAX_LOSS = sys.float_info.max
STRETCH = (0.2, 5.0)  # of the side, by length-scale


@dataclass(frozen=True, slots=True)
class Region:
    """The trust region's size, and the block of trials under way.

    Attributes:
        side: Of the cube.
        successes: Blocks in a row that found something better.
        failures: Blocks in a row that did not.
        goal: The loss below which the block under way is a success; None: it has not begun.
        met: Whether it is one by now.
        trials: How many it has.
    """

    side: float = FIRST
    successes: int = 0
    failures: int = 0
    goal: float | None = None
    met: bool = False
    trials: int = 0


def update(region: Region, before: Sequence[float], now: Sequence[float], trials: int) -> Region:
    """The region after a generation.

    Args:
        region: The region before it.
        before: The losses known before it.
        now: Its usable losses.
        trials: How many trials it had.
    """
    goal = region.goal
    if goal is None:
        if not before:
            return region
        goal = _goal(before)
    met = region.met or (bool(now) and min(now) < goal)
    trials += region.trials
    if trials < BLOCK:
        return replace(region, goal=goal, met=met, trials=trials)
    successes = region.successes + 1 if met else 0
    failures = 0 if met else region.failures + 1
    side = region.side
    if successes == PATIENCE:
        side, successes = min(MOST, 2 * side), 0
    elif failures == PATIENCE:
        side, failures = side / 2, 0
    return Region(side if side >= LEAST else FIRST, successes, failures)


def _goal(before: Sequence[float]) -> float:
    """Below what a loss is progress; finite, as a snapshot needs it, however huge losses are."""
    best, usual = min(before), float(np.median(np.clip(before, -HUGE, HUGE)))
    return max(-MAX_LOSS, best - PROGRESS * abs(usual - max(best, -HUGE)))


def half_widths(region: Region, lengths: Array, numbers: NDArray[np.bool_]) -> Array:
    """``(d,)``, how far from the centre each number may be; choices are free."""
    if not numbers.any():
        return np.full(len(lengths), np.inf)
    typical = np.exp(np.log(lengths[numbers]).mean())
    widths = region.side / 2 * np.clip(lengths / typical, *STRETCH)
    return np.where(numbers, widths, np.inf)
