"""Conditional spaces for libraries that know no conditions: what is inactive is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton_core.space import Choice, Domain, Fixed, Float, Int, Space


def parents_first(space: Space) -> Sequence[str]:
    """All names, parents before the params whose condition asks for them."""
    return space.by_dependency


def active_params(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The params that are active at these values of all params, inside their bounds."""
    found: dict[str, Any] = {}
    for name in parents_first(space):
        if space.is_active(name, found):
            found[name] = within(space.params[name], values.get(name))
    return {name: found[name] for name in space if name in found}


def within(domain: Domain, value: Any) -> Any:
    """The value in plain types; a number that rounding has put outside is put on the bound."""
    match domain:
        case Float():
            return min(domain.high, max(domain.low, float(value)))
        case Int():
            return min(domain.high, max(domain.low, round(float(value))))
        case Choice():
            return domain.validate(value.item() if hasattr(value, "item") else value)
        case Fixed():
            return domain.value
