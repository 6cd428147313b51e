"""Reading recorded objects field by field: each has the type and the range that Lepton writes.

A tracking store is shared, so nothing that comes from it is believed. What an error shows of it is
short. How texts become objects is in `lepton_tasks.untrusted`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeGuard

from lepton_core.canonical import shown
from lepton_core.errors import RecordError
from lepton_core.values import is_number

MAX_DEPTH = 8  # of an origin; everything else has fields with types
MAX_TEXT = 1000  # characters of a text field
MAX_ENTRIES = 1000  # of an object: a space has as many params at most
MAX_COUNT = 10_000_000  # trials, generations, epochs: none of ours comes near


def is_plain_json(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a value is JSON of finite numbers and bounded depth, hence can be written again."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain_json(item, depth - 1) for item in value)
    if isinstance(value, Mapping):
        return depth > 0 and all(
            isinstance(key, str) and is_plain_json(item, depth - 1) for key, item in value.items()
        )
    return value is None or isinstance(value, str | bool) or is_number(value)


def is_whole(value: object, most: int = MAX_COUNT) -> TypeGuard[int]:
    """Whether a value is a whole number from 0 to `most`; booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def is_short_text(value: object) -> TypeGuard[str]:
    """Whether a value is a text of at most `MAX_TEXT` characters that a terminal shows as it is."""
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of the record, read field by field.

    Args:
        content: The object.
        what: What it is, for errors.

    Raises:
        RecordError: It is no object. Each method: the field is missing or not as expected.

    Example:
        >>> Fields({"epoch": 3}, "the claim").whole("epoch", 1)
        3
    """

    content: Mapping[str, Any]
    what: str

    def __post_init__(self) -> None:
        """Check that it is an object."""
        if not isinstance(self.content, Mapping):
            raise RecordError(
                f"{self.what} is {shown(self.content)}; expected a JSON object",
                found=shown(self.content),
            )

    def has(self, key: str) -> bool:
        """Whether a field is there, and not null."""
        return self.content.get(key) is not None

    def whole(self, key: str, low: int = 0, high: int = MAX_COUNT) -> int:
        """A whole number from `low` to `high`."""
        value = self.content.get(key)
        if not is_whole(value, high) or value < low:
            self.refuse(key, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from `low` to `high`."""
        value = self.content.get(key)
        if not is_number(value) or not low <= value <= high:  # type: ignore[operator]
            self.refuse(key, "a finite number in its range")
        return value  # type: ignore[return-value]

    def text(self, key: str) -> str:
        """A text that `is_short_text`."""
        value = self.content.get(key)
        if not is_short_text(value):
            self.refuse(key, f"a text of at most {MAX_TEXT} printable characters")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.content.get(key)
        if not isinstance(value, bool):
            self.refuse(key, "true or false")
        return value

    def list(self, key: str) -> list[Any]:
        """A list."""
        value = self.content.get(key)
        if not isinstance(value, list | tuple):
            self.refuse(key, "a list")
        return list(value)

    def below(self, key: str) -> Fields:
        """An object within this one."""
        return Fields(self.content.get(key), f"{key} of {self.what}")  # type: ignore[arg-type]

    def map(self, key: str) -> dict[str, Any]:
        """An object of at most `MAX_ENTRIES` entries, whose names are short texts."""
        content = self.below(key).content
        if len(content) > MAX_ENTRIES or not all(map(is_short_text, content)):
            self.refuse(key, f"at most {MAX_ENTRIES} entries with short names")
        return dict(content)

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Say what was found in a field, and what was expected.

        Raises:
            RecordError: Always.
        """
        found = shown(self.content[key]) if key in self.content else "nothing"
        raise RecordError(
            f"{key} of {self.what} is {found}; expected {expected}. "
            "Somebody else wrote it, or a newer Lepton did.",
            key=key,
            found=found,
        )


def only(names: Iterable[Any], what: str) -> tuple[str, ...]:
    """Names as a tuple, if each is a short printable text.

    Raises:
        RecordError: One is something else.
    """
    found = tuple(names)
    for name in found:
        if not is_short_text(name):
            raise RecordError(f"{what} holds {shown(name)}; expected names", found=shown(name))
    return found
