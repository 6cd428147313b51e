"""What can be done about a store's error, as far as its text or class tells the cases apart."""

from __future__ import annotations

import re
from typing import Any

MAX_READ = 10_000  # characters of an error
CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
FORBIDDEN = (
    "give 'mlflow server' the name by which it is called (--allowed-hosts NAME:PORT), or see what "
    "the proxy before it, and the rights of this user, allow"
)
OTHER_PROGRAM = "something other than MLflow answers there: check MLFLOW_TRACKING_URI"
SERVERS_LOG = "see the server's log, and whether its database is well"
START = "start it, or set MLFLOW_TRACKING_URI to the right one (unset: ./mlruns)"
SCHEMA = (
    "Its tables are those of another version of MLflow than the one installed here: "
    "'lepton doctor' says which, and what to do"
)

_SCHEMA_ERROR = re.compile("out-of-date database schema|can't locate revision", re.IGNORECASE)
_STATUS = re.compile(r"error code (\d{3}) !=|too many (\d{3}) error responses")
_NO_JSON = "not in a valid JSON format"
ROOM = "free some space on the disk that it is on"
LOCKED = "another program holds the database (a backup, an open transaction): let it end first"
LOGIN = "check the user and the password in MLFLOW_TRACKING_URI, and that the database lets them in"
NO_DATABASE = "make that database first, or name the right one in MLFLOW_TRACKING_URI"
NO_SQLITE = "check that it is the right file; if it was the store, restore a backup"
MOUNTED = "mount the file system for writing, or keep the store elsewhere"
READ_ONLY = (
    "give this user the right to write the database and its folder, on a file system that is "
    "mounted for writing"
)
NOT_OPENED = "see that its folder is there, and that this user may read and write both"
STANDBY = "name a database that takes writes: this may be a standby"
RIGHTS = "give this user the right to read and write there"
OF_A_SERVER = (
    "those artifacts can be reached by way of the MLflow server alone: set MLFLOW_TRACKING_URI to "
    "its address"
)

_BY_TEXT = (
    ("no space left", ROOM),
    ("disk is full", ROOM),
    ("disk quota exceeded", ROOM),
    ("is locked", LOCKED),
    ("authentication failed", LOGIN),
    ("access denied for user", LOGIN),
    ("login failed for user", LOGIN),
    ("no password supplied", LOGIN),
    ("no pg_hba.conf entry", LOGIN),
    ("unknown database", NO_DATABASE),
    ("is not a database", NO_SQLITE),
    ("disk image is malformed", NO_SQLITE),
    ("read-only file system", MOUNTED),
    ("readonly database", READ_ONLY),
    ("unable to open database file", NOT_OPENED),
    ("read-only transaction", STANDBY),
    ("permission denied", RIGHTS),
    ("connection refused", START),
    ("could not translate host", START),
    ("can't connect to", START),
    ("name or service not known", START),
    ("connection timed out", START),
    ("no route to host", START),
    ("an mlflow-artifacts uri was supplied", OF_A_SERVER),
)
_NO_DATABASE = re.compile(r'database "[^"]*" does not exist')
_NO_ROLE = re.compile(r'role "[^"]*" does not exist')


def is_of_schema(error: BaseException) -> bool:
    """Whether the database's tables are those of another MLflow than the installed one."""
    from alembic.util.exc import CommandError  # noqa: PLC0415  (MLflow's migrations)

    return isinstance(error, CommandError) or bool(_SCHEMA_ERROR.search(str(error)[:MAX_READ]))


def advice_on(error: BaseException) -> str:
    """What to do about it; empty where nothing is known that fits.

    Args:
        error: What MLflow, SQLAlchemy, a driver or the system raised.
    """
    if is_of_schema(error):
        return SCHEMA
    text = str(error)[:MAX_READ]
    status = _status(error, text)
    if status is not None:
        return advice_on_status(status)
    if _NO_JSON in text:
        return OTHER_PROGRAM
    if _NO_DATABASE.search(text):
        return NO_DATABASE
    if _NO_ROLE.search(text):
        return LOGIN
    said = text.lower()
    return next((advice for part, advice in _BY_TEXT if part in said), "")


def advice_on_status(status: int) -> str:
    """What to do about an HTTP status that is not the one of an answer of MLflow's."""
    if status == 401:  # noqa: PLR2004
        return CREDENTIALS
    if status == 403:  # noqa: PLR2004
        return FORBIDDEN
    return SERVERS_LOG if status >= 500 else OTHER_PROGRAM  # noqa: PLR2004


def _status(error: BaseException, text: str) -> int | None:
    """The HTTP status of a server's answer, where that, and not its words, is the finding."""
    from mlflow.exceptions import RestException  # noqa: PLC0415  (costs a second)

    found = _STATUS.search(text)
    if found:
        return int(found[1] or found[2])
    if isinstance(error, RestException):
        untyped: Any = error
        if "error_code" not in untyped.json:  # JSON, and none of MLflow's
            return 404
        status = int(untyped.get_http_status_code())
        return status if status in (401, 403) else None
    return None
