"""One text for one value: what makes params comparable, digests stable and round trips exact.

Floats are written by ``repr`` (the shortest text that reads back to the same number), ints plainly,
booleans and null as YAML writes them (``true``, ``false``, ``null``), strings as they are.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from typing import Any

Value = str | int | float | bool | None
Params = Mapping[str, Value]


def value_text(value: Value) -> str:
    """The canonical string of one value, as it stands in an MLflow param.

    Example:
        >>> [value_text(v) for v in (0.1, 1e-05, 3, True, None, "gbtree")]
        ['0.1', '1e-05', '3', 'true', 'null', 'gbtree']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


class _Shown(reprlib.Repr):
    """A `repr` for messages: bounded in length and depth, and it never raises."""

    def repr_int(self, x: int, level: int) -> str:
        """An int; Python itself refuses to write those of more than 4,300 digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"<a whole number of {x.bit_length()} bits>"


_SHOWN = _Shown()
_SHOWN.maxstring = _SHOWN.maxother = 120
_SHOWN.maxlong = 40


def shown(value: object) -> str:
    """Any value as an error message shows it: short, whatever it is.

    Example:
        >>> shown("ab"), shown([[1, 2], {"a": None}])
        ("'ab'", "[[1, 2], {'a': None}]")
    """
    return _SHOWN.repr(value)


def visible(text: str) -> str:
    r"""A text as a terminal may show it: what is not printable is written as an escape.

    That is controls (which a terminal obeys), the marks that reverse the direction of writing, and
    halves of surrogate pairs (which no output can encode). Line ends stay, tabs become spaces.

    Example:
        >>> visible("a\x1b[31m\u202e\nb")
        'a\\x1b[31m\\u202e\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def _escape(character: str) -> str:
    if character == "\t":
        return "    "
    return character.encode("unicode_escape", "backslashreplace").decode()


def canonical_json(content: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, no NaN or infinity.

    Raises:
        ValueError: The content holds NaN or an infinity.
        TypeError: It holds something JSON has no form for.

    Example:
        >>> canonical_json({"b": 0.1, "a": [1, None]})
        '{"a":[1,null],"b":0.1}'
    """
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(text: str) -> str:
    """The SHA-256 of a text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
