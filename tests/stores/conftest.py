"""Sweeps against a store that fails: what an undisturbed one gives, and how to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backends import SERVER_ON_SQLITE, Stores
from fault_proxy import FaultProxy
from histories import all_runs, assert_sound, full_list, of_kind, trials
from mlflow_server import MlflowServer

SMALL = {"budget": {"trials": 6}, "generation": 3}
HASTY = {
    # Seconds, so that what is late is late soon; and a beat six times a second.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
    "LEPTON_LEASE_SECONDS": "1",
}
LATE_S = 1.5


@pytest.fixture
def server(stores: Stores) -> MlflowServer:
    """The MLflow server over SQLite that the test's sweeps are in."""
    return stores.server(SERVER_ON_SQLITE)


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[FaultProxy]:
    """A proxy before that server."""
    made = FaultProxy(server.port)
    yield made
    made.close()


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, new_sweep_folder: Callable, drivers: Any
) -> Callable[..., tuple[Any, Any]]:
    """The list and the best of a sweep that nobody disturbed, on SQLite, by its changes."""
    known: dict[str, tuple[Any, Any]] = {}

    def run(**changes: Any) -> tuple[Any, Any]:
        key = repr(changes)
        if key not in known:
            folder = new_sweep_folder(tmp_path_factory.mktemp("undisturbed") / "sweep")
            folder.write(**changes)
            best = drivers.run(folder.path, in_process=True).ending()["best"]
            known[key] = full_list(folder.path), best
        return known[key]

    return run


@pytest.fixture
def assert_nothing_happened(
    undisturbed: Callable[..., tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Hold a sweep's history against that of an undisturbed one."""

    def check(folder: Path, best: Any, **changes: Any) -> None:
        from lepton.cli import main

        assert_sound(folder)
        expected, expected_best = undisturbed(**changes)
        assert full_list(folder) == expected
        assert best == expected_best
        (parent,) = of_kind(folder, "sweep")
        assert parent.status == "FINISHED"
        for run in trials(folder):
            assert all(len(values) == 1 for values in run.history.values()), run
        assert [r.status for r in all_runs(folder) if r.status == "RUNNING"] == []
        capsys.readouterr()
        assert main(["verify", "demo"]) == 0, capsys.readouterr().out

    return check
