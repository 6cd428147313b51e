"""Checks on the keys of a mapping that a person wrote, with errors that say what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeGuard

from lepton_core.canonical import shown, value_text
from lepton_core.errors import DeclarationError

Path = tuple[str | int, ...]
SHOWN_ITEMS = 6
MAX_KEY = 250


def check_keys(
    declared: Mapping[Any, Any], path: Path, *, needed: Sequence[str], optional: Sequence[str]
) -> None:
    """Do nothing if the mapping has every needed key and none that is unknown.

    Raises:
        DeclarationError: Names the first unknown key and its nearest known one, or the missing one.
    """
    known = [*needed, *optional]
    for key in declared:
        if key not in known:
            short = isinstance(key, str) and len(key) <= MAX_KEY
            near = difflib.get_close_matches(key, known, n=1) if short else []
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DeclarationError(
                f"unknown key; {hint}Allowed here: {', '.join(known)}",
                (*path, key_text(key)),
                found=key,
            )
    for key in needed:
        if key not in declared:
            raise DeclarationError(
                f"{key!r} is missing; needed here: {', '.join(needed)}", path, missing=key
            )


def key_text(key: Any) -> str:
    """A key as error paths show it: a short printable string as it is, all else by `shown`."""
    plain = isinstance(key, str) and 1 <= len(key) <= MAX_KEY and key.isprintable()
    return key if plain else shown(key)


def is_mlflow_key(name: Any) -> TypeGuard[str]:
    """Whether MLflow takes this as the key of a param or a metric.

    Example:
        >>> is_mlflow_key("train/lr"), is_mlflow_key("../lr"), is_mlflow_key("lr=1")
        (True, False, False)
    """
    return (
        isinstance(name, str)
        and 1 <= len(name) <= MAX_KEY
        and all(c.isalnum() or c in "_.-:/ " for c in name)
        and name == name.strip()
        # MLflow wants a key to be a path that is its own normal form.
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )


def listing(values: Iterable[Any]) -> str:
    """A short list of values, nearly as YAML would show it.

    Example:
        >>> listing(["gbtree", 1, None])
        '[gbtree, 1, null]'
    """
    first = list(islice(values, SHOWN_ITEMS + 1))
    texts = [key_text(v) if isinstance(v, str) else _scalar_text(v) for v in first]
    more = ["..."] if len(texts) > SHOWN_ITEMS else []
    return "[" + ", ".join(texts[:SHOWN_ITEMS] + more) + "]"


def _scalar_text(value: Any) -> str:
    return value_text(value) if value is None or isinstance(value, bool) else shown(value)
