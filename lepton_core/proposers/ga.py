"""A genetic algorithm: the best points of the whole history breed, and their step adapts.

A steady state with truncation, (mu + lambda): the population is the best `population` trials that
anyone proposed, so the elite is never lost. Parents are chosen by tournament. Numbers cross by
simulated binary crossover (Deb and Agrawal, "Simulated binary crossover for continuous search
space", Complex Systems 9, 1995), whose spread follows the parents' distance, or by heuristic
crossover, which goes on in the direction from the worse parent to the better one (Wright, "Genetic
algorithms for real parameter optimization", FOGA 1991); choices by uniform crossover (Syswerda,
ICGA 1989). Mutation adds a normal step to numbers, on the scale that
they are searched on, and redraws choices. The step's size follows the one-fifth success rule
(Rechenberg, "Evolutionsstrategie", 1973, in the form of Kern et al., Natural Computing 3, 2004).

A population that has shrunk to a point, or found nothing better for long, is left behind for one of
twice the size that begins elsewhere (as in Harik and Lobo, "A parameter-less genetic algorithm",
GECCO 1999); what others find does not draw the new one back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Point, Told, draw_each
from lepton_core.proposers.settings import setting
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SUCCESS = 0.2  # the share of children better than their parent at which the step stays
LEAST_STEP, MOST_STEP = 1e-7, 0.5  # of the unit cube
FIRST = 16  # individuals, drawn evenly, before any breed
MOST_DOUBLINGS = 3  # of the population, restart by restart


@dataclass(frozen=True, slots=True)
class Individual:
    """A trial of the population. `fitness` is its loss: lower is fitter.

    Attributes:
        active: Which genes mean something at this point.
    """

    number: int
    fitness: float
    genes: Point
    active: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class GAState:
    """The population, and how it fares.

    Attributes:
        population: Best first.
        step: The mutation's standard deviation in the unit cube.
        stale: Own trials since this population's best was found.
        starts: How often a spent population was left behind.
    """

    population: tuple[Individual, ...] = ()
    step: float = 0.0
    stale: int = 0
    starts: int = 0


@dataclass(frozen=True, slots=True)
class GA:
    """The genetic algorithm's settings.

    Args:
        population: How many of the best trials breed.
        tournament: How many are drawn for the fittest of them to be a parent.
        crossover: The share of children that have two parents.
        ahead: The share of crossovers that step past the fitter parent, away from the other.
        spread: SBX's distribution index: higher keeps children nearer to their parents.
        step: The first standard deviation of a mutation, in the unit cube.
        adaptation: How fast the step follows success; 0: not at all.
        patience: Children per individual without a new best, before it starts elsewhere, with twice
            as many individuals.
        precision: The spread of the genes at which a population is spent, and starts elsewhere.
    """

    population: int = setting(16, 2, 1000)
    tournament: int = setting(6, 1, 1000)
    crossover: float = setting(0.8, 0.0, 1.0)
    ahead: float = setting(0.3, 0.0, 1.0)
    spread: float = setting(1.0, 0.0, 100.0)
    step: float = setting(0.15, 1e-6, MOST_STEP)
    adaptation: float = setting(0.3, 0.0, 2.0)
    patience: float = setting(6.0, 1.0, 1e6)
    precision: float = setting(1e-5, 0.0, 0.1)
    name: str = "ga"

    def init(self, space: Space) -> GAState:
        """The state before any trial."""
        del space  # Unused: the population is what was tried.
        return GAState(step=self.step)

    def suggest(self, state: GAState, ask: Ask) -> tuple[Candidate, ...]:
        """A child for each slot; before there are enough to breed, a uniform point."""
        return draw_each(
            ask, self.name, lambda _, generator: _Birth(self, state, ask.space, generator)
        )

    def update(self, state: GAState, told: Told) -> GAState:
        """The state after a generation: the best of the old and the new breed from now on."""
        own = set(told.own(self.name))
        step = state.step
        fitness = {one.number: one.fitness for one in state.population}
        for i in sorted(own):
            parents = told.trials[i].proposal.origin["parents"]
            if parents and parents[0] in fitness:
                success = told.losses[i] < fitness[parents[0]]
                # Kern et al., eq. 1: in balance at one success in five.
                step *= exp(self.adaptation * ((1.0 if success else 0.0) - SUCCESS))
        newcomers = [
            Individual(
                number=trial.proposal.number,
                fitness=loss,
                genes=tuple(float(u) for u in point),
                active=told.space.active(trial.proposal.params),
            )
            for i, (trial, loss, point) in enumerate(
                zip(told.trials, told.losses, told.points, strict=True)
            )
            # A population that began elsewhere breeds in isolation.
            if loss < inf and (i in own or not state.starts)
        ]
        size = self.population * 2 ** min(state.starts, MOST_DOUBLINGS)
        # Of equals the younger comes first: so a population drifts over a plateau.
        everyone = sorted(
            (*state.population, *newcomers), key=lambda one: (one.fitness, -one.number)
        )[:size]
        better = bool(newcomers) and (
            not state.population or everyone[0].fitness < state.population[0].fitness
        )
        stale = 0 if better else state.stale + len(own)
        genes = np.array([one.genes for one in everyone])
        spent = len(everyone) == size and float(genes.std(axis=0).max()) < self.precision
        # Where all has failed so far, elsewhere is no better: it goes on with uniform points.
        if everyone and (spent or stale > self.patience * size):
            return GAState(step=self.step, starts=state.starts + 1)
        return replace(
            state,
            population=tuple(everyone),
            step=min(MOST_STEP, max(LEAST_STEP, step)),
            stale=stale,
        )


class _Birth:
    """Draws one child after another from the same generator."""

    def __init__(
        self, config: GA, state: GAState, space: Space, generator: np.random.Generator
    ) -> None:
        self.config, self.state, self.space = config, state, space
        self.generator = generator
        self.parents: list[int] = []

    def __call__(self) -> Params:
        population, generator = self.state.population, self.generator
        if len(population) < min(FIRST, self.config.population):
            return self.space.decode(generator.random(len(self.space)))
        mother = self._tournament()
        two = len(population) > 1 and generator.random() < self.config.crossover
        father = self._tournament(other=mother) if two else mother
        self.parents = list(dict.fromkeys((mother.number, father.number)))
        genes = self._cross(mother, father)
        self._mutate(genes, certain=father is mother)
        return self.space.decode(genes)

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """The parents; what lies elsewhere has none."""
        return {"parents": self.parents if elsewhere is None else []}

    def _tournament(self, other: Individual | None = None) -> Individual:
        """The fittest of some, drawn from those that are not the other parent."""
        population = self.state.population
        places = [i for i, one in enumerate(population) if one is not other]
        drawn = self.generator.integers(len(places), size=self.config.tournament)
        return population[places[int(drawn.min())]]

    def _cross(self, mother: Individual, father: Individual) -> Array:
        """A child near its mother. A gene that only one parent uses comes from that one."""
        generator, size = self.generator, len(self.space)
        a, b = np.array(mother.genes), np.array(father.genes)
        in_a, in_b = np.array(mother.active), np.array(father.active)
        # Deb and Agrawal, eq. 13: the spread factor of the parents' distance.
        u = generator.random(size)
        power = 1 / (self.config.spread + 1)
        beta = np.where(u < 0.5, (2 * u) ** power, (0.5 / np.maximum(1 - u, 1e-12)) ** power)  # noqa: PLR2004
        if generator.random() < self.config.ahead:  # Wright, section 4: past the better, on a line
            better, worse = (a, b) if mother.fitness <= father.fitness else (b, a)
            child = better + generator.random() * (better - worse)
            child = np.where((child < 0) | (child > 1), better, child)
        else:
            child = 0.5 * ((1 + beta) * a + (1 - beta) * b)
        for j in self.space.choices:
            child[j] = a[j] if u[j] < 0.5 else b[j]  # noqa: PLR2004
        child = np.where(in_a & in_b, child, np.where(in_a, a, b))
        return np.where(in_a | in_b, child, generator.random(size))

    def _mutate(self, genes: Array, *, certain: bool) -> None:
        """Each gene with probability 1/d; a child of one parent in at least one gene."""
        generator, size = self.generator, len(self.space)
        hit = generator.random(size) < 1 / size
        forced = int(generator.integers(size))
        if certain and not hit.any():
            hit[forced] = True
        steps = generator.standard_normal(size) * self.state.step
        drawn = generator.random(size)
        for j in self.space.numbers:
            if hit[j]:
                genes[j] = self._moved(j, float(genes[j]), float(steps[j]))
        for j, options in self.space.choices.items():
            if hit[j]:  # another choice than it has
                now = min(options - 1, int(genes[j] * options))
                other = int(drawn[j] * (options - 1))
                genes[j] = ((other if other < now else other + 1) % options + 0.5) / options
        np.clip(genes, 0.0, 1.0, out=genes)

    def _moved(self, j: int, u: float, step: float) -> float:
        """A number's gene after a step; one of few values moves by one of them at least."""
        up = 1 if step > 0 else -1
        own, beside = self.space.cell(j, u), self.space.cell(j, u, up)
        if own is None or beside is None:
            return _reflected(u + step)
        to = u + up * max(abs(step), beside[1] - beside[0])
        if own[0] < to < own[1]:  # wider than the one beside it
            return sum(beside) / 2
        return _reflected(to)


def _reflected(u: float) -> float:
    """A coordinate that went past a bound, mirrored there."""
    u = -u if u < 0 else u
    return 2 - u if u > 1 else u
