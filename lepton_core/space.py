"""The search space: which params there are, what each may be, and when each is active.

A space turns points of the unit cube into params and back, and params into MLflow's strings and
back. Every proposer works on the cube; people and the record see params.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core import configurations
from lepton_core.canonical import Params, Value, canonical_json, shown, value_text
from lepton_core.cells import Cell, cell
from lepton_core.domains import Choice, Domain, Fixed, Float, Int
from lepton_core.errors import SpaceError, path_text
from lepton_core.keys import is_mlflow_key, key_text, listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Choice", "Domain", "Fixed", "Float", "Int", "Space"]

MAX_PARAMS = 1000
MAX_LISTED = 4096  # configurations, to choose among those that are left


@dataclass(frozen=True, eq=False)
class Space:
    """The search space: named params, in order.

    `Optimizer` takes a plain mapping as well; a `Space` checks it at once. It also turns points of
    the unit cube, which has one dimension for each param that is not fixed, into params and back.

    Args:
        params: Name to `Float`, `Int`, `Choice`, or a plain value, which is fixed.

    Raises:
        SpaceError: A name is unusable, a condition names a param that is not there or a value it
            cannot take, or conditions run in a circle.

    Example:
        >>> from lepton import Choice, Float, Int, Space
        >>> space = Space({"lr": Float(0.0, 0.5), "depth": Int(2, 12),
        ...                "booster": Choice(["gbtree", "dart"]),
        ...                "drop": Float(0.0, 0.5, when={"booster": ["dart"]})})
        >>> space.decode([0.5, 0.0, 0.0, 0.9])
        {'lr': 0.25, 'depth': 2, 'booster': 'gbtree'}
    """

    params: Mapping[str, Domain]

    def __init__(self, params: Mapping[str, Domain | Value]) -> None:
        domains = _as_domains(params)
        checked = {name: _with_checked_conditions(name, domains) for name in domains}
        object.__setattr__(self, "params", checked)
        if not self.free:
            raise SpaceError("every param of the space is fixed; there is nothing to search")
        _ = self.by_dependency  # finds circles

    def __eq__(self, other: object) -> bool:
        """Equal spaces have equal params in the same order: the order names the dimensions."""
        return isinstance(other, Space) and self._text == other._text

    def __hash__(self) -> int:
        """Equal spaces hash alike."""
        return hash(self._text)

    def __len__(self) -> int:
        """The number of dimensions searched: fixed params are not counted."""
        return len(self.free)

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of declaration."""
        return iter(self.params)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The names of the searched params: dimension j of the unit cube is ``free[j]``."""
        return tuple(n for n, d in self.params.items() if not isinstance(d, Fixed))

    @cached_property
    def choices(self) -> Mapping[int, int]:
        """The dimensions that are choices, each with the number of its choices."""
        domains = enumerate(self.params[name] for name in self.free)
        return {j: len(d.choices) for j, d in domains if isinstance(d, Choice)}

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The dimensions that are numbers: floats and ints."""
        return tuple(j for j in range(len(self.free)) if j not in self.choices)

    def cell(self, j: int, u: float, aside: int = 0) -> Cell | None:
        """Where the cell of dimension j at ``u`` begins and ends, if its values can be counted.

        Args:
            j: A dimension that is a number.
            u: Values outside of [0, 1] are clipped.
            aside: Rather the cell so many values above it; where there is none, as many below.
        """
        domain, u = self.params[self.free[j]], min(1.0, max(0.0, u))
        return cell(domain, u, aside) if isinstance(domain, Float | Int) else None

    @cached_property
    def size(self) -> int | None:
        """How many configurations there are; None: beyond counting.

        Example:
            >>> Space({"n": Int(1, 3), "c": Choice(["a", "b"])}).size
            6
        """
        return configurations.count(self.params)

    @cached_property
    def configurations(self) -> Mapping[str, dict[str, Value]] | None:
        """Every configuration by its key; None: more than `MAX_LISTED`, or beyond counting."""
        if self.size is None or self.size > MAX_LISTED:
            return None
        points = configurations.each(self.params)
        found = (self.decode([at.get(name, 0.0) for name in self.free]) for at in points)
        return {self.key(params): params for params in found}

    @cached_property
    def by_dependency(self) -> tuple[str, ...]:
        """All names, parents before the params whose condition asks for them."""
        parents = {name: [parent for parent, _ in d.when] for name, d in self.params.items()}
        try:
            return tuple(TopologicalSorter(parents).static_order())
        except CycleError as error:
            circle = error.args[1]
            raise _wrong(
                circle[0], f"conditions run in a circle: {' -> '.join(circle)}; remove one of them"
            ) from None

    @cached_property
    def _text(self) -> str:
        """The declaration as one text, in which 1, 1.0 and true differ, and the order counts."""
        return canonical_json([[name, declared] for name, declared in self.to_dict().items()])

    def is_active(self, name: str, params: Params) -> bool:
        """Whether a param's conditions hold, given the values of its parents."""
        return all(
            parent in params and value_text(params[parent]) in {value_text(v) for v in allowed}
            for parent, allowed in self.params[name].when
        )

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """The params at a point of the unit cube; inactive ones are left out.

        Args:
            point: ``(d,)`` numbers in [0, 1], one for each name in `free`. Values outside are
                clipped.

        Raises:
            SpaceError: The point has more or fewer coordinates.
        """
        if len(point) != len(self.free):
            raise SpaceError(
                f"the point has {len(point)} coordinates; this space has {len(self.free)}",
                found=len(point),
            )
        at = dict(zip(self.free, point, strict=True))
        found: dict[str, Value] = {}
        for name in self.by_dependency:
            if self.is_active(name, found):
                found[name] = self.params[name].decode(min(1.0, max(0.0, float(at.get(name, 0.0)))))
        return {name: found[name] for name in self.params if name in found}

    def active(self, params: Params) -> tuple[bool, ...]:
        """Which dimensions are active at these params."""
        return tuple(name in params for name in self.free)

    def encode(self, params: Params) -> NDArray[np.float64]:
        """The ``(d,)`` point of the unit cube that decodes to these params; inactive: 0.5.

        Floats come back up to rounding, all else exactly.
        """
        point = np.full(len(self.free), 0.5)
        for j, name in enumerate(self.free):
            if name in params:
                point[j] = self.params[name].encode(params[name])
        return point

    def validate(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """The same params in declared order and type, if the space has such a point.

        Raises:
            SpaceError: A name is unknown, a value is missing or outside, or an inactive param has
                a value.
        """
        _check_mapping(params)
        for name in params:
            if name not in self.params:
                raise _wrong(
                    key_text(name), f"is not a param of this space; there are: {listing(self)}"
                )
        found: dict[str, Value] = {}
        for name in self.by_dependency:
            domain = self.params[name]
            if not self.is_active(name, found):
                if name in params:
                    raise _wrong(name, "has a value but is inactive here; leave it out")
            elif name in params:
                try:
                    found[name] = domain.validate(params[name])
                except SpaceError as error:
                    raise _wrong(name, error.message) from None
            elif isinstance(domain, Fixed):
                found[name] = domain.value
            else:
                raise _wrong(name, f"is missing; expected {domain.text()}")
        return {name: found[name] for name in self.params if name in found}

    def to_strings(self, params: Params) -> dict[str, str]:
        """The params as MLflow stores them: canonical strings."""
        return {name: value_text(value) for name, value in params.items()}

    def from_strings(self, strings: Mapping[str, str]) -> dict[str, Value]:
        """The exact params that `to_strings` wrote.

        Raises:
            SpaceError: A string is not a value of its param.
        """
        _check_mapping(strings)
        values: dict[str, Value] = {}
        for name, text in strings.items():
            if name not in self.params:
                raise _wrong(
                    key_text(name), f"is not a param of this space; there are: {listing(self)}"
                )
            if not isinstance(text, str):
                raise _wrong(name, f"found {shown(text)}; expected a text")
            try:
                values[name] = self.params[name].from_string(text)
            except SpaceError as error:
                raise _wrong(name, error.message) from None
        return self.validate(values)

    def key(self, params: Params) -> str:
        """One text for one configuration: equal keys mean equal params."""
        return canonical_json(self.to_strings(params))

    def to_dict(self) -> dict[str, Any]:
        """The space as the sweep file declares it; `parse_space` reads it back exactly."""
        return {name: domain.to_dict() for name, domain in self.params.items()}


def _check_mapping(params: Any) -> None:
    if not isinstance(params, Mapping):
        raise SpaceError(f"found {shown(params)}; expected a mapping of params", found=params)


def _as_domains(params: Any) -> dict[str, Domain]:
    if not isinstance(params, Mapping) or not params:
        raise SpaceError(f"found {shown(params)}; expected a mapping of at least one param")
    if len(params) > MAX_PARAMS:
        raise SpaceError(f"found {len(params)} params; expected {MAX_PARAMS} at most")
    return {name: _as_domain(name, domain) for name, domain in params.items()}


def _as_domain(name: str, domain: Domain | Value) -> Domain:
    _check_name(name)
    if isinstance(domain, Float | Int | Choice | Fixed):
        return domain
    try:
        return Fixed(domain)
    except SpaceError as error:
        raise _wrong(name, error.message) from None


def _check_name(name: Any) -> None:
    if not is_mlflow_key(name):
        raise _wrong(
            key_text(name),
            "cannot name a param; allowed: letters, digits, _ . - : / and spaces, 1 to 250 "
            "characters, as MLflow allows",
        )


def _with_checked_conditions(name: str, domains: Mapping[str, Domain]) -> Domain:
    """The domain, its conditions in the parents' types: ``2.0`` of an int is written ``2``."""
    domain = domains[name]
    when: dict[str, list[Value]] = {}
    for parent, allowed in domain.when:
        above = domains.get(parent)
        if parent == name or above is None:
            others = listing(n for n in domains if n != name)
            raise _wrong(
                name, f"is not another param of this space; there are: {others}", "when", parent
            )
        if isinstance(above, Float):
            raise _wrong(
                name,
                "is a float; a condition needs a choice, an int or a fixed value",
                "when",
                parent,
            )
        try:
            when[parent] = [above.validate(value) for value in allowed]
        except SpaceError as error:
            raise _wrong(name, error.message, "when", parent) from None
    return replace(domain, when=when) if isinstance(domain, Float | Int | Choice) else domain


def _wrong(name: str, problem: str, *keys: str) -> SpaceError:
    """An error about one param; the keys say where in its declaration."""
    path = (name, *keys)
    return SpaceError(f"{path_text(path)}: {problem}", param=name, path=path, problem=problem)
