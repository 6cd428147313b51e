"""A sweep's state in a form that outlives how `SweepState` is built.

What people are told of a state is taken part by part. What members have learned and earned is taken
as it is, by the names of its fields: who renames one translates it here, and leaves the files be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isclose, isinf
from typing import Any

import numpy as np

from lepton_core.canonical import canonical_json, digest
from lepton_core.portfolio import shares
from lepton_core.verification import proposal_text

RELATIVE, ABSOLUTE = 1e-9, 1e-12  # platforms differ in the last digits of exp and log


def canonical_state(state) -> dict[str, Any]:
    """A state as JSON can hold it."""
    best, budget = state.best, state.settings.budget if state.settings else None
    judged = state.declaration.portfolio.judge
    return {
        **({"judge": plain(state.portfolio.judge)} if judged else {}),
        "declaration": digest(canonical_json(state.declaration.to_record())),
        "budget": None if budget is None else {"trials": budget.trials, "hours": budget.hours},
        "generations": state.generations_done,
        "trials": state.trials_done,
        "driven_s": state.driven_s,
        "best": None
        if best is None
        else {
            "proposal": proposal_text(best.proposal),
            "attempt": best.attempt,
            "value": best.value,
        },
        "shares": shares(state.portfolio, state.declaration),
        "credit": plain(state.portfolio.credit),
        "members": {name: plain(member) for name, member in state.portfolio.members.items()},
    }


def plain(value: Any) -> Any:
    """Dataclasses, arrays and tuples as JSON has them."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(held) for held in value]
    if isinstance(value, float) and isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def differences(found: Any, expected: Any, path: str = "state") -> list[str]:
    """Where two states differ by more than a platform may: the first twenty places."""
    if isinstance(expected, dict) and isinstance(found, dict):
        places = [f"{path}.{key}" for key in found.keys() ^ expected.keys()]
        for key in found.keys() & expected.keys():
            places += differences(found[key], expected[key], f"{path}.{key}")
        return sorted(places)[:20]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        places = []
        for i, (now, then) in enumerate(zip(found, expected, strict=True)):
            places += differences(now, then, f"{path}[{i}]")
        return places[:20]
    numbers = isinstance(expected, float | int) and isinstance(found, float | int)
    if numbers and not isinstance(expected, bool):
        same = isclose(found, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = found == expected
    return [] if same else [f"{path}: {found!r}, recorded {expected!r}"]
