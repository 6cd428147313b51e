"""The search benchmark's problems: one protocol, two sets that were fixed once.

Whatever is chosen is chosen on `development()`; what is reported is measured on `report()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import bbob
import numpy as np
import real
import yahpo

from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FAMILIES = ("lcbench", "xgboost", "glmnet", "bbob", "mixint", "real")
INSTANCE = 1  # of COCO's functions
COCO_DEVELOPMENT = {
    "bbob": ((4, 5), (7, 10), (11, 10), (12, 5), (16, 10), (20, 5)),
    "bbob-mixint": ((2, 5), (4, 10), (7, 5), (13, 10), (16, 5), (20, 10)),
}  # (function, dimension), a few of bbob.DEVELOPMENT: searches are compared on them all day
COCO_REPORT = {
    suite: [(f, d) for f in bbob.REPORT for d in bbob.DIMENSIONS] for suite in bbob.SUITES
}


@dataclass(frozen=True)
class Problem:
    """Something to minimise.

    Attributes:
        family: One of `FAMILIES`.
        best: The least loss known.
        usual: The median loss of random params.
        evaluate: The loss of params, given the trial's seed.
        judge: The loss that params have in truth, for a noisy problem.
        softer: The best loss of 20,000 random params, where it is known.
    """

    name: str
    family: str
    space: Space
    best: float
    usual: float
    evaluate: Callable[[Mapping[str, Any], int], float]
    judge: Callable[[Mapping[str, Any]], float] | None = None
    softer: float | None = None

    @property
    def noisy(self) -> bool:
        """Whether the loss depends on the seed."""
        return self.judge is not None

    def loss(self, params: Mapping[str, Any], seed: int = 0) -> float:
        """The loss that a search is told."""
        return self.evaluate(params, seed)

    def true_loss(self, params: Mapping[str, Any]) -> float:
        """The loss without noise, which no search is told."""
        return self.evaluate(params, 0) if self.judge is None else self.judge(params)

    def regret(self, loss: float) -> float:
        """The normalised regret: 0 is the best known, 1 the median of random params."""
        return max(0.0, (loss - self.best) / (self.usual - self.best))

    def regrets(self, losses: Sequence[float]) -> Array:
        """``(n,)``, the normalised regret of the best so far; NaN losses are failures.

        As long as all have failed it is infinite.
        """
        filled = np.where(np.isnan(losses), np.inf, np.asarray(losses, dtype=float))
        best = np.minimum.accumulate(filled)
        return np.maximum(0.0, (best - self.best) / (self.usual - self.best))


def development() -> tuple[Problem, ...]:
    """What everything is chosen on."""
    return (
        *map(yahpo_problem, yahpo.development()),
        *_coco(COCO_DEVELOPMENT),
        *map(real_problem, real.DEVELOPMENT),
    )


def report() -> tuple[Problem, ...]:
    """What results are reported on; nothing was chosen there."""
    return (*_coco(COCO_REPORT), *map(real_problem, real.REPORT))


def problem(name: str) -> Problem:
    """One problem of either set.

    Raises:
        ValueError: There is none of this name.
    """
    known = {one.name: one for one in (*development(), *report())}
    if name not in known:
        raise ValueError(f"found {name!r}; expected one of {', '.join(known)}")
    return known[name]


@cache
def yahpo_problem(name: str) -> Problem:
    """One of YAHPO's development instances.

    Raises:
        ValueError: It is held out, or there is none of this name.
    """
    one, known = yahpo.instance(name), yahpo.references()[name]
    return Problem(
        name=name,
        family=one.family,
        space=one.space,
        best=known["best_known"],
        usual=known["median_random"],
        evaluate=lambda params, _: one.loss(params),
        softer=known["best_of_20k_random"],
    )


@cache
def coco_problem(suite: str, function: int, dimension: int) -> Problem:
    """One of COCO's functions.

    Raises:
        ValueError: The function is held out.
    """
    found = bbob.problems(suite, (function,), (dimension,), (INSTANCE,))
    one = next(found)

    def evaluate(params: Mapping[str, Any], _: int, _alive: Any = found) -> float:
        # COCO frees a problem as soon as the iteration that gave it ends: it is kept alive here.
        return one.loss(list(params.values()))

    family = suite.removeprefix("bbob-")
    return Problem(
        name=f"{family}-f{function}-d{dimension}",
        family=family,
        space=one.space,
        best=one.best,
        usual=float(one.usual),
        evaluate=evaluate,
    )


@cache
def real_problem(name: str) -> Problem:
    """One of the real, noisy objectives; without its references it has no regrets."""
    task, known = real.tasks()[name], real.references().get(name, {})
    return Problem(
        name=f"real-{name}",
        family="real",
        space=task.space,
        best=known.get("best", float("nan")),
        usual=known.get("usual", float("nan")),
        evaluate=task.loss,
        judge=task.true_loss,
    )


def _coco(chosen: Mapping[str, Sequence[tuple[int, int]]]) -> list[Problem]:
    return [coco_problem(suite, f, d) for suite, some in chosen.items() for f, d in some]
