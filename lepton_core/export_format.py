"""A sweep as lines of text: the export's line types, and what each of them must be.

Every line is canonical JSON (`lepton_core.canonical`), so that one history gives one text, and its
last line holds the digest of all before it. The order of lines and the meaning of each key are
described in ``docs/export.md``; whether a whole file hangs together is for
`lepton_tasks.transfer.export_check` to say.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from lepton_core.canonical import canonical_json, shown
from lepton_core.errors import ExportFileError

FORMAT = 1
KIND = "line"  # the key that says which type of line it is
MAX_LINE = 32 * 1024 * 1024  # bytes; a seal of 10,000 trials with 60 params has as many

# What MLflow takes; a line beyond that could be read, but never be imported.
MAX_KEY, MAX_TAG, MAX_PARAM, MAX_NAME = 250, 8000, 6000, 1000
MAX_COUNT = 2**63 - 1
MAX_TIME = 253_402_300_799_999  # milliseconds: the end of the year 9999
STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_KEY = re.compile(r"[\w/.\- :]+")
_RUN_ID = re.compile(r"[0-9A-Za-z][\w-]{0,255}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Metric = tuple[str, float, int, int]
"""A metric's latest value: key, value, time in milliseconds, step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line.

    Attributes:
        format: The version of this format.
        lepton: The version of Lepton that wrote the file.
        declaration: As recorded, see ``docs/schema.md``.
        digest: The declaration's, which the first seal is chained to.
        head: The hash of the last seal; without any, the declaration's digest.
    """

    kind: ClassVar[str] = "header"
    format: int
    lepton: str
    declaration: Mapping[str, Any]
    digest: str
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver took over.

    Attributes:
        epoch: The number of its claim, from 1.
        from_generation: The first generation that it was to seal.
        claimed_at: When, for people.
        environment: Versions that its proposals may depend on.
        settings: What it worked with; None for one that died before it said so.
    """

    kind: ClassVar[str] = "driver"
    epoch: int
    from_generation: int
    claimed_at: str
    environment: Mapping[str, str]
    settings: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An MLflow run: one attempt at a trial.

    Attributes:
        run: Its id in the store that it comes from.
        start: Milliseconds since 1970.
        end: The same; None if it never ended.
        metrics: The latest value of each.
    """

    kind: ClassVar[str] = "run"
    run: str
    name: str
    status: str
    start: int
    end: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent(Run):
    """The sweep's own run."""

    kind: ClassVar[str] = "parent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A generation's seal.

    Attributes:
        text: The seal's text exactly as recorded; ``hash`` is the SHA-256 of `previous` and it.
    """

    kind: ClassVar[str] = "seal"
    generation: int
    epoch: int
    previous: str
    hash: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last line: how many lines of each type, and the SHA-256 of all bytes before this one."""

    kind: ClassVar[str] = "end"
    drivers: int
    runs: int
    seals: int
    digest: str


Line = Header | Driver | Run | Sealed | End
_KINDS: dict[str, type[Any]] = {c.kind: c for c in (Header, Driver, Run, Parent, Sealed, End)}


def line_text(line: Line) -> str:
    """A line as text, without its line break.

    Example:
        >>> line_text(End(drivers=1, runs=2, seals=0, digest="0a"))
        '{"digest":"0a","drivers":1,"line":"end","runs":2,"seals":0}'
    """
    content: dict[str, Any] = {KIND: line.kind}
    for field in fields(line):
        content[field.name] = getattr(line, field.name)
    if isinstance(line, Run):
        content["metrics"] = [[key, _plain(value), *when] for key, value, *when in line.metrics]
    return canonical_json(content)


def _plain(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def read_line(text: str) -> Line:
    """The line that a text is.

    Raises:
        ExportFileError: It is none: not canonical JSON, of an unknown type, or with a key that is
            missing, unknown or wrong.
    """
    content = _parse(text)
    kind = content.pop(KIND, None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ExportFileError(f"a line of type {shown(kind)}; expected one of {', '.join(_KINDS)}")
    if kind == Header.kind:
        _check_format(content)
    checks = _CHECKS[Run.kind if kind == Parent.kind else kind]
    for key in content:
        if key not in checks:
            raise ExportFileError(f"{kind} has the unknown key {shown(key)}")
    values = {}
    for key, check in checks.items():
        if key not in content:
            raise ExportFileError(f"{kind} has no {key!r}")
        try:
            values[key] = check(content[key])
        except ValueError as error:
            raise ExportFileError(
                f"{kind} has the {key} {shown(content[key])}; expected {error}"
            ) from None
    made: Line = _KINDS[kind](**values)
    return made


def _parse(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        # One value has one text: no key twice, no number that reads back as another.
        same = isinstance(content, dict) and canonical_json(content) == text
    except (ValueError, RecursionError):
        same, content = False, {}
    if not same:
        raise ExportFileError(
            "not an object in canonical JSON (keys sorted, no spaces, each number in its "
            "shortest form)"
        )
    return dict(content)


def _check_format(content: Mapping[str, Any]) -> None:
    found, writer = content.get("format"), content.get("lepton")
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise ExportFileError(
            f"the file has format {found}, written by Lepton {shown(writer)}; this Lepton reads "
            f"up to {FORMAT}. Upgrade Lepton to read it.",
            format=found,
        )


# -- what a key may hold: each returns the value, or raises a ValueError that says what it expected


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise ValueError("a whole number from 0")
    return value


def _format(value: Any) -> int:
    if not 1 <= _whole(value) <= FORMAT:
        raise ValueError(f"1 to {FORMAT}")
    return int(value)


def _time(value: Any) -> int:
    if _whole(value) > MAX_TIME:
        raise ValueError("milliseconds since 1970")
    return int(value)


def _text(most: int, least: int = 0) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if (
            not isinstance(value, str)
            or not least <= len(value) <= most
            or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
        ):
            raise ValueError(f"a text of {least} to {most} characters, without NUL")
        return value

    return check


def _like(pattern: re.Pattern[str], what: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(what)
        return value

    return check


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(" or ".join(allowed))
        return str(value)

    return check


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object")  # noqa: TRY004  (all of these are caught as one)
    return value


def _key(value: Any) -> str:
    """A key as MLflow takes it."""
    known = isinstance(value, str) and 1 <= len(value) <= MAX_KEY and _KEY.fullmatch(value)
    norm = posixpath.normpath(value) if known else ""
    if not known or norm != value or norm == "." or norm.startswith(("..", "/")):
        raise ValueError("keys that MLflow takes")
    return str(value)


def _texts(most: int) -> Callable[[Any], dict[str, str]]:
    check = _text(most)
    return lambda value: {_key(key): check(text) for key, text in _object(value).items()}


def _metrics(value: Any) -> tuple[Metric, ...]:
    if not isinstance(value, list):
        raise ValueError("a list")  # noqa: TRY004
    found = tuple(_metric(row) for row in value)
    if len({key for key, *_ in found}) < len(found):
        raise ValueError("each metric once")
    return found


def _metric(row: Any) -> Metric:
    match row:
        case [key, (float() | int() | str()) as number, when, int() as step] if (
            not isinstance(number, bool)
            and not isinstance(step, bool)
            and abs(step) <= MAX_COUNT
            and (not isinstance(number, str) or number in _SPECIAL)
        ):
            value = _SPECIAL[number] if isinstance(number, str) else _float(number)
            return _key(key), value, _time(when), step
    raise ValueError("metrics as [key, number, milliseconds, step]")


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError("numbers that a float can hold") from None


_VERSIONS = _texts(MAX_NAME)
_HASH = _like(_DIGEST, "64 hexadecimal digits")
_CHECKS: dict[str, dict[str, Callable[[Any], Any]]] = {
    Header.kind: {
        "format": _format,
        "lepton": _text(100, 1),
        "declaration": _object,
        "digest": _HASH,
        "head": _HASH,
    },
    Driver.kind: {
        "epoch": _whole,
        "from_generation": _whole,
        "claimed_at": _text(100),
        "environment": _VERSIONS,
        "settings": _or_none(_object),
    },
    Run.kind: {
        "run": _like(_RUN_ID, "a run's id"),
        "name": _text(MAX_NAME),
        "status": _one_of(*STATUSES),
        "start": _time,
        "end": _or_none(_time),
        "tags": _texts(MAX_TAG),
        "params": _texts(MAX_PARAM),
        "metrics": _metrics,
    },
    Sealed.kind: {
        "generation": _whole,
        "epoch": _whole,
        "previous": _HASH,
        "hash": _HASH,
        "text": _text(MAX_LINE),
    },
    End.kind: {"drivers": _whole, "runs": _whole, "seals": _whole, "digest": _HASH},
}
