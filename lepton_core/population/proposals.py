"""GA, PSO and RL as a population asks them: for settings near those of a checkpoint.

They are told scores and no losses: losses fall while a model trains, so those of two rounds cannot
be compared, but ranks within a round can. What is good moves on, so what is old counts less: the GA
and PSO know the last rounds only, and the policy moves with each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lepton_core.canonical import Params, Value
from lepton_core.population.rules import Rules
from lepton_core.population.state import Checkpoint, PopulationState
from lepton_core.proposers.base import Ask
from lepton_core.proposers.ga import GA, GAState, Individual
from lepton_core.proposers.pso import PSO, Particle, PSOState
from lepton_core.proposers.random import Random, RandomState
from lepton_core.space import Space

NO_SCORE = 1.0


def propose(
    rules: Rules, state: PopulationState, name: str, ask: Ask, start: Checkpoint | None
) -> dict[str, Value]:
    """New settings for a member.

    Args:
        rules: The population's.
        state: What is known.
        name: The proposer's, of `KNOWN`.
        ask: For one slot.
        start: The checkpoint that it goes on from; None: the beginning, where anything goes.
    """
    params = KNOWN[name](rules, state, ask, start)
    return dict(params) if start is None else _near(rules, ask.space, start.params, params)


def _near(rules: Rules, space: Space, of: Params, params: Params) -> dict[str, Value]:
    """The params moved to within reach of others: by so much, or to the next value of few."""
    start = space.encode(of)
    step = space.encode(params) - start
    for j in space.numbers:
        cell = space.cell(j, float(start[j]))
        reach = max(rules.reach, cell[1] - cell[0] if cell else 0.0)
        step[j] = np.clip(step[j], -reach, reach)
    return space.decode(start + step)


def _ga(rules: Rules, state: PopulationState, ask: Ask, start: Checkpoint | None) -> Params:
    """A child of the best of the last rounds."""
    del start
    bred = [
        Individual(one.number, one.score + rules.age * age, one.point, one.active)
        for age, together in enumerate(reversed(state.recent))
        for one in together
    ]
    bred = sorted(bred, key=lambda one: (one.fitness, -one.number))[: rules.individuals]
    ga = GA(population=max(1, len(bred)), tournament=3, step=rules.step)
    return ga.suggest(GAState(tuple(bred), step=rules.step), ask)[0].params


def _pso(rules: Rules, state: PopulationState, ask: Ask, start: Checkpoint | None) -> Params:
    """A move from the checkpoint on, drawn to what did well in this slot and those beside it.

    Each slot is a particle: its place is its lineage's settings, its velocity their last move.
    """
    del rules
    slot = ask.slots[0]
    known = [one for together in state.recent for one in together]
    swarm = []
    for i in range(max(len(state.lineages), slot + 1)):
        own = state.lineages[i] if i < len(state.lineages) else None
        at, velocity = _flight(ask.space, start if i == slot else own)
        best = min(
            (one for one in known if one.slot == i),
            key=lambda one: (one.score, -one.number),
            default=None,
        )
        swarm.append(
            Particle(at, velocity, at, NO_SCORE)
            if best is None
            else Particle(at, velocity, best.point, best.score)
        )
    pso = PSO(particles=len(swarm))
    return pso.suggest(PSOState(tuple(swarm), turn=slot), ask)[0].params


def _flight(space: Space, one: Checkpoint | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A particle's position and velocity; where there was nothing, it rests in the middle."""
    if one is None:
        return (0.5,) * len(space), ()
    return tuple(float(u) for u in space.encode(one.params)), one.moved


def _rl(rules: Rules, state: PopulationState, ask: Ask, start: Checkpoint | None) -> Params:
    """An action of the policy, which is the same for every checkpoint."""
    del start
    return rules.rl.suggest(state.rl, ask)[0].params


def _random(rules: Rules, state: PopulationState, ask: Ask, start: Checkpoint | None) -> Params:
    """Anything: a jump as far as it may be, in most dimensions."""
    del rules, state, start
    return Random().suggest(RandomState(), ask)[0].params


KNOWN: Mapping[str, Callable[[Rules, PopulationState, Ask, Checkpoint | None], Params]] = {
    "ga": _ga,
    "pso": _pso,
    "rl": _rl,
    "random": _random,
}
"""Who can propose in a population, by name."""
