"""Particle swarm optimisation: particles fly on, drawn to what they and their neighbours found.

Kennedy and Eberhart, "Particle swarm optimization", ICNN 1995; the inertia and the pulls are those
of the constriction analysis (Clerc and Kennedy, IEEE Trans. Evolutionary Computation 6, 2002). A
particle's first velocity is that of SPSO 2007, and at a bound it bounces as in SPSO 2011 (both:
Clerc, "Standard particle swarm optimisation", 2012, https://hal.science/hal-00764996). It sees the
best of its ring neighbours alone, so that the swarm keeps its diversity for longer (Kennedy and
Mendes, CEC 2002). A choice has no velocity: it is copied from where the pull comes from.

The velocity of a move is recorded with its trial and comes back by `update`; nothing else
remembers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Point, Told, draw_each
from lepton_core.proposers.settings import Clash, setting
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PATIENCE = 16  # moves to where somebody was before, until a particle gets a new velocity
BOUNCE = -0.5  # what is left of a velocity at a bound, as in SPSO 2011


@dataclass(frozen=True, slots=True)
class Particle:
    """Where a particle is, how it flies, and the best point it knows of its own.

    Attributes:
        position: ``(d,)`` in the unit cube.
        velocity: ``(d,)``, or empty before its first move.
        best: ``(d,)``, its personal best.
        best_loss: The loss there.
    """

    position: Point
    velocity: Point
    best: Point
    best_loss: float


@dataclass(frozen=True, slots=True)
class PSOState:
    """The swarm, and whose turn it is.

    Attributes:
        starts: How often a spent swarm was left behind.
    """

    swarm: tuple[Particle, ...] = ()
    turn: int = 0
    starts: int = 0


@dataclass(frozen=True, slots=True)
class PSO:
    """The swarm's settings.

    Args:
        particles: How many there are.
        inertia: How much of its velocity a particle keeps.
        cognitive: The pull of its own best.
        social: The pull of the best of its neighbours.
        max_velocity: The largest step along one dimension, of the unit cube.
        neighbours: How many a particle sees on each side of the ring.
        redraw: The probability that a move draws a choice anew.
        precision: The spread of the personal bests at which a swarm is spent, and starts elsewhere.
    """

    particles: int = setting(10, 2, 1000)
    inertia: float = setting(0.7298, 0.0, 1.0)
    cognitive: float = setting(1.49618, 0.0, 4.0)
    social: float = setting(1.49618, 0.0, 4.0)
    max_velocity: float = setting(0.3, 1e-3, 1.0)
    neighbours: int = setting(2, 1, 1000)
    redraw: float = setting(0.05, 0.0, 1.0)
    precision: float = setting(1e-5, 0.0, 0.1)
    name: str = "pso"

    @staticmethod
    def clash(settings: Mapping[str, float]) -> Clash | None:
        """A swarm that nothing moves stays where it is."""
        if any(settings[name] > 0 for name in ("inertia", "cognitive", "social")):
            return None
        return Clash(
            "inertia", "found 0, as are cognitive and social; expected one of them above 0"
        )

    def init(self, space: Space) -> PSOState:
        """The state before any trial."""
        del space  # Unused: the swarm forms where trials were.
        return PSOState()

    def suggest(self, state: PSOState, ask: Ask) -> tuple[Candidate, ...]:
        """The next moves, particle by particle; a particle that is still missing is born."""

        def move(order: int, generator: np.random.Generator) -> _Move:
            index = (state.turn + order) % self.particles
            return _Move(self, state.swarm, index, ask.space, generator)

        return draw_each(ask, self.name, move)

    def update(self, state: PSOState, told: Told) -> PSOState:
        """The state after a generation: moved particles, and what others found beside them."""
        swarm = list(state.swarm)
        own = set(told.own(self.name))
        for i in range(len(told.trials)):
            if i not in own and told.losses[i] < inf and not state.starts:
                self._hear(swarm, tuple(float(u) for u in told.points[i]), told.losses[i])
        for i in sorted(own):
            self._land(swarm, told.trials[i].proposal.origin, told.losses[i])
        if len(swarm) == self.particles:
            spread = np.array([particle.best for particle in swarm]).std(axis=0).max()
            if spread < self.precision:
                return PSOState(starts=state.starts + 1)
        return replace(state, swarm=tuple(swarm), turn=(state.turn + len(own)) % self.particles)

    def _hear(self, swarm: list[Particle], point: Point, loss: float) -> None:
        """Another's trial makes a new particle, or the nearest one's best if it is better."""
        if len(swarm) < self.particles:
            swarm.append(Particle(point, (), point, loss))
            return
        gaps = ((np.array([p.best for p in swarm]) - np.array(point)) ** 2).sum(axis=1)
        near = int(np.argmin(gaps))
        if loss < swarm[near].best_loss:
            swarm[near] = replace(swarm[near], best=point, best_loss=loss)

    def _land(self, swarm: list[Particle], origin: Any, loss: float) -> None:
        """A particle's own move. After a failure it is back at its best, at rest."""
        at, velocity, index = tuple(origin["at"]), tuple(origin["velocity"]), origin["particle"]
        if index >= len(swarm):
            if loss < inf:
                swarm.append(Particle(at, velocity, at, loss))
            return
        particle = swarm[index]
        if loss == inf:
            swarm[index] = replace(particle, position=particle.best, velocity=())
        elif loss < particle.best_loss:
            swarm[index] = Particle(at, velocity, at, loss)
        else:
            swarm[index] = replace(particle, position=at, velocity=velocity)


class _Move:
    """Draws one move after another from the same generator."""

    def __init__(
        self,
        config: PSO,
        swarm: tuple[Particle, ...],
        index: int,
        space: Space,
        generator: np.random.Generator,
    ) -> None:
        self.config, self.space, self.generator, self.index = config, space, generator, index
        self.particle = swarm[index] if index < len(swarm) else None
        ring = range(index - config.neighbours, index + config.neighbours + 1)
        around = [swarm[i % len(swarm)] for i in ring] if self.particle else []
        self.leader = min(around, key=lambda p: p.best_loss, default=None)
        self.position, self.velocity = np.zeros(0), np.zeros(0)
        self.tries = 0

    def __call__(self) -> Params:
        size, generator = len(self.space), self.generator
        if self.particle is None or self.leader is None:
            self.position, self.velocity = generator.random(size), np.zeros(0)  # at rest
        else:
            self.tries += 1
            self.position, self.velocity = self._fly(self.particle, self.leader)
        return self.space.decode(self.position)

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """The particle, where it arrives, and how fast. Put elsewhere, it keeps its velocity."""
        at = self.position if elsewhere is None else elsewhere
        return {
            "particle": self.index,
            "at": [float(u) for u in at],
            "velocity": [float(v) for v in self.velocity],
        }

    def _fly(self, particle: Particle, leader: Particle) -> tuple[Array, Array]:
        config, generator, size = self.config, self.generator, len(self.space)
        x, best, pull = (np.array(p) for p in (particle.position, particle.best, leader.best))
        limit = config.max_velocity
        if particle.velocity and self.tries <= PATIENCE:
            velocity = np.array(particle.velocity)
        else:  # a first, random one, as in SPSO 2007; or one that leads to where nobody was
            velocity = np.clip((generator.random(size) - x) / 2, -limit, limit)
        own = config.cognitive * generator.random(size)
        social = config.social * generator.random(size)
        velocity = config.inertia * velocity + own * (best - x) + social * (pull - x)
        velocity = np.clip(velocity, -limit, limit)
        position = x + velocity
        outside = (position < 0) | (position > 1)
        velocity = np.where(outside, BOUNCE * velocity, velocity)
        position = np.clip(position, 0.0, 1.0)
        self._choose(position, velocity, x, best, pull)
        return position, velocity

    def _choose(self, position: Array, velocity: Array, x: Array, best: Array, pull: Array) -> None:
        """A choice: kept, copied from the own or the neighbours' best, or now and then redrawn."""
        config = self.config
        weights = np.cumsum([config.inertia, config.cognitive, config.social])
        for j in self.space.choices:
            which = int(np.searchsorted(weights, self.generator.random() * weights[-1]))
            fresh = float(self.generator.random())
            redrawn = self.generator.random() < config.redraw
            position[j] = fresh if redrawn else float((x, best, pull)[min(which, 2)][j])
            velocity[j] = 0.0
