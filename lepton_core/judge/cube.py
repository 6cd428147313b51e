"""The unit cube of a space, many points at a time: which are the same, and how far others are.

Proposers draw points freely. `Cube.snap` moves each to the point that `Space.encode` gives for the
params that it decodes to: a whole number lies in the middle of its cell, a choice in the middle of
its share, what is inactive at 0.5. `Cube.features` are the coordinates in which the judge measures
distance: a number as it is, a choice as one coordinate per option (so that any two options are 1
apart: Hamming's distance), and one coordinate more for each conditional param, which says that it
is inactive.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.canonical import Value, value_text
from lepton_core.cells import edge
from lepton_core.domains import Choice, Fixed, Float, Int
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

INACTIVE = 0.5  # where an inactive param lies
ABSENT = 0.5  # how far apart an active and an inactive param are, beside their values
MAX_CELLS = 4096  # of a number with more values than that each point counts as another
PRECISION = 9  # digits of a coordinate
DIGITS = 6  # of a coordinate, in which two points that are the same one agree


class Cube:
    """The geometry of one space.

    Example:
        >>> cube = Cube(Space({"depth": Int(1, 4), "kind": Choice(["a", "b"])}))
        >>> cube.snap(np.array([[0.3, 0.9]])).tolist()
        [[0.375, 0.75]]
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.size = len(space)
        self.numbers: Mask = np.array([j not in space.choices for j in range(self.size)])
        self.options = dict(space.choices)
        domains = [space.params[name] for name in space.free]
        self._levels = {j: _levels(domain) for j, domain in enumerate(domains) if _counted(domain)}
        self.pace = np.array([_pace(domain) for domain in domains])

    @cached_property
    def conditions(self) -> dict[int, list[tuple[int, Array]]]:
        """For each conditional dimension, its parents and ``(k, 2)`` where allowed cells lie.

        Parents come before their children. A fixed parent has the value that is asked of it.
        """
        space, place = self.space, {name: j for j, name in enumerate(self.space.free)}
        found: dict[int, list[tuple[int, Array]]] = {}
        for name in space.by_dependency:
            if name not in place or not space.params[name].when:
                continue
            asked = []
            for parent, allowed in space.params[name].when:
                domain = space.params[parent]
                if not isinstance(domain, Fixed):
                    cells = np.array([_cell(domain, value) for value in allowed])
                    asked.append((place[parent], cells))
            found[place[name]] = asked
        return found

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """``(f,)``, the dimension that each feature belongs to."""
        found = []
        for j in range(self.size):
            found += [j] * (self.options.get(j, 1) + (j in self.conditions))
        return np.array(found)

    def snap(self, points: Array) -> Array:
        """``(n, d)`` points as their configurations encode."""
        # Rounded, so that the last digits of a processor's arithmetic are not proposed.
        snapped = np.clip(np.round(points, PRECISION), 0.0, 1.0)
        for j, (edges, levels) in self._levels.items():
            snapped[:, j] = levels[np.searchsorted(edges, snapped[:, j], side="right")]
        snapped[~self.active(snapped)] = INACTIVE
        return snapped

    def active(self, snapped: Array) -> Mask:
        """``(n, d)``, which coordinates of snapped points mean something."""
        active = np.ones(snapped.shape, dtype=bool)
        for j, asked in self.conditions.items():
            for parent, allowed in asked:
                u = snapped[:, parent, None]
                # A number with too many values to be snapped to them lies anywhere in its cell.
                within = (allowed[:, 0] <= u) & ((u < allowed[:, 1]) | (allowed[:, 1] == 1.0))
                active[:, j] &= active[:, parent] & within.any(axis=1)
        return active

    def features(self, snapped: Array) -> Array:
        """``(n, f)`` coordinates of snapped points."""
        active = self.active(snapped)
        columns: list[Any] = []
        for j in range(self.size):
            if j in self.options:
                k = self.options[j]
                chosen = np.minimum(k - 1, (snapped[:, j] * k).astype(int))
                chosen[~active[:, j]] = 0
                columns += list(np.eye(k)[chosen].T * sqrt(0.5))
            else:
                columns.append(snapped[:, j])
            if j in self.conditions:
                columns.append(ABSENT * ~active[:, j])
        return np.column_stack(columns)

    def keys(self, snapped: Array) -> list[bytes]:
        """For each snapped point what is equal for equal configurations."""
        rounded: Array = np.round(snapped, DIGITS) + 0.0
        return [row.tobytes() for row in rounded]


@lru_cache(maxsize=16)
def cube_of(space: Space) -> Cube:
    """The cube of a space, made once."""
    return Cube(space)


def _counted(domain: object) -> bool:
    if isinstance(domain, Choice):
        return True
    return isinstance(domain, Float | Int) and 0 < domain.cells <= MAX_CELLS


def _levels(domain: object) -> tuple[Array, Array]:
    """Where cells meet, ``(k - 1,)``, and what their values encode to, ``(k,)``."""
    if isinstance(domain, Choice):
        k = len(domain.choices)
        return np.arange(1, k) / k, (np.arange(k) + 0.5) / k
    if not isinstance(domain, Float | Int):
        raise TypeError(f"found {domain!r}; expected a number or a choice")
    pace = domain.step or 1
    values = [domain.low + i * pace for i in range(domain.cells)]
    levels = np.array([domain.encode(value) for value in values])
    if not domain.log:
        return np.arange(1, domain.cells) / domain.cells, levels
    return np.array([edge(domain, i) for i in range(1, domain.cells)]), levels


def _cell(domain: object, value: Value) -> tuple[float, float]:
    """Where the cell of a value begins and ends."""
    if isinstance(domain, Choice):
        k, n = [value_text(v) for v in domain.choices].index(value_text(value)), len(domain.choices)
        return k / n, (k + 1) / n
    if not isinstance(domain, Int) or not isinstance(value, int):
        raise TypeError(f"found {domain!r} and {value!r}; expected a choice or a whole number")
    k = (value - domain.low) // (domain.step or 1)
    return edge(domain, k), edge(domain, k + 1)


def _pace(domain: object) -> float:
    """The least move of a mutation: to the next value of a linear number that can be counted."""
    if isinstance(domain, Float | Int) and domain.cells and not domain.log:
        return 1.0 / domain.cells
    return 0.0
