"""What a proposer is: three pure functions and a name.

A proposer sees the trials of a generation once, when it is sealed (`update`), and is asked for
candidates on the state that results (`suggest`). `suggest` changes nothing; what it drew goes into
the candidate's origin, is recorded, and comes back by `update`. That is what makes replay exact.
The laws are in `lepton_core.testing.ProposerContract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from lepton_core.canonical import Params
from lepton_core.declaration import Direction, to_loss
from lepton_core.events import TrialRecord
from lepton_core.rng import rng
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

State = TypeVar("State")
Point = tuple[float, ...]

MAX_REDRAWS = 64
"""How often a proposer looks for a point that was not tried before it repeats one."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The keys (`Space.key`) of configurations tried before.

    They lie in layers, each at least twice as large as the one above it, so that n keys need no
    more than log n layers, and a key is copied no more than log n times while they are added
    (the logarithmic method: Bentley and Saxe, "Decomposable searching problems", J. Algorithms 1,
    1980). No layer ever changes.
    """

    layers: tuple[frozenset[str], ...] = ()

    def __len__(self) -> int:
        """How many there are, however often each was tried: a key is in one layer."""
        return sum(map(len, self.layers))

    def __contains__(self, key: str) -> bool:
        """Whether a configuration was tried."""
        return any(key in layer for layer in self.layers)

    def __eq__(self, other: object) -> bool:
        """Equal if they hold the same keys, however these came in."""
        return isinstance(other, Seen) and self._keys() == other._keys()

    def __hash__(self) -> int:
        """Equal ones hash alike."""
        return hash(self._keys())

    def _keys(self) -> frozenset[str]:
        return frozenset().union(*self.layers)

    def and_also(self, keys: Iterable[str]) -> Seen:
        """These and some more."""
        added, kept = frozenset(key for key in keys if key not in self), len(self.layers)
        if not added:
            return self
        size = len(added)
        while kept and len(self.layers[kept - 1]) < 2 * size:
            kept -= 1
            size += len(self.layers[kept])
        return Seen((*self.layers[:kept], added.union(*self.layers[kept:])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Suggested params, who suggests them, and from what (JSON values)."""

    params: Params
    proposer: str
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a proposer is asked: candidates for these slots of this generation.

    Attributes:
        space: The space to search.
        seed: The sweep's seed, for keyed generators.
        generation: Which generation, from 0.
        slots: Which slots are this proposer's.
        seen: What was tried before, to be avoided.
    """

    space: Space
    seed: int
    generation: int
    slots: tuple[int, ...]
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True)
class Told:
    """A sealed generation, as every proposer is told of it: all its trials, failed ones too.

    Attributes:
        trials: In the order of slots, whoever proposed them.
    """

    space: Space
    trials: tuple[TrialRecord, ...]
    direction: Direction = "minimize"

    @cached_property
    def losses(self) -> tuple[float, ...]:
        """What is minimised, trial by trial; infinite for a failure."""
        return tuple(
            inf if trial.value is None else to_loss(trial.value, self.direction)
            for trial in self.trials
        )

    @cached_property
    def points(self) -> tuple[NDArray[np.float64], ...]:
        """The ``(d,)`` points of the unit cube, trial by trial."""
        return tuple(self.space.encode(trial.proposal.params) for trial in self.trials)

    def own(self, name: str) -> tuple[int, ...]:
        """The indices of the trials that a proposer proposed."""
        return tuple(i for i, t in enumerate(self.trials) if t.proposal.proposer == name)


class Proposer(Protocol[State]):
    """A search algorithm as functions from state to state."""

    @property
    def name(self) -> str:
        """What a sweep file calls it."""
        ...

    def init(self, space: Space) -> State:
        """The state before any trial."""
        ...

    def suggest(self, state: State, ask: Ask) -> tuple[Candidate, ...]:
        """One candidate for each of the asked slots, in their order."""
        ...

    def update(self, state: State, told: Told) -> State:
        """The state after a sealed generation."""
        ...


class Drawing(Protocol):
    """Draws one params after another from the same generator."""

    def __call__(self) -> Params:
        """The next params."""
        ...

    def origin(self, elsewhere: Array | None) -> dict[str, Any]:
        """What the last params came from.

        Args:
            elsewhere: The ``(d,)`` point that is proposed in their place, where all that were drawn
                were tried before.
        """
        ...


def draw_each(
    ask: Ask, name: str, drawing: Callable[[int, np.random.Generator], Drawing]
) -> tuple[Candidate, ...]:
    """A candidate for each of the asked slots, none tried before where that can be helped.

    Args:
        ask: The question.
        name: The proposer's.
        drawing: Makes what draws for one slot, from the slot's place among the asked ones and its
            own generator.
    """
    candidates: list[Candidate] = []
    seen = ask.seen
    for order, slot in enumerate(ask.slots):
        draw = drawing(order, rng(ask.seed, ask.generation, slot, name))
        params, at = _unseen(draw, ask, slot, name, seen)
        seen = seen.and_also([ask.space.key(params)])
        candidates.append(Candidate(params=params, proposer=name, origin=draw.origin(at)))
    return tuple(candidates)


def _unseen(
    draw: Drawing, ask: Ask, slot: int, name: str, seen: Seen
) -> tuple[Params, Array | None]:
    """The first params drawn that were not tried before, and where they are if elsewhere.

    A distribution that is narrow, in a space of few values, may know of no others. Then about half
    of the coordinates are drawn evenly, and at last, from a space of few configurations, any that
    is left. None is left: it is a repeat.
    """
    space, last = ask.space, draw()
    for _ in range(MAX_REDRAWS - 1):
        if space.key(last) not in seen:
            break
        last = draw()
    if space.key(last) not in seen:
        return last, None
    generator = rng(ask.seed, ask.generation, slot, name, "elsewhere")
    near = space.encode(last)
    for _ in range(MAX_REDRAWS):
        fresh, moved = generator.random(len(near)), generator.random(len(near)) < 0.5  # noqa: PLR2004
        moved[generator.integers(len(near))] = True
        point = np.where(moved, fresh, near)
        params = space.decode(point)
        if space.key(params) not in seen:
            return params, point
    left = [one for key, one in (space.configurations or {}).items() if key not in seen]
    if not left:
        return last, None
    params = left[int(generator.integers(len(left)))]
    return params, space.encode(params)
