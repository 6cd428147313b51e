"""The fold's state as one text and back, exactly: so that a long history need not be replayed.

A snapshot is derived data. It holds nothing that the seals do not give, and what reads one must be
ready to do without: the text comes from a store that others can write, so it is parsed by the types
of the state's own dataclasses, and whatever does not fit them is refused. What was tried
(`SweepState.seen`) is not in it: that is read from the seals.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from lepton_core import portfolio
from lepton_core.canonical import canonical_json, shown
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError, SpaceError
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_core.portfolio import PortfolioState
from lepton_core.proposers.base import Seen

SCHEMA = 1
MAX_TEXT = 4_000_000  # characters: what is longer is neither written nor read
MAX_NUMBER = sys.float_info.max
NOT_KEPT = ("declaration", "settings", "seen")  # the record gives them


def encode(state: SweepState) -> str:
    """A state as canonical JSON, without what was tried, the declaration and the settings."""
    kept = {name: getattr(state, name) for name in _hints(SweepState) if name not in NOT_KEPT}
    return canonical_json({**to_json(kept), "schema": SCHEMA})


def decode(text: str, declaration: Declaration, seen: Seen) -> SweepState:
    """The state that `encode` wrote: equal in every value, type and bit.

    Args:
        text: The snapshot's, from whoever wrote it.
        declaration: The sweep's.
        seen: What was tried up to this state.

    Raises:
        RecordError: It is no state of such a sweep.
    """
    if len(text) > MAX_TEXT:
        _refuse(f"{len(text)} characters", f"at most {MAX_TEXT}")
    try:
        content = json.loads(text, parse_constant=lambda name: _refuse(name, "a number"))
    except (ValueError, RecursionError) as error:
        raise RecordError("the snapshot is no JSON; it is of no use") from error
    hints = {name: kind for name, kind in _hints(SweepState).items() if name not in NOT_KEPT}
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        _refuse(content, f"a snapshot of schema {SCHEMA}")
    if content.keys() != hints.keys():
        _refuse(content, f"the keys {', '.join(hints)}")
    learned = _portfolio(content.pop("portfolio"), portfolio.init(declaration))
    known = {name: from_json(hints[name], found) for name, found in content.items()}
    known["best"] = _with_params_in_order(known["best"], declaration)
    return SweepState(declaration=declaration, **known, seen=seen, portfolio=learned)


def _portfolio(found: Any, new: PortfolioState) -> PortfolioState:
    """What was learned; each member's state has the type of its new one."""
    hints = _hints(PortfolioState)
    if not isinstance(found, dict) or found.keys() != hints.keys():
        _refuse(found, f"the keys {', '.join(hints)}")
    members = found.pop("members")
    if not isinstance(members, dict) or members.keys() != new.members.keys():
        _refuse(members, f"the members {', '.join(new.members)}")
    known = {name: from_json(hints[name], one) for name, one in found.items()}
    return PortfolioState(
        members={n: from_json(type(one), members[n]) for n, one in new.members.items()}, **known
    )


def _with_params_in_order(best: TrialRecord | None, declaration: Declaration) -> TrialRecord | None:
    """JSON sorted the params' names; the space knows their order and types."""
    if best is None:
        return None
    try:
        params = declaration.space.validate(best.proposal.params)
    except SpaceError as error:
        raise RecordError(f"the snapshot's best trial is not of this space: {error}") from error
    return replace(best, proposal=replace(best.proposal, params=params))


def to_json(value: Any) -> Any:
    """Dataclasses and mappings become objects, tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, Mapping):
        return {key: to_json(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(one) for one in value]
    return value


def from_json(kind: Any, found: Any) -> Any:
    """The value of a declared type that a JSON value stands for.

    Raises:
        RecordError: It stands for none.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    value: Any = found
    if origin in (Union, UnionType):
        value = _first_that_fits(arguments, found)
    elif origin is tuple and isinstance(found, list):
        value = _tuple(arguments, found)
    elif origin is Mapping and isinstance(found, dict):
        value = {key: from_json(arguments[1], one) for key, one in found.items()}
    elif isinstance(kind, type) and is_dataclass(kind) and isinstance(found, dict):
        hints = _hints(kind)
        if found.keys() != hints.keys():
            _refuse(found, f"the fields of {kind.__name__}")
        value = kind(**{name: from_json(one, found[name]) for name, one in hints.items()})
    elif not (kind is Any or (origin is Literal and found in arguments) or _is_plain(kind, found)):
        _refuse(found, shown(kind))
    return value


def _tuple(kinds: tuple[Any, ...], found: list[Any]) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(from_json(kinds[0], one) for one in found)
    if len(kinds) != len(found):
        _refuse(found, f"{len(kinds)} values")
    return tuple(from_json(kind, one) for kind, one in zip(kinds, found, strict=True))


def _is_plain(kind: Any, found: Any) -> bool:
    if kind is float:  # where a caller gave a whole number, it stayed one
        return type(found) in (int, float) and -MAX_NUMBER <= found <= MAX_NUMBER
    return kind in (int, str, bool, NoneType) and type(found) is kind


def _first_that_fits(kinds: tuple[Any, ...], found: Any) -> Any:
    for kind in kinds:
        try:
            return from_json(kind, found)
        except RecordError:
            continue
    return _refuse(found, shown(kinds))


@cache
def _hints(kind: type) -> dict[str, Any]:
    """A dataclass's fields and their types."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


def _refuse(found: Any, expected: str) -> NoReturn:
    raise RecordError(f"found {shown(found)}; expected {expected}: the snapshot is of no use")
