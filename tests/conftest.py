"""What the tests share: a quiet environment, sweep folders, drivers, one real Prefect server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from absl import logging as absl_logging

sys.path.insert(0, str(Path(__file__).parent / "support"))

# A shell starts what runs in its background with Ctrl-C ignored, which children would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports MLflow or Prefect, which read some of these only once.
_PREFECT_HOME = tempfile.mkdtemp(prefix="lepton-tests-prefect-")
os.environ.update(
    PREFECT_HOME=_PREFECT_HOME,
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_LOGGING_LEVEL="WARNING",
    KERAS_BACKEND="torch",
)
for _name in (
    *("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"),
    *("PREFECT_API_URL", "LEPTON_LEASE_SECONDS", "LEPTON_STORE_PATIENCE_SECONDS"),
):
    os.environ.pop(_name, None)

# Keras brings absl, whose log would hold pytest's own stream, and close it when Prefect sets
# logging up.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

if TYPE_CHECKING:
    from backends import Stores
    from drivers import Drivers
    from places import Place

    from lepton_tasks.store import Store

OBJECTIVE = '''
"""A cheap objective with every kind of failure in it."""
import hashlib
import math
import os
import time


def objective(trial):
    mixed = hashlib.sha256(f"{os.environ.get('SHUFFLE')} {trial.number}".encode()).digest()[0]
    time.sleep(float(os.environ.get("PAUSE", "0")) * mixed / 128)
    if trial["kind"] == "bad" and trial["depth"] > 6:
        raise ValueError("bad and deep")
    if trial["x"] > 0.9:
        return math.nan
    return {"loss": (trial["x"] - 0.3) ** 2 + trial.get("drop", 0.1), "seed": trial.seed}
'''

SPACE: dict[str, Any] = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "lr": {"type": "float", "low": 1e-4, "high": 0.5, "log": True},
    "depth": {"type": "int", "low": 2, "high": 12},
    "kind": {"type": "choice", "choices": ["good", "bad"]},
    "drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"kind": ["bad"]}},
    "fixed": "binary:logistic",
}


@pytest.fixture(scope="session", autouse=True)
def _prefect_home() -> Iterator[None]:
    yield
    shutil.rmtree(_PREFECT_HOME, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _quiet_prefect() -> Iterator[None]:
    """Prefect's thread for events draws random numbers, for which Hypothesis fails other tests."""
    yield
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=5)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with all its tables: making them takes seconds, a copy takes none."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


class SweepFolder:
    """A folder with a sweep file, an objective and an embedded store."""

    def __init__(self, path: Path, migrated: Path, objective: str) -> None:
        self.path, self.mark = path, uuid.uuid4().hex
        (path / "mlruns").mkdir(parents=True)
        shutil.copy(migrated, path / "mlruns" / "mlflow.db")
        (path / "objective.py").write_text(objective)
        self.content: dict[str, Any] = {
            "name": "demo",
            "objective": "objective.py:objective",
            "space": SPACE,
            "budget": {"trials": 12},
            "generation": 4,
            "workers": 2,
            "seed": 7,
        }

    def write(self, **changes: Any) -> Path:
        """Write the sweep file with other values for some keys; None takes a key out."""
        self.content = {k: v for k, v in {**self.content, **changes}.items() if v is not None}
        file = self.path / "sweep.yaml"
        file.write_text(json.dumps(self.content, indent=2))  # which is YAML too
        return file

    def let_objective_begin_with(self, code: str) -> None:
        """Put code, indented as a function's body, before all that the objective does."""
        file, begin = self.path / "objective.py", "def objective(trial):\n"
        file.write_text(file.read_text().replace(begin, begin + code))


@pytest.fixture(scope="session")
def new_sweep_folder(migrated: Path) -> Callable[[Path], SweepFolder]:
    """Make a sweep folder at a path that is free."""
    return lambda path: SweepFolder(path, migrated, OBJECTIVE)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Stores]:
    """The stores beside SQLite; their servers start when first needed."""
    from backends import Stores

    found = Stores(tmp_path_factory.mktemp("stores"), migrated)
    yield found
    found.close()


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[Place | None]:
    """The store that a test is run on: SQLite (None), unless it asks for others by a mark."""
    name = getattr(request, "param", "sqlite")
    if name == "sqlite":
        yield None
        return
    with request.getfixturevalue("stores").place(name) as place:
        yield place


@pytest.fixture
def sweep_folder(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch, backend: Place | None
) -> Iterator[SweepFolder]:
    """A sweep of 12 trials in the current directory, and its store."""
    from places import embedded, placed

    folder = SweepFolder(tmp_path / "sweep", migrated, OBJECTIVE)
    folder.write()
    monkeypatch.chdir(folder.path)
    if backend is not None and backend.tracking_uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", backend.tracking_uri)
    with placed(folder.path, backend or embedded(folder.path)):
        yield folder


@pytest.fixture
def another_folder(tmp_path: Path, migrated: Path) -> SweepFolder:
    """The same sweep elsewhere, for what an undisturbed sweep gives."""
    folder = SweepFolder(tmp_path / "another", migrated, OBJECTIVE)
    folder.write()
    return folder


@pytest.fixture
def store(sweep_folder: SweepFolder) -> Store:
    """The store of the current directory's sweeps, open."""
    from lepton_tasks.store import connect

    return connect()


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Drivers]:
    """Starts drivers in processes of their own."""
    from drivers import Drivers

    folder = tmp_path_factory.mktemp("fork-server")
    (folder / "mlruns").mkdir()
    shutil.copy(migrated, folder / "mlruns" / "mlflow.db")
    started = Drivers(folder)
    yield started
    started.close()


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path, drivers: Drivers
) -> Callable[..., tuple[Any, Any]]:
    """The list and the best of sweeps that nobody disturbed, by what is changed in their file."""
    from histories import full_list

    known: dict[str, tuple[Any, Any]] = {}

    def run(**changes: Any) -> tuple[Any, Any]:
        key = repr(changes)
        if key not in known:
            folder = SweepFolder(
                tmp_path_factory.mktemp("undisturbed") / "sweep", migrated, OBJECTIVE
            )
            folder.write(**changes)
            best = drivers.run(folder.path, in_process=True).ending()["best"]
            known[key] = full_list(folder.path), best
        return known[key]

    return run


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """One real Prefect server on loopback, for all flows: starting one takes 6 seconds."""
    from prefect.settings import PREFECT_API_URL

    from lepton_tasks.prefect_server import loopback_server

    with loopback_server():
        yield str(PREFECT_API_URL.value())
