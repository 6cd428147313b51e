"""What somebody who can write to the tracking store may plant in it, and planting it by plain SQL.

Whoever can write can also recompute every hash, so `rechain` does: what is planted is then read,
not merely found to be altered.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lepton_core.fold import replay
from lepton_core.snapshot import encode
from lepton_tasks.snapshots import made_here
from lepton_tasks.sweep_record import open_record

DATABASE = Path("mlruns/mlflow.db")
HUGE = 5_000_000

TEXTS: dict[str, Any] = {
    "nothing": "",
    "a path upwards": "../../../../evil.py:f",
    "a file's path": "/etc/passwd",
    "a file's URI": "file:///etc/passwd",
    "a YAML tag": "!!python/object/apply:os.system ['touch evil']",
    "a pickle": "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu",
    "five million characters": "x" * HUGE,
    "deep nesting": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "a terminal's colours and clipboard": "\x1b[31m\x1b]52;c;ZXZpbA==\x07\x1b]0;evil\x07\x9b2J",
    "a terminal's link": "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "overwriting": "bad\rgood\x08\x08\x7f\x0b\x0c",
    "reversed writing": "\u202egpj.exe\u2066\u200f\u2028",
    "rich markup": "[red]red[/red][link=http://evil]click[/link]",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "NUL": "a\0b",
    "a quote": "' or '1' = '1",
    "a format": "%s%n{0.__class__}",
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "a number": "1e999",
    "no number": "NaN",
    "a huge number": "9" * 4000,
    "a text": '"\\ud800"',
    "bytes": b"\xff\x00\x1b[31m",
}
"""Whole texts of a tag, param or other column."""

LEAVES: dict[str, str] = {
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "true": "true",
    "minus one": "-1",
    "half": "0.5",
    "infinity": "1e999",
    "NaN": "NaN",
    "a huge number": "9" * 400,
    "more digits than Python reads": "9" * 5000,
    "a text": '"ten"',
    "a long text": '"' + "y" * 100_000 + '"',
    "an escape": r'"\u001b[31m\u001b]52;c;ZXZpbA==\u0007\r"',
    "reversed writing": r'"\u202e[red]"',
    "half a surrogate": r'"\ud800"',
    "a path": '"../../evil.py:f"',
    "deep nesting": "[" * 900 + "]" * 900,
    "deeper nesting": "[" * 50_000 + "]" * 50_000,
}
"""JSON texts to stand in the place of one value within a record."""

LEDGER = "select run_uuid from params where key like 'seal/%' limit 1"
REGISTER = "select value from experiment_tags where key = 'lepton.register'"
PARENT = "select value from params where key = 'parent'"
TRIAL = "select run_uuid from runs where name = 'gen01-02'"
OPEN = "select run_uuid from runs where name = 'gen02-02'"  # of a generation without a seal


def connect() -> sqlite3.Connection:
    """The store of the current directory, by the hands of its database's owner."""
    return sqlite3.connect(DATABASE, timeout=20)


def one(db: sqlite3.Connection, query: str, *values: str) -> str:
    """The one value that a query gives."""
    return str(db.execute(query, values).fetchone()[0])


Write = Callable[[sqlite3.Connection, str], None]


PLANTED: set[str] = set()  # the keys of tags and params that a hostile text is planted under


def _cell(table: str, run: str, key: str) -> Write:
    PLANTED.add(key)

    def write(db: sqlite3.Connection, text: str) -> None:
        whose = one(db, run)
        db.execute(f"delete from {table} where run_uuid = ? and key = ?", (whose, key))
        db.execute(
            f"insert into {table} (run_uuid, key, value) values (?, ?, ?)", (whose, key, text)
        )

    return write


def _named(table: str, run: str, prefix: str) -> Write:
    """A key that is hostile itself."""

    def write(db: sqlite3.Connection, text: str) -> None:
        key = prefix + (text.decode("latin-1") if isinstance(text, bytes) else text)
        db.execute(
            f"insert or replace into {table} (run_uuid, key, value) values (({run}), ?, ?)",
            (key, text),
        )

    return write


def _column(table: str, column: str, where: str) -> Write:
    def write(db: sqlite3.Connection, text: str) -> None:
        db.execute("pragma ignore_check_constraints = on")
        db.execute(f"update {table} set {column} = ? where {where}", (text,))

    return write


def _long(run: str, key: str) -> Write:
    """A tag with a digest beside it, which fits."""
    write_text, write_digest = _cell("tags", run, key), _cell("tags", run, f"{key}.digest")

    def write(db: sqlite3.Connection, text: str) -> None:
        write_text(db, text)
        write_digest(db, sha(text))

    return write


def _declaration(db: sqlite3.Connection, text: str) -> None:
    db.execute(f"delete from tags where key like 'lepton.declaration.%' and run_uuid in ({LEDGER})")
    _cell("tags", LEDGER, "lepton.declaration")(db, text)
    rechain(db)


def _seal(db: sqlite3.Connection, text: str) -> None:
    db.execute(f"delete from params where key like 'seal/00000001/%/%' and run_uuid in ({LEDGER})")
    _cell("params", LEDGER, "seal/00000001/000001/0000")(db, text)
    _cell("params", LEDGER, "seal/00000001/000001")(db, '{"count":1,"hash":"","previous":""}')
    rechain(db)


SNAPSHOT = "snapshot/00000002/000001"


def _snapshot(db: sqlite3.Connection, text: str) -> None:
    """A snapshot whose header says that all is well with it."""
    made = json.loads(_param(db, LEDGER, "seal/00000001/000001"))
    header = {"digest": sha(text), "head": made["hash"], "count": 1, "environment": made_here()}
    _cell("params", LEDGER, SNAPSHOT)(db, json.dumps(header))
    _cell("params", LEDGER, f"{SNAPSHOT}/0000")(db, text)


def _snapshot_text(db: sqlite3.Connection) -> str:
    """The text of the snapshot that a driver would keep here."""
    del db  # Unused: Lepton reads the store.
    record = open_record("demo")
    return encode(replay(record.events))


FIELDS: dict[str, Write] = {
    "a claim": _cell("params", LEDGER, "epoch/000001"),
    "a claim's key": _named("params", LEDGER, "epoch/"),
    "the settings": _cell("params", LEDGER, "settings/000001"),
    "later settings": _cell("params", LEDGER, "settings/000002"),
    "the settings' key": _named("params", LEDGER, "settings/"),
    "the release": _cell("params", LEDGER, "released/000001"),
    "the parent's id": _cell("params", LEDGER, "parent"),
    "a seal's header": _cell("params", LEDGER, "seal/00000001/000001"),
    "a seal's text": _seal,
    "a seal's key": _named("params", LEDGER, "seal/"),
    "the declaration": _declaration,
    "the declaration's digest": _cell("tags", LEDGER, "lepton.declaration.digest"),
    "the heartbeat": _cell("tags", LEDGER, "lepton.heartbeat.000001"),
    "the request to cancel": _cell("tags", LEDGER, "lepton.cancel"),
    "the ledger's kind": _cell("tags", LEDGER, "lepton.kind"),
    "the ledger's sweep": _cell("tags", LEDGER, "lepton.sweep"),
    "the register's entry": _cell("params", REGISTER, "sweep/demo"),
    "a name in the register": _named("params", REGISTER, "sweep/"),
    "the pointer to the register": _column("experiment_tags", "value", "key = 'lepton.register'"),
    "a trial's generation": _cell("tags", TRIAL, "lepton.generation"),
    "a trial's slot": _cell("tags", TRIAL, "lepton.slot"),
    "a trial's attempt": _cell("tags", TRIAL, "lepton.attempt"),
    "a trial's proposer": _cell("tags", TRIAL, "lepton.proposer"),
    "a trial's number": _cell("tags", TRIAL, "lepton.number"),
    "a trial's base": _cell("tags", TRIAL, "lepton.base"),
    "a trial's proposal": _long(TRIAL, "lepton.proposal"),
    "a trial's result": _cell("tags", TRIAL, "lepton.result"),
    "why a trial was killed": _cell("tags", TRIAL, "lepton.killed"),
    "a trial's param": _cell("params", TRIAL, "x"),
    "another param": _named("params", TRIAL, ""),
    "an open trial's slot": _cell("tags", OPEN, "lepton.slot"),
    "an open trial's attempt": _cell("tags", OPEN, "lepton.attempt"),
    "an open trial's base": _cell("tags", OPEN, "lepton.base"),
    "an open trial's proposal": _long(OPEN, "lepton.proposal"),
    "an open trial's result": _cell("tags", OPEN, "lepton.result"),
    "why an open trial was killed": _cell("tags", OPEN, "lepton.killed"),
    "a trial's name": _column("runs", "name", "name = 'gen01-02'"),
    "a trial's status": _column("runs", "status", "name = 'gen01-02'"),
    "a trial's stage": _column("runs", "lifecycle_stage", "name = 'gen01-02'"),
    "a trial's artifacts": _column("runs", "artifact_uri", "name = 'gen01-02'"),
    "a trial's epoch": _cell("tags", TRIAL, "lepton.epoch"),
    "a trial's seed": _cell("tags", TRIAL, "lepton.seed"),
    "a trial's kind": _cell("tags", TRIAL, "lepton.kind"),
    "a trial's sweep": _cell("tags", TRIAL, "lepton.sweep"),
    "a trial's schema": _cell("tags", TRIAL, "lepton.schema"),
    "a trial's parent": _cell("tags", TRIAL, "mlflow.parentRunId"),
    "a trial's request": _cell("tags", TRIAL, "lepton.request"),
    "a trial's repair": _cell("tags", TRIAL, "lepton.repaired.1"),
    "an open trial's epoch": _cell("tags", OPEN, "lepton.epoch"),
    "an open trial's schema": _cell("tags", OPEN, "lepton.schema"),
    "another parent's id": _cell("params", LEDGER, "parent/000001"),
    "a reopening": _cell("params", LEDGER, "reopened/000001"),
    "a snapshot's header": _cell("params", LEDGER, SNAPSHOT),
    "a snapshot": _snapshot,
    "where it came from": _cell("tags", LEDGER, "lepton.origin"),
    "that it was imported": _cell("params", LEDGER, "imported"),
    "the parent's ledger": _cell("tags", PARENT, "lepton.ledger"),
    "the parent's kind": _cell("tags", PARENT, "lepton.kind"),
    "the parent's declaration": _long(PARENT, "lepton.declaration"),
    "the parent's name": _column("runs", "name", "run_uuid in (" + PARENT + ")"),
    "the parent's status": _column("runs", "status", "run_uuid in (" + PARENT + ")"),
    "the experiment's artifacts": _column("experiments", "artifact_location", "name = 'lepton'"),
    "the experiment's stage": _column("experiments", "lifecycle_stage", "name = 'lepton'"),
    "the ledger's experiment": _column("experiments", "name", "name = 'lepton-ledger'"),
    "a metric's name": _column("latest_metrics", "key", "key = 'loss'"),
    "a metric": _column("latest_metrics", "value", "key = 'loss'"),
}
"""Every column of the store that Lepton reads a text from."""


def _whole_tag(db: sqlite3.Connection, run: str, key: str) -> str:
    text, i = one(db, f"select value from tags where run_uuid in ({run}) and key = ?", key), 1
    while more := db.execute(
        f"select value from tags where run_uuid in ({run}) and key = ?", (f"{key}.{i}",)
    ).fetchone():
        text, i = text + more[0], i + 1
    return text


def _param(db: sqlite3.Connection, run: str, key: str) -> str:
    return one(db, f"select value from params where run_uuid in ({run}) and key = ?", key)


def _seal_text(db: sqlite3.Connection) -> str:
    found = db.execute(
        f"select value from params where run_uuid in ({LEDGER}) and key like "
        "'seal/00000001/000001/%' order by key"
    )
    return "".join(text for (text,) in found)


RECORDS: dict[str, tuple[Callable[[sqlite3.Connection], str], Write]] = {
    "the claim": (lambda db: _param(db, LEDGER, "epoch/000001"), FIELDS["a claim"]),
    "the settings": (lambda db: _param(db, LEDGER, "settings/000001"), FIELDS["the settings"]),
    "the header": (
        lambda db: _param(db, LEDGER, "seal/00000001/000001"),
        FIELDS["a seal's header"],
    ),
    "the seal": (_seal_text, _seal),
    "the declaration": (lambda db: _whole_tag(db, LEDGER, "lepton.declaration"), _declaration),
    "the entry": (lambda db: _param(db, REGISTER, "sweep/demo"), FIELDS["the register's entry"]),
    "a proposal": (
        lambda db: _whole_tag(db, TRIAL, "lepton.proposal"),
        FIELDS["a trial's proposal"],
    ),
    "an open proposal": (
        lambda db: _whole_tag(db, OPEN, "lepton.proposal"),
        FIELDS["an open trial's proposal"],
    ),
    "an open result": (
        lambda db: _whole_tag(db, OPEN, "lepton.result"),
        FIELDS["an open trial's result"],
    ),
    "a snapshot": (_snapshot_text, _snapshot),
    "a result": (lambda db: _whole_tag(db, TRIAL, "lepton.result"), FIELDS["a trial's result"]),
}
"""Records that are JSON: how each is read, and written back so that its hashes fit."""


def sha(text: Any) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def rechain(db: sqlite3.Connection) -> None:
    """Recompute every digest and every hash of the chain from what stands there now."""
    previous = sha(_whole_tag(db, LEDGER, "lepton.declaration"))
    _cell("tags", LEDGER, "lepton.declaration.digest")(db, previous)
    entry = json.dumps({"ledger": one(db, LEDGER), "digest": previous})
    _cell("params", REGISTER, "sweep/demo")(db, entry)
    headers = db.execute(
        f"select key from params where run_uuid in ({LEDGER}) "
        "and key like 'seal/________/______' order by key"
    ).fetchall()
    for (key,) in headers:
        parts = db.execute(
            f"select value from params where run_uuid in ({LEDGER}) and key like ? order by key",
            (key + "/%",),
        ).fetchall()
        chained = sha(previous + "".join(str(part) for (part,) in parts))
        header = {"hash": chained, "previous": previous, "count": len(parts)}
        _cell("params", LEDGER, key)(db, json.dumps(header))
        previous = chained


PathTo = tuple[str | int, ...]


def paths(content: Any, path: PathTo = (), *, items: int = 2) -> Iterator[PathTo]:
    """The place of every value within a JSON content; of lists the first items only."""
    yield path
    if isinstance(content, dict):
        for key in content:
            yield from paths(content[key], (*path, key), items=items)
    if isinstance(content, list):
        # A row of a seal holds another thing in each place.
        for i in range(min(len(content), 9 if len(content) == 9 else items)):
            yield from paths(content[i], (*path, i), items=items)


def replaced(text: str, path: PathTo, leaf: str) -> str:
    """A JSON text with another text in the place of one of its values."""
    if not path:
        return leaf
    content = json.loads(text)
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = "@@"
    return json.dumps(content).replace('"@@"', leaf)


@contextmanager
def pristine() -> Iterator[Callable[[], None]]:
    """A function that gives the current directory's store back as it was at first."""
    with closing(connect()) as db, closing(sqlite3.connect(":memory:")) as copy:
        db.backup(copy)

        def restore() -> None:
            with closing(connect()) as live:
                copy.backup(live)

        yield restore
