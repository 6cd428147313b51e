"""What a sweep file may set of a proposer, or of the portfolio: fields with a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def setting(default: float, low: float, high: float) -> Any:
    """A field of a frozen dataclass that a sweep file may set to a number from low to high.

    A default that is an int asks for whole numbers.
    """
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's name, default and range."""

    name: str
    default: float
    low: float
    high: float


def settings_of(kind: Any) -> dict[str, Setting]:
    """The settings of a dataclass or its instance, by name."""
    found: dict[str, Setting] = {}
    for one in fields(kind):
        if "range" in one.metadata:
            default: Any = one.default
            found[one.name] = Setting(one.name, default, *one.metadata["range"])
    return found


@dataclass(frozen=True, slots=True)
class Clash:
    """Settings that are each in range and make no sense together.

    Attributes:
        name: The setting to be changed.
        problem: What was found and what is expected of it.
    """

    name: str
    problem: str


def clash_of(kind: Any, values: Mapping[str, float]) -> Clash | None:
    """What is wrong with all the settings of a kind together, if it can tell and anything is."""
    find = getattr(kind, "clash", None)
    found: Clash | None = find(values) if find else None
    return found
