"""The stores that Lepton's record is proved on, all real.

A test that depends on the store is marked `on_every_store`; unmarked, a test gets SQLite, as a user
does who sets nothing. Servers are started once per session, by the first test that needs one, and
emptied before each test. A test on PostgreSQL itself gets a database of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow_server import MlflowServer
from places import Place
from postgres import TEMPLATE, PostgresServer

SQLITE = "sqlite"
SERVER_ON_SQLITE = "server on sqlite"
SERVER_ON_POSTGRESQL = "server on postgresql"
POSTGRESQL = "postgresql"
STORES = (SQLITE, SERVER_ON_SQLITE, SERVER_ON_POSTGRESQL, POSTGRESQL)


def on_stores(*names: str) -> pytest.MarkDecorator:
    """Run a test, or a module's tests, on each of these stores."""
    return pytest.mark.parametrize("backend", names, indirect=True, ids=_identifier)


def _identifier(name: str) -> str:
    return name.replace(" ", "_")


on_every_store = on_stores(*STORES)


class Stores:
    """The session's servers, each started when first asked for.

    Args:
        folder: A folder of its own.
        migrated: An SQLite database with MLflow's tables in it.
    """

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder, self._migrated = folder, migrated
        self._postgres: PostgresServer | None = None
        self._servers: dict[str, MlflowServer] = {}
        self._pristine: dict[str, dict[str, list[dict[str, Any]]]] = {}

    @property
    def postgres(self) -> PostgresServer:
        """PostgreSQL, with a template database that has MLflow's tables."""
        if self._postgres is None:
            self._postgres = PostgresServer()
            _make_tables(self._postgres.create(TEMPLATE))
        return self._postgres

    def server(self, name: str) -> MlflowServer:
        """The MLflow server over SQLite, or that over PostgreSQL, empty and running."""
        if name not in self._servers:
            folder = self.folder / name.replace(" ", "-")
            folder.mkdir()
            if name == SERVER_ON_SQLITE:
                (folder / "mlflow.db").write_bytes(self._migrated.read_bytes())
                database = f"sqlite:///{folder / 'mlflow.db'}"
            else:
                database = self.postgres.create("behind_a_server", TEMPLATE)
            self._pristine[name] = _rows(database)
            self._servers[name] = MlflowServer(folder, database)
        server = self._servers[name]
        if not server.running:
            server.start()
        _empty(server.database, self._pristine[name])
        return server

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """A store of that kind with nothing in it, but for SQLite, which is the folder's own."""
        if name == POSTGRESQL:
            database = f"test_{uuid.uuid4().hex}"
            url = self.postgres.create(database, TEMPLATE)
            try:
                yield Place(url, url)
            finally:
                self.postgres.drop(database)
        else:
            server = self.server(name)
            yield Place(server.uri, server.database)

    @property
    def running(self) -> list[MlflowServer]:
        """The MLflow servers that were started."""
        return list(self._servers.values())

    def restart_what_is_down(self) -> None:
        """Start what a test killed: PostgreSQL here, an MLflow server when it is next asked for."""
        if self._postgres is not None and not self._postgres.running:
            self._postgres.start()

    def close(self) -> None:
        """Stop all servers."""
        for server in self._servers.values():
            server.close()
        if self._postgres is not None:
            self._postgres.close()


def _make_tables(database: str) -> None:
    """Let MLflow make its tables, and leave no connection behind: a template may have none."""
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    MlflowClient(database).search_experiments(max_results=1)
    SqlAlchemyStore._engine_map.pop(database).dispose()


@contextmanager
def transaction(database: str) -> Iterator[sqlalchemy.Connection]:
    """A transaction in a database, past all of MLflow's own code."""
    engine = sqlalchemy.create_engine(database, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


def _tables(connection: sqlalchemy.Connection) -> list[sqlalchemy.Table]:
    known = sqlalchemy.MetaData()
    known.reflect(connection)
    return [table for table in known.sorted_tables if table.name != "alembic_version"]


def _rows(database: str) -> dict[str, list[dict[str, Any]]]:
    """What stands in the tables of an empty store: the default experiment and its like."""
    with transaction(database) as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in _tables(connection)
        }


def _empty(database: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Put the tables back to these rows."""
    with transaction(database) as connection:
        tables = _tables(connection)
        for table in reversed(tables):
            connection.execute(table.delete())
        for table in tables:
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
