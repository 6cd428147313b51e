"""From a sweep file's ``space:`` (plain dicts and values) to a `Space`, with errors by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton_core.canonical import shown
from lepton_core.errors import DeclarationError, SpaceError
from lepton_core.keys import Path, check_keys, key_text, listing
from lepton_core.space import Choice, Domain, Fixed, Float, Int, Space

KINDS: Mapping[str, tuple[type[Float | Int | Choice], tuple[str, ...], tuple[str, ...]]] = {
    "float": (Float, ("low", "high"), ("log", "step", "when")),
    "int": (Int, ("low", "high"), ("log", "step", "when")),
    "choice": (Choice, ("choices",), ("when",)),
}
"""Each type's domain, the keys that it needs, and those that it may have."""


def parse_space(declared: Any) -> Space:
    """The space that ``space:`` declares; a `Space` is one already.

    Raises:
        DeclarationError: Names the key, what was found and what is allowed.
    """
    if isinstance(declared, Space):
        return declared
    if not isinstance(declared, Mapping) or not declared:
        raise DeclarationError(
            f"found {shown(declared)}; expected a mapping of param names, "
            "such as lr: {type: float, low: 0.001, high: 0.1}",
            ("space",),
        )
    domains = {name: _parse_domain(name, value) for name, value in declared.items()}
    try:
        return Space(domains)
    except SpaceError as error:
        raise at_path(error, ("space",)) from None


def at_path(error: SpaceError, path: Path) -> DeclarationError:
    """The same error, with the place in the file where it was found."""
    where = (*path, *getattr(error, "path", ()))
    return DeclarationError(getattr(error, "problem", error.message), where)


def _parse_domain(name: Any, declared: Any) -> Domain:
    path = ("space", key_text(name))
    if isinstance(declared, Float | Int | Choice | Fixed):
        return declared
    if isinstance(declared, list | tuple):
        raise DeclarationError(
            f"found a list; write {{type: choice, choices: {listing(declared)}}} to choose from "
            "it, in Python lepton.Choice([...])",
            path,
        )
    try:
        if not isinstance(declared, Mapping):
            return Fixed(declared)
        kind, needed, optional = KINDS[_kind(declared, path)]
        check_keys(declared, path, needed=("type", *needed), optional=optional)
        return kind(**{key: value for key, value in declared.items() if key != "type"})
    except SpaceError as error:
        key = getattr(error, "key", None)
        raise DeclarationError(error.message, path if key is None else (*path, key)) from None


def _kind(declared: Mapping[Any, Any], path: Path) -> str:
    allowed = f"expected one of {', '.join(KINDS)}"
    if "type" not in declared:
        raise DeclarationError(f"has no type; {allowed}", path)
    kind = declared["type"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise DeclarationError(f"found {shown(kind)}; {allowed}", (*path, "type"))
    return kind
