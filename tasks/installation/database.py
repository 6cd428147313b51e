"""A look into a store's database, past MLflow: whether it answers, its schema, its clock.

MLflow's client tries a database that is away ten times, for more than a minute. This looks once.
"""

from __future__ import annotations

import shlex
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lepton_tasks.installation.check import Check
from lepton_tasks.installation.clock import Reading, reading

if TYPE_CHECKING:
    import sqlalchemy
    from alembic.script import ScriptDirectory

CONNECT_SECONDS = 5
BUSY_SECONDS = 5
WITH_TIMEOUT = ("psycopg2", "psycopg", "pymysql", "mysqldb")  # drivers that take `connect_timeout`
REVISION = "SELECT version_num FROM alembic_version"

Age = Literal["current", "older", "newer"]


@dataclass(frozen=True, slots=True)
class Database:
    """What a database says.

    Attributes:
        tables: How many it has.
        revision: Of MLflow's schema; None if it has none.
        clock: Its machine's, where that is another one's.
    """

    tables: int
    revision: str | None
    clock: Reading | None = None


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a store that is an SQLite database; None if it is none, or in memory.

    Example:
        >>> sqlite_file("sqlite:////data/mlflow.db"), sqlite_file("http://host")
        (PosixPath('/data/mlflow.db'), None)
    """
    scheme, separator, file = tracking_uri.partition(":///")
    file = file.partition("?")[0]
    if not separator or scheme.partition("+")[0] != "sqlite" or file in ("", ":memory:"):
        return None
    return Path(file).absolute()


def look_into_file(file: Path) -> Database:
    """An SQLite database, which is opened for reading only and never made.

    Raises:
        sqlite3.Error: It is none, or cannot be read.
    """
    uri = f"{file.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if ("alembic_version",) not in names:
            return Database(len(names), None)
        row = connection.execute(REVISION).fetchone()
    return Database(len(names), str(row[0]) if row else None)


def look_into_server(url: str) -> Database:
    """A database on a server.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: It does not answer, or refuses.
    """
    import sqlalchemy  # noqa: PLC0415  (costs a second)

    driver = sqlalchemy.make_url(url).get_dialect().driver
    timeout = {"connect_timeout": CONNECT_SECONDS} if driver in WITH_TIMEOUT else {}
    engine = sqlalchemy.create_engine(url, connect_args=timeout, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            names = sqlalchemy.inspect(connection).get_table_names()
            revision = None
            if "alembic_version" in names:
                revision = connection.execute(sqlalchemy.text(REVISION)).scalar()
            return Database(len(names), revision, _clock(connection))
    finally:
        engine.dispose()


def _clock(connection: sqlalchemy.Connection) -> Reading | None:
    import sqlalchemy  # noqa: PLC0415

    if connection.dialect.name != "postgresql":
        return None
    now = sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")
    before = time.time()
    theirs = float(connection.execute(now).scalar_one())
    return reading("the database's machine", theirs, before, time.time(), 0.0)


def schema_here() -> str:
    """The revision of the schema that the installed MLflow works with."""
    return str(_script().get_current_head())


def age(revision: str) -> Age:
    """Where a revision stands beside the installed MLflow's.

    One that MLflow does not know is of a later release, or of another branch of its history.
    """
    from alembic.util.exc import CommandError  # noqa: PLC0415

    script = _script()
    if revision == script.get_current_head():
        return "current"
    try:
        script.get_revision(revision)
    except CommandError:
        return "newer"
    return "older"


def _script() -> ScriptDirectory:
    import mlflow  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def upgrade_command(tracking_uri: str) -> str:
    """What brings a database's tables to the installed MLflow's, to be typed as it stands.

    Example:
        >>> upgrade_command("postgresql://me:secret@db/mlflow")
        'mlflow db upgrade "$MLFLOW_TRACKING_URI" (which may hold a password: not shown here)'
    """
    file = sqlite_file(tracking_uri)
    if file is not None and "?" not in tracking_uri:
        here = Path.cwd()
        near = file.relative_to(here) if file.is_relative_to(here) else file
        return f"mlflow db upgrade {shlex.quote(f'sqlite:///{near}')}"
    return 'mlflow db upgrade "$MLFLOW_TRACKING_URI" (which may hold a password: not shown here)'


def check_schema(found: Database, tracking_uri: str) -> Check:
    """Whether the installed MLflow works with the database's tables.

    Args:
        found: What the database says.
        tracking_uri: Which one it is.
    """
    import mlflow  # noqa: PLC0415

    here, name = schema_here(), "database schema"
    expected = f"{here}, of MLflow {mlflow.__version__}"
    if found.revision is None and found.tables == 0:
        return Check(
            name, "ok", "the database was empty: MLflow makes its tables at its first use", expected
        )
    if found.revision is None:
        return Check(
            name,
            "problem",
            f"{found.tables} tables and no revision: another program's, or half made",
            expected,
            "use a database of MLflow's own; restore a backup if this was one",
        )
    stands = age(found.revision)
    if stands == "current":
        return Check(name, "ok", found.revision, expected)
    if stands == "older":
        return Check(
            name,
            "problem",
            f"{found.revision}, of an older MLflow",
            expected,
            "stop all that use it and back it up (older MLflows cannot open it any more), then: "
            f"{upgrade_command(tracking_uri)}",
        )
    return Check(
        name,
        "problem",
        f"{found.revision}, which MLflow {mlflow.__version__} does not know: of a later one",
        expected,
        "install the MLflow that the store's other users have: pip install --upgrade mlflow",
    )
