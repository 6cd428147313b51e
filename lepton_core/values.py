"""Checks on the values that people declare: bounds, steps, choices, conditions.

Whatever is passed in, each either returns a plain value or raises a `SpaceError` in words.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lepton_core.canonical import Value, shown, value_text
from lepton_core.errors import SpaceError

When = tuple[tuple[str, tuple[Value, ...]], ...]
"""Conditions: a param's name, and the values of it that make another param active."""

MAX_TEXT = 1000  # characters of a string value: MLflow keeps 6,000, people read fewer
MAX_DIGITS = 1000  # of an int among choices, or fixed
MAX_INT = 2**53  # beyond it a float, hence a metric or a YAML reader, loses ints
LEAST_RATIO = 1 + 1e-9  # of high to low, so that their logarithms differ


def plain_value(value: Any) -> Value:
    """The value as a plain string, int, float, bool or None: no subclass, no numpy scalar.

    Raises:
        SpaceError: It is something else, not finite, too long to record, or not text.

    Example:
        >>> plain_value(np.float64(0.5))
        0.5
    """
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) < 10**MAX_DIGITS:
                return int(value)
            problem = f"; expected at most {MAX_DIGITS} digits"
        case float():
            if math.isfinite(value):
                return float(value)
            problem = "; a value must be finite"
        case str():
            if not 1 <= len(value) <= MAX_TEXT:
                problem = f" of {len(value)} characters; expected 1 to {MAX_TEXT}"
            elif any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
                problem = "; a text can hold no NUL and no half of a surrogate pair"
            else:
                return str.__str__(value)
        case _:
            problem = f" ({type(value).__name__}); expected a string, number, boolean or null"
    raise SpaceError(f"found {shown(value)}{problem}", found=value)


def distinct_values(choices: Any) -> tuple[Value, ...]:
    """The values of a choice.

    Raises:
        SpaceError: They are no list, none, no plain values, or two are equal as strings.
    """
    if not isinstance(choices, Sequence) or isinstance(choices, str | bytes) or not choices:
        raise SpaceError(
            f"choices is {shown(choices)}; expected a list of at least one value", key="choices"
        )
    values = tuple(plain_value(value) for value in choices)
    text, count = Counter(value_text(value) for value in values).most_common(1)[0]
    if count > 1:
        raise SpaceError(
            f"choices holds {shown(text)} more than once; each must differ as a string",
            key="choices",
            found=text,
        )
    return values


def normal_when(when: Any) -> When:
    """Conditions as pairs of a param and the values that it may have, sorted by param.

    Raises:
        SpaceError: They are not a mapping of names to a value or a list of values.

    Example:
        >>> normal_when({"booster": "dart", "depth": [2, 3]})
        (('booster', ('dart',)), ('depth', (2, 3)))
    """
    if when is None:
        return ()
    pairs = tuple(when.items()) if isinstance(when, Mapping) else when
    normal: list[tuple[str, tuple[Value, ...]]] = []
    for pair in pairs if isinstance(pairs, tuple) else (pairs,):
        match pair:
            case (str(parent), []) | (str(parent), ()):
                raise SpaceError(
                    f"when.{parent} is an empty list; expected at least one value", key="when"
                )
            case (str(parent), list(allowed)) | (str(parent), tuple(allowed)):
                normal.append((parent, tuple(plain_value(value) for value in allowed)))
            case (str(parent), value):
                normal.append((parent, (plain_value(value),)))
            case _:
                raise SpaceError(
                    f"when is {shown(when)}; expected a mapping such as {{booster: [dart]}}",
                    key="when",
                )
    return tuple(sorted(normal, key=lambda pair: pair[0]))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a float can hold; booleans are none."""
    if isinstance(value, np.generic):
        value = value.item()
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max  # false for NaN, inf and ints beyond floats
    )


def number(value: Any, name: str) -> float:
    """A bound or a step as a float.

    Raises:
        SpaceError: It is no finite number.
    """
    if not is_number(value):
        raise SpaceError(
            f"{name} is {shown(value)}; expected a finite number", key=name, found=value
        )
    return float(value) + 0.0  # -0.0 is written as 0.0


def whole(value: Any, name: str) -> int:
    """A bound or a step as an int.

    Raises:
        SpaceError: It is no whole number, or beyond what a float holds exactly.
    """
    if not is_number(value) or not float(value).is_integer():
        raise SpaceError(
            f"{name} is {shown(value)}; expected a whole number", key=name, found=value
        )
    if abs(int(value)) > MAX_INT:
        raise SpaceError(f"{name} is {shown(value)}; expected at most 2**53", key=name, found=value)
    return int(value)


def check_bounds(low: float, high: float, *, log: bool) -> None:
    """Do nothing if there are values between the bounds on this scale.

    Raises:
        SpaceError: There are none, or `log` is no boolean.
    """
    if not isinstance(log, bool):
        raise SpaceError(f"log is {shown(log)}; expected true or false", key="log", found=log)
    if not low < high:
        raise SpaceError(
            f"low {low!r} is not below high {high!r}; for one value write it plainly", key="low"
        )
    if log and low <= 0:
        raise SpaceError(f"low is {low!r}; a log scale needs it above 0", key="low", found=low)
    if log and high < low * LEAST_RATIO:
        raise SpaceError(
            f"low {low!r} and high {high!r} are too close for a log scale; leave out log", key="log"
        )


def check_step(step: float, span: float, *, least: float) -> None:
    """Do nothing if a grid of this step fits between the bounds.

    Args:
        step: The step declared.
        span: ``high - low``.
        least: The least step whose values are told from one another.

    Raises:
        SpaceError: It does not.
    """
    if not least <= step <= span:
        above = f"at least {least!r}" if step > 0 else "above 0"
        raise SpaceError(
            f"step is {step!r}; expected {above} and at most high - low = {span!r}",
            key="step",
            found=step,
        )
