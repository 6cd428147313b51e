"""Published searchers on the search benchmark's problems, each asked and told in generations.

Their settings are their own defaults. Each library is told of the space in its own terms; where it
knows no conditions, all params are always there, and the inactive ones are left out of the trial.
A trial has the seed that a Lepton sweep would give it, so all meet the same noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from time import process_time
from typing import TYPE_CHECKING, Any, Protocol

from conditions import active_params
from sweeps import Fails, Run, no_failures

from lepton_core.rng import rng, trial_seed
from lepton_core.space import Choice, Float, Int, Space

if TYPE_CHECKING:
    from problems import Problem

Params = Mapping[str, Any]


class Peer(Protocol):
    """A published searcher."""

    def ask(self, count: int) -> list[Params]:
        """So many params to evaluate before any of them is told."""

    def tell(self, losses: Sequence[float]) -> None:
        """The losses of what was asked last, in order; NaN for a failure."""


Make = Callable[[Space, int, int, int], Peer]
"""From the space, the seed, the evaluations to come, and how many are asked at a time."""


def search(
    make: Make,
    problem: Problem,
    seed: int,
    evaluations: int,
    generation: int,
    *,
    fails: Fails = no_failures,
) -> Run:
    """One search by a peer.

    Args:
        make: What makes the peer.
        problem: What is minimised.
        seed: The peer's seed.
        evaluations: How many trials.
        generation: How many are asked before any of them is told.
        fails: Which params fail instead of giving a loss.
    """
    run = Run()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = process_time()
        peer = make(problem.space, seed, evaluations, generation)
        run.search_s += process_time() - begun
        asked_before = 0
        while len(run.losses) < evaluations:
            begun = process_time()
            asked = peer.ask(min(generation, evaluations - len(run.losses)))
            run.search_s += process_time() - begun
            losses = [
                float("nan")
                if fails(params)
                else problem.loss(params, trial_seed(seed, asked_before, slot))
                for slot, params in enumerate(map(problem.space.validate, asked))
            ]
            run.params += asked
            run.losses += losses
            asked_before += 1
            begun = process_time()
            peer.tell(losses)
            run.search_s += process_time() - begun
    return run


class Random:
    """Uniform points of the unit cube."""

    def __init__(self, space: Space, seed: int, evaluations: int, generation: int) -> None:
        del evaluations, generation  # Unused: each point is drawn alone.
        self.space, self.generator = space, rng(seed, "peer", "random")

    def ask(self, count: int) -> list[Params]:
        """Fresh points."""
        points = self.generator.random((count, len(self.space)))
        return [self.space.decode(point) for point in points]

    def tell(self, losses: Sequence[float]) -> None:
        """Nothing is learned."""


class NGOpt:
    """Nevergrad's choice of an optimizer, by space, budget and workers."""

    def __init__(self, space: Space, seed: int, evaluations: int, generation: int) -> None:
        import nevergrad as ng

        self.space = space
        told = ng.p.Dict(**{f"p{j}": _nevergrad(d) for j, d in enumerate(_free(space))})
        told.random_state.seed(seed)
        self.optimizer = ng.optimizers.NGOpt(told, budget=evaluations, num_workers=generation)
        self.asked: list[Any] = []

    def ask(self, count: int) -> list[Params]:
        """What it asks for."""
        self.asked = [self.optimizer.ask() for _ in range(count)]
        return [
            active_params(self.space, dict(zip(self.space.free, one.value.values(), strict=True)))
            for one in self.asked
        ]

    def tell(self, losses: Sequence[float]) -> None:
        """A failure is told as infinitely bad, which Nevergrad allows."""
        for one, loss in zip(self.asked, losses, strict=True):
            self.optimizer.tell(one, loss if isfinite(loss) else float("inf"))


def _free(space: Space) -> list[Float | Int | Choice]:
    return [space.params[name] for name in space.free]  # type: ignore[misc]


def _nevergrad(domain: Float | Int | Choice) -> Any:
    import nevergrad as ng

    if isinstance(domain, Choice):
        return ng.p.Choice(list(domain.choices))
    kind = ng.p.Log if domain.log else ng.p.Scalar
    told = kind(lower=domain.low, upper=domain.high)
    return told.set_integer_casting() if isinstance(domain, Int) else told


def _optuna(sampler: str, **settings: Any) -> Make:
    def make(space: Space, seed: int, evaluations: int, generation: int) -> Peer:
        from search_optuna import Optuna

        del evaluations, generation  # Unused: Optuna is told of neither.
        return Optuna(space, seed, sampler, settings)

    return make


def _from(module: str, name: str) -> Make:
    """A peer of another file, whose library may be installed in another environment."""

    def make(space: Space, seed: int, evaluations: int, generation: int) -> Peer:
        kind = getattr(__import__(module), name)
        peer: Peer = kind(space, seed, evaluations, generation)
        return peer

    return make


MAKERS: dict[str, Make] = {
    "random": Random,
    "optuna-tpe": _optuna("TPESampler"),
    "optuna-tpe-univariate": _optuna("TPESampler", multivariate=False),
    "optuna-cmaes": _optuna("CmaEsSampler", warn_independent_sampling=False),
    "optuna-gp": _optuna("GPSampler", warn_independent_sampling=False),
    "hyperopt": _from("search_hyperopt", "Hyperopt"),
    "nevergrad": NGOpt,
    "smac": _from("search_smac", "Smac"),
    "hebo": _from("search_hebo", "Hebo"),
}
PEERS = {name: partial(search, make) for name, make in MAKERS.items()}
APART = ("nevergrad", "optuna-gp", "smac", "hebo")
"""Those that need an environment of their own: see `make peers`.

Nevergrad 1.0.12 fails with NumPy 2.4, HEBO asks for one below 1.25; the others bring much along.
"""
