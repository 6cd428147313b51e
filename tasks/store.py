"""Where the record is: the MLflow tracking store, and the experiments that Lepton uses in it."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb

from lepton_core.errors import LeptonError, StoreUnreachableError
from lepton_tasks import embedded_store, write_points
from lepton_tasks.redaction import redacted, without_secrets
from lepton_tasks.store_advice import OTHER_PROGRAM, advice_on, is_of_schema
from lepton_tasks.store_client import StoreClient, first_line
from lepton_tasks.tracking_uri import FORMS, PORTS, WEB, named_by

EMBEDDED = Path("mlruns")
TRIALS_EXPERIMENT = "lepton"
LEDGER_EXPERIMENT = "lepton-ledger"
PROBE_SECONDS = 5.0
QUIET = {
    # Cut values would be wrong values: let the store refuse them instead.
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    # Otherwise each finished run costs one more call and two lines on the terminal.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # Nothing read from the store is unpickled.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


DRIVERS_OWN = {
    # Lepton waits itself, visibly, and knows what a repeated call may find: see StoreClient.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What holds for this process's calls only; the objective's own are repeated by MLflow."""
_set_here: set[str] = set()


@dataclass(frozen=True, slots=True)
class Address:
    """A store and the experiment for trials in it.

    Attributes:
        tracking_uri: As MLflow takes it.
        experiment: The experiment's name.
        folder: The embedded store's folder, or None for a store that the user named.
    """

    tracking_uri: str
    experiment: str
    folder: Path | None

    @property
    def database(self) -> Path | None:
        """The embedded store's file."""
        return self.folder / embedded_store.DATABASE if self.folder else None

    def artifacts_of(self, experiment: str) -> str | None:
        """Where an experiment's artifacts go; None leaves that to the user's store."""
        return str(self.folder / "artifacts" / experiment) if self.folder else None

    @property
    def place(self) -> str:
        """Where the history is, for people."""
        if self.database is None:
            return without_secrets(self.tracking_uri)
        return os.path.relpath(self.database)


def address() -> Address:
    """The store that the environment names, else the embedded one of the current directory."""
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or TRIALS_EXPERIMENT
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return Address(uri, experiment, None)
    folder = EMBEDDED.absolute()
    return Address(f"sqlite:///{folder / embedded_store.DATABASE}", experiment, folder)


@dataclass(frozen=True, slots=True)
class Store:
    """An open store.

    Attributes:
        experiment_id: The experiment that new sweeps and their trials go to.
        ledger_id: The experiment of the ledger's own records.
    """

    address: Address
    client: StoreClient
    experiment_id: str
    ledger_id: str


def exists(where: Address) -> bool:
    """Whether there can be anything in the store: an embedded one is made by the first sweep."""
    return where.database is None or where.database.exists()


def connect(where: Address | None = None) -> Store:
    """Open the store, making the embedded one and the experiments where they are missing.

    Raises:
        StoreUnreachableError: The store does not answer, or cannot be written.
    """
    where = where or address()
    quieten()
    probe(where)
    with reachable(where.place):
        if where.folder is not None:
            embedded_store.prepare(where.folder)
        # Imported late: it costs more than a second.
        from mlflow import MlflowClient  # noqa: PLC0415

        try:
            client = StoreClient(MlflowClient(where.tracking_uri), where.place)
            trials = experiment(client, where.experiment, where)
        except ModuleNotFoundError as error:
            raise _lacking(error, where) from None
        ledger = experiment(client, LEDGER_EXPERIMENT, where)
    return Store(where, client, trials, ledger)


def quieten() -> None:
    """Keep MLflow's own chatter, truncation and telemetry out; what the user set stands."""
    for name, value in {**QUIET, **DRIVERS_OWN}.items():
        if name not in os.environ:
            os.environ[name] = value
            _set_here.add(name)
    # In a notebook, tqdm advises on widgets for MLflow's bars, which are off.
    warnings.filterwarnings("ignore", message="IProgress not found")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It logs a traceback for each failed statement, which is raised besides.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def objectives_environment() -> dict[str, str]:
    """This process's environment without what `quieten` set for its own calls only."""
    ours = _set_here & set(DRIVERS_OWN)
    return {name: value for name, value in os.environ.items() if name not in ours}


def load_libraries() -> None:
    """Import what takes seconds and is needed soon, at a moment when nobody waits for it."""
    quieten()
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401, PLC0415
    import scipy.stats  # noqa: F401, PLC0415


def experiment(client: StoreClient, name: str, where: Address) -> str:
    """The id of an experiment, made if it is missing; many may ask at once.

    Raises:
        StoreUnreachableError: The experiment was deleted, or cannot be made.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            location = where.artifacts_of(name)
            point = write_points.EXPERIMENT
            return client.create_experiment(point, name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another driver made it meanwhile
            if found is None:
                raise
    if not found.experiment_id:
        raise StoreUnreachableError(
            f"{where.place} answered, but with no experiment as MLflow tells it\n"
            f"{OTHER_PROGRAM[0].upper()}{OTHER_PROGRAM[1:]}.",
            place=where.place,
        )
    if found.lifecycle_stage != "active":
        raise StoreUnreachableError(
            f"the experiment {name!r} was deleted in {where.place}; restore it with "
            f"'mlflow experiments restore --experiment-id {found.experiment_id}', "
            "or set MLFLOW_EXPERIMENT_NAME to another",
            experiment=name,
        )
    return str(found.experiment_id)


@contextmanager
def reachable(place: str) -> Iterator[None]:
    """Turn whatever a store's client raises into an error that says which store and what to do.

    Raises:
        StoreUnreachableError: The store did not answer, or refused.
    """
    quieten()
    from alembic.util.exc import CommandError  # noqa: PLC0415  (MLflow's migrations)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except Exception as error:
        known = MlflowException | SQLAlchemyError | CommandError | sqlite3.Error | OSError
        if not isinstance(error, known) and not _comes_from_client(error):
            raise
        # Without the cause: its text, and those of its own causes, may hold the store's password.
        raise StoreUnreachableError(
            f"the tracking store {place} failed: {_found(error)}\n{_what_to_do(error)}",
            place=place,
        ) from None


def _found(error: Exception) -> str:
    """What it says; of tables of another MLflow without MLflow's advice, which fits older ones."""
    text = first_line(error)
    return text.partition(". ")[0] if is_of_schema(error) else text


def _what_to_do(error: Exception) -> str:
    advice = advice_on(error) or "check that it is running and can be written"
    first = f"{advice[0].upper()}{advice[1:]}."
    if is_of_schema(error):  # the command does not go on until somebody has mended that
        return f"{first}\nWhat was recorded is safe."
    return (
        f"{first}\n'lepton doctor' says more; what was recorded is safe, and the same command goes "
        "on from there."
    )


def _comes_from_client(error: Exception) -> bool:
    """Whether it came up from within MLflow, which has no class for an answer it cannot read."""
    if isinstance(error, LeptonError):
        return False
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(str(module).partition(".")[0] == "mlflow" for module in modules)


def probe(where: Address) -> None:
    """Fail in seconds, not minutes, where nothing listens: MLflow's client retries for long.

    Raises:
        StoreUnreachableError: Nothing listens, the URI is none, or a database's driver is missing.
    """
    if where.folder is not None:
        return
    named = named_by(where.tracking_uri, where.place)
    if named.kind not in PORTS or not named.host:
        return
    if named.kind not in WEB:
        _load_driver(where)
    try:
        socket.create_connection((named.host, named.port or 0), PROBE_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise StoreUnreachableError(
            f"the tracking server {where.place} does not answer: {redacted(str(error))}\n"
            "Start it, or set MLFLOW_TRACKING_URI to the right one (unset: a file in ./mlruns).",
            place=where.place,
        ) from None


def _load_driver(where: Address) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415  (costs a second)
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError  # noqa: PLC0415

    try:
        make_url(where.tracking_uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise _lacking(error, where) from None
    except NoSuchModuleError:
        raise StoreUnreachableError(
            f"MLFLOW_TRACKING_URI is {where.place}, whose driver (after the +) SQLAlchemy does not "
            f"know\n{FORMS}",
            place=where.place,
        ) from None
    except SQLAlchemyError:
        return  # MLflow says what is wrong with it


def _lacking(error: ModuleNotFoundError, where: Address) -> StoreUnreachableError:
    return StoreUnreachableError(
        f"{where.place} needs the Python package {error.name}, which is not installed.\n"
        "Install it; for PostgreSQL: pip install 'lepton-tuning[postgres]'",
        place=where.place,
    )
