"""Reading what anybody may have written: the store is shared, so nothing in it is taken on trust.

Every text from the store goes through here, and whatever it is, a `ValueError` is the worst that
comes of it: not a recursion without end, not an integer of a million digits, not a NaN.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, NoReturn

MAX_JSON = 4_000_000  # characters
MAX_SEAL = 32 * 1024 * 1024  # the same; a generation of 10,000 trials with 60 params has as many
_WHOLE = re.compile(r"[0-9]{1,9}")


def read_json(text: str, most: int = MAX_JSON) -> Any:
    """The content of a JSON text of so many characters at most.

    Raises:
        ValueError: It is not JSON, or too long, nested too deeply, or holds NaN or an infinity.
    """
    if len(text) > most:
        raise ValueError(f"a text of {len(text)} characters")
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(text: str, most: int = MAX_JSON) -> dict[str, Any]:
    """The content of a JSON object of so many characters at most.

    Raises:
        ValueError: The text is not JSON, or not an object.
    """
    content = read_json(text, most)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004  (one error for all that is unreadable)
    return content


def whole_number(text: str | None) -> int | None:
    """The number of a plain decimal from 0 as we write it, or None for any other text.

    Example:
        >>> whole_number("12"), whole_number("012"), whole_number("-1"), whole_number("1" * 5000)
        (12, None, None, None)
    """
    if text is None or not _WHOLE.fullmatch(text) or str(int(text)) != text:
        return None
    return int(text)


def is_whole(value: Any, *, below: int = 2**53) -> bool:
    """Whether a value read from JSON is an int from 0 on, and no bool."""
    return type(value) is int and 0 <= value < below


def is_number(value: Any) -> bool:
    """Whether a value read from JSON is an int or float that a float can hold, and no bool."""
    if type(value) is int:
        return abs(value) < 2**1000
    return type(value) is float and isfinite(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
