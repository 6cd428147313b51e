"""The embedded store: an SQLite database and a folder of artifacts, made whole and kept quick."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

DATABASE = "mlflow.db"
UNFINISHED, UNFINISHED_SECONDS = ".new-", 600.0  # a database in the making, and when it is given up
PATIENCE_S, PAUSE_S = 20.0, 0.02  # with a database that another process has for itself
_embedded: set[str] = set()


def prepare(folder: Path) -> None:
    """Make the folder and its database, whole or not at all, and set how it commits."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written")
    for left in folder.glob(f"{UNFINISHED}*"):  # by a driver that was killed just here
        if time.time() - left.stat().st_mtime > UNFINISHED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    database = folder / DATABASE
    if not database.exists():
        _make(database)
    _write_ahead(database)
    _embedded.add(os.path.realpath(database))
    _listen()


def _make(database: Path) -> None:
    """MLflow makes its tables one by one; a database with some of them no MLflow opens again.

    So they are made in a file beside it, which becomes the database at one stroke.
    """
    from mlflow import MlflowClient  # noqa: PLC0415  (costs more than a second)

    with tempfile.TemporaryDirectory(
        prefix=UNFINISHED, dir=database.parent, ignore_cleanup_errors=True
    ) as new:
        made = Path(new, DATABASE)
        MlflowClient(f"sqlite:///{made}").search_experiments(max_results=1)
        with suppress(FileExistsError):  # another driver was faster
            os.link(made, database)


def _write_ahead(database: Path) -> None:
    """Switch the database to its write-ahead log, which it then keeps.

    Commits cost a third less, and readers such as the MLflow UI no longer block the driver. Of two
    drivers that switch at once SQLite refuses one without waiting, as each holds what the other
    needs; it finds the switch made when it looks again.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
                mode = connection.execute("PRAGMA journal_mode").fetchone()
                if mode != ("wal",):
                    connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
        else:
            return


@cache
def _listen() -> None:
    """Let this process's commits to an embedded database not wait for the disk.

    With a write-ahead log `synchronous=NORMAL` keeps the database whole and its history a prefix of
    what was committed (https://www.sqlite.org/pragma.html#pragma_synchronous). A killed process
    loses nothing. A power cut may lose the last commits, from which the sweep goes on with the same
    proposals, as from an earlier kill.
    """
    from sqlalchemy import event  # noqa: PLC0415  (costs a second)
    from sqlalchemy.engine import Engine  # noqa: PLC0415

    @event.listens_for(Engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        files = connection.execute("PRAGMA database_list").fetchall()
        if any(os.path.realpath(file) in _embedded for _, name, file in files if name == "main"):
            connection.execute("PRAGMA synchronous=NORMAL")
