"""What one param may be: a float, an int, a choice, or one fixed value.

Each domain maps [0, 1] to its values (`decode`) and back (`encode`), checks a value (`validate`),
and reads a value back from the canonical string that the record keeps (`from_string`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

from lepton_core.canonical import Value, shown, value_text
from lepton_core.errors import SpaceError
from lepton_core.keys import listing
from lepton_core.values import (
    When,
    check_bounds,
    check_step,
    distinct_values,
    is_number,
    normal_when,
    number,
    plain_value,
    whole,
)

GRID_SLACK = 1e-9  # of a step: 0.3 = 3 * 0.1 up to rounding
LEAST_STEP = 64  # ulps of the greatest bound, so that each value of a grid is told from the next


@dataclass(frozen=True)
class Float:
    """A real number in [low, high].

    Args:
        low: The least value.
        high: The greatest value, above `low`.
        log: Search on the logarithm: as much between 0.001 and 0.01 as between 0.01 and 0.1. `low`
            must be above 0.
        step: Only ``low + k * step``, for whole k.
        when: Active only when each param named has one of the values given, such as
            ``{"booster": ["dart"]}``. A list of one may be written as the value itself.

    Raises:
        SpaceError: A bound is not a finite number, or they do not fit.

    Example:
        >>> from lepton import Float, Space
        >>> space = Space({"lr": Float(0.0001, 0.01, log=True), "drop": Float(0, 0.5, step=0.1)})
        >>> params = space.decode([0.5, 0.5])  # the middle
        >>> round(params["lr"], 6), params["drop"]
        (0.001, 0.3)
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    step: float | None = None
    when: Any = ()  # a mapping, kept as `When`

    def __post_init__(self) -> None:
        """Check and normalise what was declared."""
        low, high = number(self.low, "low"), number(self.high, "high")
        check_bounds(low, high, log=self.log)
        if not math.isfinite(high - low):
            raise SpaceError(f"high - low is not finite: low {low}, high {high}")
        if self.step is not None:
            step = number(self.step, "step")
            check_step(step, high - low, least=LEAST_STEP * math.ulp(max(abs(low), abs(high))))
            object.__setattr__(self, "step", step)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "when", normal_when(self.when))

    @property
    def _last(self) -> int:
        """The greatest k of the grid ``low + k * step``."""
        return math.floor((self.high - self.low) / _set(self.step) + GRID_SLACK)

    @property
    def cells(self) -> int:
        """How many values there are, if they can be counted; 0: it is continuous."""
        return 0 if self.step is None else self._last + 1

    @cached_property
    def _written(self) -> tuple[Fraction, Fraction]:
        """The low bound and the step as people write them: 0.1 is a tenth."""
        return Fraction(repr(self.low)), Fraction(repr(_set(self.step)))

    def _on_grid(self, k: int) -> float:
        """The float nearest to the decimal number ``low + k * step``: 0.3, not 0.1 + 0.1 + 0.1."""
        low, step = self._written
        return min(self.high, float(low + min(self._last, max(0, k)) * step))

    def decode(self, u: float) -> float:
        """The value at ``u`` in [0, 1]."""
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            value = math.exp(math.log(self.low) + u * span)
        elif self.step is not None:
            return self._on_grid(math.floor(u * (self._last + 1)))
        else:
            value = self.low + u * (self.high - self.low)
        if self.step is not None:
            return self._on_grid(round((value - self.low) / self.step))
        return min(self.high, max(self.low, value))

    def encode(self, value: Value) -> float:
        """Where in [0, 1] a value lies."""
        x = float(value)  # type: ignore[arg-type]  # validated
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            return min(1.0, max(0.0, (math.log(x) - math.log(self.low)) / span))
        if self.step is not None:
            return (round((x - self.low) / self.step) + 0.5) / (self._last + 1)
        return (x - self.low) / (self.high - self.low)

    def validate(self, value: Any) -> float:
        """The value as a float.

        Raises:
            SpaceError: It is not a number, not between the bounds, or not on the grid.
        """
        if not is_number(value) or not self.low <= value <= self.high:
            raise SpaceError(f"found {shown(value)}; expected {self.text()}", found=value)
        if self.step is not None:
            k = round((float(value) - self.low) / self.step)
            if abs(self._on_grid(k) - float(value)) > GRID_SLACK * self.step:
                raise SpaceError(f"found {shown(value)}; expected {self.text()}", found=value)
            return self._on_grid(k)
        return float(value) + 0.0  # -0.0 is written as 0.0

    def from_string(self, text: str) -> float:
        """Read a canonical string."""
        try:
            return self.validate(float(text))
        except ValueError:
            raise SpaceError(f"found {shown(text)}; expected {self.text()}", found=text) from None

    def text(self) -> str:
        """What is allowed, in words."""
        grid = f" in steps of {self.step!r}" if self.step is not None else ""
        return f"a number from {self.low!r} to {self.high!r}{grid}"

    def to_dict(self) -> dict[str, Any]:
        """As the sweep file declares it."""
        return _declared("float", self)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high].

    Args:
        low: The least value.
        high: The greatest value, above `low`.
        log: Search on the logarithm: as much between 1 and 10 as between 10 and 100. `low` must be
            above 0.
        step: Only ``low + k * step``, for whole k.
        when: Active only when each param named has one of the values given, such as
            ``{"booster": ["dart"]}``. A list of one may be written as the value itself.

    Raises:
        SpaceError: A bound is not a whole number, or they do not fit.

    Example:
        >>> from lepton import Int, Space
        >>> space = Space({"width": Int(16, 1024, log=True), "depth": Int(2, 12, step=5)})
        >>> space.decode([0.5, 0.5])  # the middle
        {'width': 126, 'depth': 7}
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int | None = None
    when: Any = ()  # a mapping, kept as `When`

    def __post_init__(self) -> None:
        """Check and normalise what was declared."""
        low, high = whole(self.low, "low"), whole(self.high, "high")
        check_bounds(low, high, log=self.log)
        if self.step is not None:
            step = whole(self.step, "step")
            check_step(step, high - low, least=1)
            object.__setattr__(self, "step", step)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "when", normal_when(self.when))

    @property
    def _pace(self) -> int:
        return 1 if self.step is None else self.step

    @property
    def _last(self) -> int:
        return (self.high - self.low) // self._pace

    @property
    def cells(self) -> int:
        """How many values there are."""
        return self._last + 1

    def log_edges(self) -> tuple[float, float]:
        """Where the least and the greatest value's cells end, so that each has its share."""
        top = self.low + self._last * self._pace
        return (
            math.log(self.low - min(self._pace, self.low) / 2),
            math.log(top + self._pace / 2),
        )

    def decode(self, u: float) -> int:
        """The value at ``u`` in [0, 1]."""
        if self.log:
            bottom, top = self.log_edges()
            k = round((math.exp(bottom + u * (top - bottom)) - self.low) / self._pace)
        else:
            k = math.floor(u * (self._last + 1))
        return self.low + min(self._last, max(0, k)) * self._pace

    def encode(self, value: Value) -> float:
        """Where in [0, 1] a value lies."""
        n = int(value)  # type: ignore[arg-type]  # validated
        if self.log:
            bottom, top = self.log_edges()
            return (math.log(n) - bottom) / (top - bottom)
        return ((n - self.low) // self._pace + 0.5) / (self._last + 1)

    def validate(self, value: Any) -> int:
        """The value as an int.

        Raises:
            SpaceError: It is not a whole number, not between the bounds, or not on the grid.
        """
        integral = is_number(value) and float(value).is_integer()
        if (
            not integral
            or not self.low <= value <= self.high
            or (int(value) - self.low) % self._pace
        ):
            raise SpaceError(f"found {shown(value)}; expected {self.text()}", found=value)
        return int(value)

    def from_string(self, text: str) -> int:
        """Read a canonical string."""
        try:
            return self.validate(int(text))
        except ValueError:
            raise SpaceError(f"found {shown(text)}; expected {self.text()}", found=text) from None

    def text(self) -> str:
        """What is allowed, in words."""
        grid = f" in steps of {self.step}" if self.step is not None else ""
        return f"a whole number from {self.low} to {self.high}{grid}"

    def to_dict(self) -> dict[str, Any]:
        """As the sweep file declares it."""
        return _declared("int", self)


@dataclass(frozen=True)
class Choice:
    """One of a list of strings, numbers, booleans or null, in no order.

    Args:
        choices: At least one; no two may be equal as strings.
        when: Active only when each param named has one of the values given, such as
            ``{"booster": ["dart"]}``. A list of one may be written as the value itself.

    Raises:
        SpaceError: The list is empty, holds something else, or the same string twice.

    Example:
        >>> from lepton import Choice, Space
        >>> space = Space({"booster": Choice(["gbtree", "dart"]),
        ...                "normalize": Choice(["tree", "forest"], when={"booster": "dart"})})
        >>> space.decode([0.0, 0.0]), space.decode([1.0, 0.0])
        ({'booster': 'gbtree'}, {'booster': 'dart', 'normalize': 'tree'})
    """

    choices: tuple[Value, ...]
    _: KW_ONLY
    when: Any = ()  # a mapping, kept as `When`

    def __init__(
        self,
        choices: Sequence[Value],
        *,
        when: Mapping[str, Value | Sequence[Value]] | When | None = (),
    ) -> None:
        object.__setattr__(self, "choices", distinct_values(choices))
        object.__setattr__(self, "when", normal_when(when))

    def __eq__(self, other: object) -> bool:
        """Equal choices are written alike: ``1``, ``1.0`` and ``true`` are three."""
        return isinstance(other, Choice) and self._form() == other._form()

    def __hash__(self) -> int:
        """Equal choices hash alike."""
        return hash(self._form())

    def _form(self) -> tuple[tuple[str, ...], str]:
        return tuple(value_text(v) for v in self.choices), repr(self.when)

    def decode(self, u: float) -> Value:
        """The value at ``u`` in [0, 1]."""
        return self.choices[min(len(self.choices) - 1, math.floor(u * len(self.choices)))]

    def encode(self, value: Value) -> float:
        """The middle of the value's share of [0, 1]."""
        texts = [value_text(v) for v in self.choices]
        return (texts.index(value_text(value)) + 0.5) / len(self.choices)

    def validate(self, value: Any) -> Value:
        """The choice that this value is.

        Raises:
            SpaceError: It is none of them.
        """
        try:
            return self.from_string(value_text(plain_value(value)))
        except SpaceError:
            raise SpaceError(f"found {shown(value)}; expected {self.text()}", found=value) from None

    def from_string(self, text: str) -> Value:
        """Read a canonical string."""
        for value in self.choices:
            if value_text(value) == text:
                return value
        raise SpaceError(f"found {shown(text)}; expected {self.text()}", found=text)

    def text(self) -> str:
        """What is allowed, in words."""
        return f"one of {listing(self.choices)}"

    def to_dict(self) -> dict[str, Any]:
        """As the sweep file declares it."""
        return {"type": "choice", "choices": list(self.choices), **_declared_when(self.when)}


@dataclass(frozen=True)
class Fixed:
    """One value, handed to every trial.

    Example:
        >>> Fixed("binary:logistic").decode(0.3)
        'binary:logistic'
    """

    value: Value
    when: ClassVar[When] = ()  # a plain value has no place for a condition

    def __post_init__(self) -> None:
        """Check and normalise what was declared."""
        object.__setattr__(self, "value", plain_value(self.value))

    def decode(self, u: float) -> Value:
        """The value, wherever."""
        del u  # Unused: there is one value.
        return self.value

    def encode(self, value: Value) -> float:
        """The middle, as there is no dimension."""
        del value  # Unused: there is one value.
        return 0.5

    def validate(self, value: Any) -> Value:
        """The fixed value.

        Raises:
            SpaceError: The value is another.
        """
        return Choice([self.value]).validate(value)

    def from_string(self, text: str) -> Value:
        """Read a canonical string."""
        return Choice([self.value]).from_string(text)

    def text(self) -> str:
        """What is allowed, in words."""
        return f"the fixed value {listing([self.value])[1:-1]}"

    def to_dict(self) -> Value:
        """As the sweep file declares it: the plain value."""
        return self.value


Domain = Float | Int | Choice | Fixed


def _set(step: float | None) -> float:
    """The step where one is known to be declared."""
    return 0.0 if step is None else step


def _declared(kind: str, domain: Float | Int) -> dict[str, Any]:
    declared: dict[str, Any] = {"type": kind, "low": domain.low, "high": domain.high}
    if domain.log:
        declared["log"] = True
    if domain.step is not None:
        declared["step"] = domain.step
    return {**declared, **_declared_when(domain.when)}


def _declared_when(when: When) -> dict[str, Any]:
    return {"when": {parent: list(allowed) for parent, allowed in when}} if when else {}
