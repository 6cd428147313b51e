"""What is advised on a store's error fits what happened."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing

import pytest
from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException, RestException

from lepton_core.errors import StoreUnreachableError
from lepton_tasks.store import connect, reachable
from lepton_tasks.store_advice import advice_on


def system(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database is locked"), "another program holds the database"),
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (system(errno.ENOSPC), "free some space"),
        (system(errno.EDQUOT), "free some space"),
        (system(errno.EROFS), "mount the file system for writing"),
        (system(errno.EACCES), "the right to read and write"),
        (system(errno.ECONNREFUSED), "start it"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "right to write"),
        (sqlite3.OperationalError("unable to open database file"), "its folder is there"),
        (sqlite3.DatabaseError("file is not a database"), "restore a backup"),
        (MlflowException('FATAL: password authentication failed for user "me"'), "the password"),
        (MlflowException('FATAL: database "mlflow" does not exist'), "make that database"),
        (MlflowException('FATAL: role "me" does not exist'), "check the user"),
        (MlflowException("cannot execute INSERT in a read-only transaction"), "a standby"),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), "--allowed-hosts"),
        (RestException({"error_code": "UNAUTHENTICATED", "message": "no"}), "_USERNAME"),
        (RestException({"detail": "Not Found"}), "other than MLflow"),
        (MlflowException("Detected out-of-date database schema (found version a"), "lepton doctor"),
        (CommandError("Can't locate revision identified by 'ffff'"), "lepton doctor"),
    ],
)
def test_what_can_be_told_apart_has_an_advice_of_its_own(error, said):
    assert said in advice_on(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("what nobody thought of"),
        RestException({"error_code": "INTERNAL_ERROR", "message": "what?"}),
        RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}),
    ],
)
def test_what_is_not_known_has_none_rather_than_a_wrong_one(error):
    assert advice_on(error) == ""


def failure(error):
    with pytest.raises(StoreUnreachableError) as caught, reachable("here"):
        raise error
    return caught.value.message


def test_a_driver_is_told_that_its_command_goes_on_but_not_where_the_tables_are_anothers():
    locked = failure(sqlite3.OperationalError("database is locked"))
    assert "'lepton doctor' says more" in locked
    assert "the same command goes on from there" in locked
    schema = failure(CommandError("Can't locate revision identified by 'ffff'"))
    assert "'lepton doctor' says which" in schema
    assert "goes on" not in schema


def test_a_database_of_a_newer_mlflow_points_to_the_doctor(store, monkeypatch):
    with closing(sqlite3.connect(store.address.database)) as db, db:
        db.execute("update alembic_version set version_num = 'ffffffffffff'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{store.address.tracking_uri}?again=1")
    with pytest.raises(StoreUnreachableError, match="of another version of MLflow") as caught:
        connect()
    assert "goes on" not in caught.value.message
    assert "db upgrade" not in caught.value.message, "which does not help with newer tables"
