"""Reinforcement learning: a stochastic policy over the space, trained by natural policy gradient.

An action is a whole configuration. The policy is a Gaussian with full covariance over the numbers
and a softmax for each choice, which acts only where its parents make it active. Its rewards are
rank-shaped: only the order of losses within a batch counts, the better half is rewarded and the
worse half is held against a baseline, so that a batch as good as expected changes nothing.

The line of the method: REINFORCE follows the gradient of expected reward by log-probabilities
(Williams, Machine Learning 8, 1992); PGPE moves the policy from actions to parameters, where one
draw decides all (Sehnke et al., Neural Networks 23, 2010); NES follows the natural gradient with
shaped ranks and a baseline (Wierstra et al., JMLR 15, 2014); and CMA-ES is that step with momentum
and step-size control (see `gaussian`). The softmax follows its natural gradient as well, which is a
move of the probabilities themselves (as in PBIL: Baluja, CMU-CS-94-163, 1994; Ollivier et al.,
"Information-geometric optimization", JMLR 18, 2017, section 5).

Entropy is kept from below: no choice falls under a least probability, no number of few values
under a step that leaves its cell, and a Gaussian that has shrunk to a point starts again elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, log
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.canonical import Params
from lepton_core.proposers.base import Ask, Candidate, Point, Told, draw_each
from lepton_core.proposers.gaussian import Axes, Gaussian, Rates, lifted, round_gaussian, step
from lepton_core.proposers.settings import Clash, setting
from lepton_core.rng import rng
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_BATCH = 4  # trials before a step
LEAST_DEVIATION = 1e-12  # of the unit cube, where the next float is not far
LEAST_STEP = 0.3  # of the cell of a number of few values: so large a deviation leaves it at times
TRIES = 20  # draws of the numbers before a point outside the cube is moved to its border


@dataclass(frozen=True, slots=True)
class Experience:
    """A trial that the policy has yet to learn from.

    Attributes:
        numbers: ``(n,)`` in the unit cube, as the params encode; None where inactive.
        chosen: For each choice its index, or -1 where it was inactive.
        foreign: Whether someone else proposed it.
        loss: None for a failure.
    """

    numbers: tuple[float | None, ...]
    chosen: tuple[int, ...]
    foreign: bool
    loss: float | None


@dataclass(frozen=True, slots=True)
class RLState:
    """The policy and the batch under way.

    Attributes:
        gaussian: Over the numbers; None where there are none, or before a start.
        softmax: For each choice its probabilities.
        batch: What was seen since the last step.
        starts: How often the Gaussian was begun anew.
        best: The least loss since the start.
        stale: Steps since `best` was found.
    """

    gaussian: Gaussian | None
    softmax: tuple[Point, ...]
    batch: tuple[Experience, ...] = ()
    starts: int = 0
    best: float | None = None
    stale: int = 0


@dataclass(frozen=True, slots=True)
class RL:
    """The policy's settings.

    Args:
        deviation: The Gaussian's first standard deviation, in the unit cube.
        precision: The deviation at which it has shrunk to a point, and starts elsewhere.
        patience: Steps without a better trial, over 10 + 30 n / batch of them, before it starts
            elsewhere.
        floor: The share of a choice's probability that is spread evenly.
        rate: How fast the softmax learns.
    """

    deviation: float = setting(0.25, 1e-6, 1.0)
    precision: float = setting(1e-5, 0.0, 0.1)
    patience: float = setting(2.0, 0.1, 1e6)
    floor: float = setting(0.1, 0.0, 1.0)
    rate: float = setting(1.0, 0.0, 10.0)
    name: str = "rl"

    @staticmethod
    def clash(settings: Mapping[str, float]) -> Clash | None:
        """A policy that begins as narrow as it is when spent could never learn."""
        deviation, precision = settings["deviation"], settings["precision"]
        if deviation > precision:
            return None
        return Clash(
            "deviation", f"found {deviation!r}; expected more than precision, {precision!r}"
        )

    def init(self, space: Space) -> RLState:
        """The state before any trial: the middle of the cube, all choices alike."""
        middle = [0.5] * len(space.numbers)
        return RLState(
            gaussian=round_gaussian(middle, self.deviation) if middle else None,
            softmax=tuple((1 / k,) * k for k in space.choices.values()),
        )

    def suggest(self, state: RLState, ask: Ask) -> tuple[Candidate, ...]:
        """An action for each slot, with its log-probability."""
        policy = _Policy(self, state, ask)
        return draw_each(ask, self.name, lambda _, generator: _Act(policy, generator))

    def update(self, state: RLState, told: Told) -> RLState:
        """The state after a generation: a step of the policy once the batch is large enough."""
        own = set(told.own(self.name))
        space = told.space
        seen = []
        for i, trial in enumerate(told.trials):
            if state.starts and i not in own:
                continue  # begun elsewhere, it learns alone: others would draw it back
            point, loss = told.points[i], told.losses[i]
            active = space.active(trial.proposal.params)
            seen.append(
                Experience(
                    numbers=tuple(float(point[j]) if active[j] else None for j in space.numbers),
                    chosen=tuple(
                        min(k - 1, int(point[j] * k)) if active[j] else -1
                        for j, k in space.choices.items()
                    ),
                    foreign=i not in own,
                    loss=None if loss == inf else loss,
                )
            )
        start = next((told.trials[i].proposal.origin.get("start") for i in sorted(own)), None)
        if start is not None:  # the first actions of a policy that began elsewhere
            state = replace(state, gaussian=round_gaussian(start, self.deviation))
        state = replace(state, batch=(*state.batch, *seen))
        if state.gaussian is None and space.numbers:
            return replace(state, batch=())
        return self._learn(state, space)

    def _learn(self, state: RLState, space: Space) -> RLState:
        ranked = sorted(state.batch, key=lambda e: inf if e.loss is None else e.loss)
        half = len(ranked) // 2
        # Another's trial teaches where it is good; to a bad one the policy might never have gone.
        used = [
            e for i, e in enumerate(ranked) if not e.foreign or (i < half and e.loss is not None)
        ]
        if len(used) < LEAST_BATCH:
            return state
        own = [e for e in used if not e.foreign]
        if all(e.loss is None for e in used):  # of failures alone none is better than another
            state = replace(state, batch=(), stale=state.stale + bool(own))
            return self._start_again_if_spent(state, space, len(used))
        gaussian = state.gaussian
        if gaussian is not None:
            gaussian = lifted(gaussian, _least(gaussian, space))
            points = [np.array(e.numbers, dtype=float) for e in used]  # None becomes NaN
            gaussian = step(gaussian, points, [e.foreign for e in used])
        softmax = tuple(
            self._shift(probabilities, [e.chosen[c] for e in used])
            for c, probabilities in enumerate(state.softmax)
        )
        found = next((e.loss for e in own if e.loss is not None), None)
        better = found is not None and (state.best is None or found < state.best)
        state = replace(
            state,
            gaussian=gaussian,
            softmax=softmax,
            batch=(),
            best=found if better else state.best,
            stale=0 if better else state.stale + bool(own),
        )
        return self._start_again_if_spent(state, space, len(used))

    def _shift(self, probabilities: Point, chosen: list[int]) -> Point:
        """One softmax after its natural-gradient step: probability moves to what was rewarded."""
        active = [c for c in chosen if c >= 0]
        if len(active) < 2:  # noqa: PLR2004
            return probabilities
        rates = Rates(len(probabilities), len(active))
        pi = np.array(probabilities)
        reward = np.zeros(len(pi))
        for c, weight in zip(active, rates.weights, strict=True):
            reward[c] += max(0.0, float(weight))
        learning = min(1.0, self.rate * rates.mass / (rates.mass + 2 * len(pi)))
        pi = (1 - learning) * pi + learning * reward
        return tuple(float(p) for p in pi / pi.sum())

    def _start_again_if_spent(self, state: RLState, space: Space, batch: int) -> RLState:
        gaussian = state.gaussian
        if gaussian is None:
            return state
        # A number of few values is kept from shrinking to a point: the others tell.
        free = _least(gaussian, space) == 0
        deviation = float(Axes(gaussian).deviations[free].max(initial=0.0))
        spent = bool(free.any()) and deviation < max(self.precision, LEAST_DEVIATION)
        # Where all has failed so far, elsewhere is no better.
        stuck = state.best is not None and state.stale > self.patience * (
            10 + 30 * len(gaussian.mean) / batch
        )
        if not (spent or stuck):
            return state
        return replace(
            state,
            gaussian=None,
            softmax=tuple((1 / len(p),) * len(p) for p in state.softmax),
            starts=state.starts + 1,
            best=None,
            stale=0,
        )


def _least(gaussian: Gaussian, space: Space) -> Array:
    """``(n,)``, the deviation with which a number of few values leaves its cell at times."""
    cells = [space.cell(j, u) for j, u in zip(space.numbers, gaussian.mean, strict=True)]
    return np.array([LEAST_STEP * (c[1] - c[0]) if c else 0.0 for c in cells])


class _Policy:
    """The distribution that a generation's actions are drawn from."""

    def __init__(self, config: RL, state: RLState, ask: Ask) -> None:
        self.space = ask.space
        n = len(ask.space.numbers)
        gaussian, self.start = state.gaussian, None
        if gaussian is None and n:
            self.start = rng(ask.seed, state.starts, config.name, "start").random(n)
            gaussian = round_gaussian([float(u) for u in self.start], config.deviation)
        self.axes = Axes(lifted(gaussian, _least(gaussian, ask.space))) if gaussian else None
        self.softmax = [
            (1 - config.floor) * np.array(p) + config.floor / len(p) for p in state.softmax
        ]


class _Act:
    """Draws one action after another from the same generator."""

    def __init__(self, policy: _Policy, generator: np.random.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.numbers = np.zeros(0)
        self.chosen: list[tuple[int, float]] = []
        self.active: tuple[bool, ...] = ()

    def __call__(self) -> Params:
        policy, space = self.policy, self.policy.space
        point = np.full(len(space), 0.5)
        if policy.axes is not None:
            at = policy.axes.draw(self.generator)
            for _ in range(TRIES - 1):
                if ((at >= 0) & (at <= 1)).all():
                    break
                at = policy.axes.draw(self.generator)
            self.numbers = np.clip(at, 0.0, 1.0)
            point[list(space.numbers)] = self.numbers
        self.chosen = []
        for (j, k), probabilities in zip(space.choices.items(), policy.softmax, strict=True):
            c = min(k - 1, int(np.searchsorted(np.cumsum(probabilities), self.generator.random())))
            point[j] = (c + 0.5) / k
            self.chosen.append((j, float(probabilities[c])))
        params = space.decode(point)
        self.active = space.active(params)
        return params

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """The action's log-probability, which one that lies elsewhere has not, and the start."""
        found: dict[str, Any] = {}
        if elsewhere is None:
            found["log_prob"] = self._log_prob()
        if self.policy.start is not None:
            found["start"] = [float(u) for u in self.policy.start]
        return found

    def _log_prob(self) -> float:
        """Of what is active: of the numbers their marginal density, of the choices their shares."""
        numbers = [i for i, j in enumerate(self.policy.space.numbers) if self.active[j]]
        axes = self.policy.axes
        density = axes.log_density(self.numbers, numbers) if axes is not None else 0.0
        return density + sum(log(p) for j, p in self.chosen if self.active[j])
