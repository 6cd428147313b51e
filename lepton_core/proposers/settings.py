"""What a sweep file may set of a proposer, or of the portfolio: fields with a range."""

from __future__ import annotations

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
