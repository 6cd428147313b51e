"""Published searchers on the same problems, each asked 8 at a time like ours.

Their settings are their own defaults. Pymoo's GA has, besides, a population that served it better
on the development functions: its default of 100 leaves little of 200 evaluations.

All search the unit cube that `bbob.Problem.decode` maps to values, whole numbers included, except
where a library has whole numbers of its own: then it is told of them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.rng import rng

if TYPE_CHECKING:
    from bbob import Array, Problem

GENERATION = 8
POPULATION = 20  # pymoo's GA did best with it, of 20, 50 and 100, at 200 and at 2000 evaluations


class _SpentError(Exception):
    """The budget is used up."""


class _Meter:
    """Counts and keeps the losses, and stops a library that has no budget of its own."""

    def __init__(self, problem: Problem, evaluations: int) -> None:
        self.problem, self.evaluations = problem, evaluations
        self.losses: list[float] = []

    def __call__(self, point: Any) -> float:
        """The loss at a point of the unit cube."""
        if len(self.losses) >= self.evaluations:
            raise _SpentError
        self.losses.append(self.problem.loss(self.problem.decode(point)))
        return self.losses[-1]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.suppress(_SpentError):
        warnings.simplefilter("ignore")
        yield


def pycma(problem: Problem, seed: int, evaluations: int) -> list[float]:
    """CMA-ES (Hansen's own), from the middle with a deviation of 0.25; restarts anywhere."""
    import cma

    meter = _Meter(problem, evaluations)
    generator = rng(seed, "pycma")
    start = np.full(problem.raw.dimension, 0.5)
    low, high = problem.low, problem.high
    # pycma's whole numbers are those of its own coordinates: theirs are scaled to one a value.
    scale = np.ones(len(low))
    scale[: problem.whole] = (high - low + 1)[: problem.whole]
    with _quiet():
        while True:
            strategy = cma.CMAEvolutionStrategy(
                start * scale - 0.5 * (scale != 1),
                0.25,
                {
                    "bounds": [list(-0.5 * (scale != 1)), list(scale - 0.5 * (scale != 1))],
                    "CMA_stds": list(scale),
                    "integer_variables": list(range(problem.whole)),
                    "popsize": GENERATION,
                    "seed": int(generator.integers(1, 2**31)),
                    "verbose": -9,
                },
            )
            while not strategy.stop():
                points = strategy.ask()
                # A whole value v of pycma is the middle of our cell v.
                strategy.tell(points, [meter((p + 0.5 * (scale != 1)) / scale) for p in points])
            start = generator.random(len(low))
    return meter.losses


def pymoo_ga(
    problem: Problem, seed: int, evaluations: int, population: int = POPULATION
) -> list[float]:
    """Pymoo's GA: tournament, SBX, polynomial mutation; a population and 8 offspring at a time."""
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.optimize import minimize

    meter = _Meter(problem, evaluations)

    class Cube(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=problem.raw.dimension, n_obj=1, xl=0.0, xu=1.0)

        def _evaluate(self, x: Array, out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = meter(x)

    with _quiet():
        algorithm = GA(pop_size=population, n_offsprings=GENERATION)
        minimize(Cube(), algorithm, ("n_gen", 10**6), seed=seed, verbose=False)
    return meter.losses


def nevergrad_pso(problem: Problem, seed: int, evaluations: int) -> list[float]:
    """Nevergrad's PSO, with 8 asked before any is told."""
    return _nevergrad("PSO", problem, seed, evaluations)


def nevergrad_realspace_pso(problem: Problem, seed: int, evaluations: int) -> list[float]:
    """Nevergrad's PSO without the transformation that makes the one above stall on bounds."""
    return _nevergrad("RealSpacePSO", problem, seed, evaluations)


def _nevergrad(name: str, problem: Problem, seed: int, evaluations: int) -> list[float]:
    import nevergrad as ng

    meter = _Meter(problem, evaluations)
    with _quiet():
        cube = ng.p.Array(shape=(problem.raw.dimension,), lower=0.0, upper=1.0)
        cube.random_state.seed(seed)
        optimizer = ng.optimizers.registry[name](
            parametrization=cube, budget=evaluations, num_workers=GENERATION
        )
        while True:
            asked = [optimizer.ask() for _ in range(GENERATION)]
            for one in asked:
                optimizer.tell(one, meter(one.value))
    return meter.losses


def pyswarms_pso(problem: Problem, seed: int, evaluations: int) -> list[float]:
    """PySwarms' global-best PSO with the constants of its own examples, 8 particles."""
    import pyswarms

    meter = _Meter(problem, evaluations)
    state = np.random.get_state()  # noqa: NPY002  (it knows the global generator only)
    np.random.seed(seed)  # noqa: NPY002, TID251
    d = problem.raw.dimension
    try:
        with _quiet():
            swarm = pyswarms.single.GlobalBestPSO(
                n_particles=GENERATION,
                dimensions=d,
                options={"c1": 0.5, "c2": 0.3, "w": 0.9},
                bounds=(np.zeros(d), np.ones(d)),
            )
            swarm.optimize(
                lambda points: np.array([meter(p) for p in points]), iters=10**6, verbose=False
            )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return meter.losses


PEERS: dict[str, Callable[[Problem, int, int], list[float]]] = {
    "pycma": pycma,
    "pymoo-ga": pymoo_ga,
    "pymoo-ga-100": partial(pymoo_ga, population=100),
    "nevergrad-pso": nevergrad_pso,
    "nevergrad-rs-pso": nevergrad_realspace_pso,
    "pyswarms-pso": pyswarms_pso,
}
