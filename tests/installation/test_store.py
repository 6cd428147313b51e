"""``lepton doctor`` without a name on real stores: whole, damaged, old, away, in the way."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from backends import POSTGRESQL, SERVER_ON_SQLITE, on_every_store, on_stores, transaction
from histories import full_list

from lepton.cli import main
from lepton_tasks.installation.database import upgrade_command

LATER = ("writing", "limits", "artifacts")
OF_THE_STORE = {"store", "database schema", "server version", "server workers", *LATER}


def rows(database):
    """What stands in each table of a database."""
    with transaction(database) as connection:
        known = sqlalchemy.MetaData()
        known.reflect(connection)
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in known.sorted_tables
        }


def files(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def sql(*statements):
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        for statement in statements:
            db.execute(statement)


@on_every_store
def test_a_whole_store_is_well_and_what_is_left_in_it_is_said(sweep_folder, doctor, backend):
    first = doctor()
    assert (first.code, OF_THE_STORE & set(first.wrong())) == (0, set()), first.checks
    assert {"writing", "limits", "artifacts"} <= set(first.checks)
    made = [
        f"the experiment {name}, as any command makes it" for name in ("lepton", "lepton-ledger")
    ]
    assert first.left[:2] == made
    database = backend.database if backend else f"sqlite:///{Path('mlruns/mlflow.db').absolute()}"
    before = rows(database)
    second = doctor()
    assert second.wrong() == first.wrong()
    if backend is None or not backend.tracking_uri.startswith("http"):
        assert (first.left[2:], second.left) == ([], [])
        assert (before["runs"], rows(database)) == ([], before)
    else:
        assert first.left[2:] == second.left
        assert "one deleted run" in second.left[0]
        after = rows(database)
        assert [len(after["runs"]), len(after["params"])] == [1, len(before["params"])]
        assert "deleted" in after["runs"][0]
    assert not [file for file in files(sweep_folder.path) if "doctor" in file]


def test_an_examination_leaves_a_sweep_as_it_is(sweep_folder, doctor, drivers, capsys):
    drivers.run(sweep_folder.path)
    before = full_list(sweep_folder.path)
    assert doctor().left == []
    assert full_list(sweep_folder.path) == before
    assert main(["verify", "demo"]) == 0


@pytest.mark.parametrize("holds", ["param", "metric", "sweep", "name"])
def test_a_run_that_only_says_that_it_is_the_doctors_is_left_alone(store, doctor, holds):
    client = store.client.plain
    name = "lepton doctor" if holds != "name" else "mine"
    tags = {"lepton.kind": "doctor", **({"lepton.sweep": "demo"} if holds == "sweep" else {})}
    run = client.create_run(store.ledger_id, tags=tags, run_name=name).info.run_id
    if holds == "param":
        client.log_param(run, "mine", "1")
    if holds == "metric":
        client.log_metric(run, "mine", 1.0)
    assert doctor().state("writing") == "ok"
    found = client.get_run(run)
    assert (found.info.lifecycle_stage, found.info.status) == ("active", "RUNNING")
    assert found.data.tags["lepton.kind"] == "doctor"


def test_what_a_killed_examination_left_is_taken_up_and_removed(store, doctor):
    tags = {"lepton.kind": "doctor"}
    store.client.plain.create_run(store.ledger_id, tags=tags, run_name="lepton doctor")
    assert doctor().left == []
    assert rows(f"sqlite:///{Path('mlruns/mlflow.db').absolute()}")["runs"] == []


def test_where_there_is_no_store_yet_it_is_said_and_none_is_made(empty_folder, doctor):
    told = doctor()
    assert (told.code, told.checks["store"]["state"], told.left) == (0, "ok", [])
    assert told.checks["store"]["found"] == "none yet; the first sweep makes mlruns/mlflow.db"
    assert list(empty_folder.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write")
def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, doctor):
    monkeypatch.chdir("/proc")
    told = doctor()
    assert (told.code, told.state("store")) == (7, "problem")
    assert "/proc cannot be written" in told.checks["store"]["found"]
    assert told.checks["store"]["advice"].endswith("work in another folder")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "mount the file system for writing"),
        (errno.EACCES, "the right to write in"),
    ],
)
def test_why_no_store_can_be_made_decides_what_is_advised(
    empty_folder, doctor, monkeypatch, number, advice
):
    written = Path.write_bytes

    def refuse(file, data):
        if file.name.startswith(".lepton-doctor-"):
            raise OSError(number, os.strerror(number))
        return written(file, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert advice in doctor().checks["store"]["advice"]


def test_a_file_where_the_stores_folder_should_be_is_a_problem(empty_folder, doctor):
    (empty_folder / "mlruns").write_text("")
    told = doctor()
    assert (told.code, told.state("store")) == (7, "problem")


def test_a_store_that_refuses_writes_is_a_problem_and_leaves_nothing(sweep_folder, doctor):
    refuse = "BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
    doctor()
    sql(f"CREATE TRIGGER away BEFORE INSERT ON tags {refuse}")
    told = doctor()
    assert (told.code, told.wrong()["writing"]) == (7, "problem")
    assert "readonly database" in told.checks["writing"]["found"]
    assert "the right to write" in told.checks["writing"]["advice"]
    assert [told.state(name) for name in ("limits", "artifacts")] == ["skipped", "skipped"]


def test_a_text_that_the_store_cuts_is_a_problem(sweep_folder, doctor):
    doctor()
    sql(
        "CREATE TRIGGER cut AFTER INSERT ON params BEGIN "
        "UPDATE params SET value = substr(value, 1, 500) WHERE rowid = NEW.rowid; END"
    )
    told = doctor()
    assert (told.code, told.state("writing"), told.state("limits")) == (7, "ok", "problem")
    found = told.checks["limits"]["found"]
    assert "a param of 5500 characters is not read as it was written" in found


def test_a_store_that_cuts_long_values_without_a_word_is_a_warning(
    sweep_folder, doctor, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "true")
    told = doctor()
    assert (told.code, told.wrong()["limits"]) == (0, "warning")
    assert "MLFLOW_TRUNCATE_LONG_VALUES=false" in told.checks["limits"]["advice"]


@on_stores(SERVER_ON_SQLITE)
def test_artifacts_that_cannot_be_kept_are_a_problem(sweep_folder, doctor, stores):
    folder = stores.server(SERVER_ON_SQLITE).folder / "artifacts"
    there = folder.with_name("elsewhere")
    if folder.exists():
        folder.rename(there)
    folder.write_text("")
    try:
        told = doctor()
    finally:
        folder.unlink()
        if there.exists():
            there.rename(folder)
    assert (told.code, told.state("writing"), told.state("artifacts")) == (7, "ok", "problem")


# -- the schema ---------------------------------------------------------------------------------

OLD = """
import sys
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
import sqlalchemy
url = sys.argv[1]
config = _get_alembic_config(url)
script = ScriptDirectory.from_config(config)
engine = sqlalchemy.create_engine(url)
Base.metadata.create_all(engine)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, script.get_revision("head").down_revision)
"""


def test_a_schema_of_an_older_mlflow_is_a_problem_and_what_is_advised_mends_it(
    empty_folder, doctor
):
    (empty_folder / "mlruns").mkdir()
    url = f"sqlite:///{empty_folder / 'mlruns' / 'mlflow.db'}"
    subprocess.run([sys.executable, "-c", OLD, url], check=True, stderr=subprocess.DEVNULL)
    told = doctor()
    assert (told.code, told.state("database schema")) == (7, "problem")
    assert told.checks["database schema"]["found"].endswith("of an older MLflow")
    assert [told.state(name) for name in LATER] == ["skipped"] * 3

    advised = "mlflow db upgrade sqlite:///mlruns/mlflow.db"
    assert told.checks["database schema"]["advice"].endswith(f", then: {advised}")
    command = [sys.executable, "-m", *advised.split()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    mended = doctor()
    assert (mended.code, mended.state("database schema")) == (0, "ok")


def test_a_schema_of_a_later_mlflow_is_a_problem(sweep_folder, doctor):
    sql("UPDATE alembic_version SET version_num = 'ffff0000ffff'")
    told = doctor()
    assert (told.code, told.state("database schema")) == (7, "problem")
    assert "ffff0000ffff" in told.checks["database schema"]["found"]
    assert "pip install --upgrade mlflow" in told.checks["database schema"]["advice"]


def test_a_database_of_another_program_is_a_problem_and_is_not_touched(empty_folder, doctor):
    (empty_folder / "mlruns").mkdir()
    sql("CREATE TABLE mine (x)")
    before = (empty_folder / "mlruns" / "mlflow.db").read_bytes()
    told = doctor()
    assert (told.code, told.state("database schema")) == (7, "problem")
    assert (empty_folder / "mlruns" / "mlflow.db").read_bytes() == before


def test_a_file_that_is_no_database_is_a_problem(empty_folder, doctor):
    (empty_folder / "mlruns").mkdir()
    (empty_folder / "mlruns" / "mlflow.db").write_text("no database at all " * 100)
    told = doctor()
    assert (told.code, told.state("store")) == (7, "problem")
    assert "not a database" in told.checks["store"]["found"]
    assert "restore a backup" in told.checks["store"]["advice"]


def test_a_database_that_another_program_holds_is_a_problem_of_no_rights(sweep_folder, doctor):
    doctor()
    with closing(sqlite3.connect("mlruns/mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        told = doctor()
    (name,) = {"store", "writing"} & set(told.wrong())
    assert "is locked" in told.checks[name]["found"]
    assert "another program holds the database" in told.checks[name]["advice"]


def test_a_local_folder_for_artifacts_that_cannot_be_written_sends_nobody_to_a_server(
    sweep_folder, doctor
):
    doctor()
    folder = sweep_folder.path / "mlruns" / "artifacts" / "lepton-ledger"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("")
    told = doctor()
    assert told.state("artifacts") == "problem", told.checks
    assert "server's log" not in told.checks["artifacts"]["advice"]


def test_a_uri_that_names_no_store_is_the_stores_problem(empty_folder, doctor, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://me:hunter2@127.0.0.1")
    told = doctor()
    assert (told.code, told.state("store"), told.state("writing")) == (7, "problem", "skipped")
    assert "htp://me:***@127.0.0.1" in told.checks["store"]["found"]
    assert "http://HOST:PORT" in told.checks["store"]["advice"]


@on_stores(POSTGRESQL)
def test_the_schema_of_a_database_on_a_server_is_looked_at_too(sweep_folder, doctor, backend):
    with transaction(backend.database) as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'ffff'"))
    told = doctor()
    assert (told.code, told.state("database schema")) == (7, "problem")


def test_the_command_for_older_tables_can_be_pasted_and_shows_no_password():
    shown = upgrade_command("sqlite:////srv/a folder/m.db")
    assert shown == "mlflow db upgrade 'sqlite:////srv/a folder/m.db'"
    shown = upgrade_command("postgresql://me:hunter2@host/db")
    assert shown.startswith('mlflow db upgrade "$MLFLOW_TRACKING_URI" (')
    assert "hunter2" not in shown


@on_stores(POSTGRESQL)
@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"username": "nobody", "password": "no"}, "check the user and the password"),
        ({"database": "none"}, "make that database first"),
    ],
)
def test_a_database_that_answers_with_no_is_not_said_to_be_away(
    empty_folder, doctor, backend, monkeypatch, changed, advice
):
    wrong = sqlalchemy.make_url(backend.tracking_uri).set(**changed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wrong.render_as_string(hide_password=False))
    told = doctor()
    assert (told.code, told.state("store")) == (7, "problem")
    assert advice in told.checks["store"]["advice"]


def test_an_empty_database_on_a_server_gets_mlflows_tables_and_that_is_said(
    sweep_folder, doctor, stores, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stores.postgres.create("empty"))
    try:
        told = doctor()
        assert (told.code, told.left[0]) == (0, "MLflow's tables, in a database that was empty")
    finally:
        stores.postgres.drop("empty")
