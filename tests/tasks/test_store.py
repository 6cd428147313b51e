"""Opening the store: what is wrong with it is said in words."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from sqlalchemy import create_engine

from lepton_core.errors import StoreUnreachableError
from lepton_tasks.embedded_store import UNFINISHED, UNFINISHED_SECONDS
from lepton_tasks.store import connect


def test_a_database_whose_driver_is_not_installed_names_it_and_the_extra(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+pg8000://me:secret@127.0.0.1:9/none")
    with pytest.raises(
        StoreUnreachableError, match=r"package pg8000.*\n.*lepton-tuning\[postgres"
    ) as e:
        connect()
    assert "secret" not in str(e.value)


def test_a_database_of_a_newer_mlflow_is_refused_in_words(store, monkeypatch):
    with closing(sqlite3.connect(store.address.database)) as db, db:
        db.execute("update alembic_version set version_num = 'ffffffffffff'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{store.address.tracking_uri}?again=1")
    with pytest.raises(StoreUnreachableError, match="failed: "):
        connect()


def test_what_a_driver_killed_while_it_made_the_database_left_is_cleared_away(
    tmp_path, monkeypatch, migrated
):
    monkeypatch.chdir(tmp_path)
    old, new = (tmp_path / "mlruns" / f"{UNFINISHED}{age}" for age in ("old", "new"))
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, new.stat().st_mtime - 2 * UNFINISHED_SECONDS))
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(migrated.read_bytes())
    connect()
    assert (old.exists(), new.exists()) == (False, True)


def test_commits_to_the_embedded_database_do_not_wait_for_the_disk_those_to_others_do(
    store, tmp_path
):
    def synchronous(file):
        with create_engine(f"sqlite:///{file}").connect() as connection:
            return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    normal, full = 1, 2
    assert synchronous(store.address.database) == normal
    assert synchronous(tmp_path / "other.db") == full


RACES = """
import multiprocessing, sqlite3, sys
from contextlib import closing
from pathlib import Path
from lepton_tasks import embedded_store

def switch(database, go):
    go.wait()
    embedded_store._write_ahead(database)

processes = multiprocessing.get_context("fork")
for n in range(40):
    database = Path(sys.argv[1], f"{n}.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (x)")
    go = processes.Barrier(4)
    drivers = [processes.Process(target=switch, args=(database, go)) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert not any(driver.exitcode for driver in drivers), n
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
"""


def test_drivers_that_switch_to_the_write_ahead_log_at_once_all_find_it_made(tmp_path):
    """SQLite refuses one of those at once, in one such race of five."""
    subprocess.run([sys.executable, "-c", RACES, str(tmp_path)], check=True)
