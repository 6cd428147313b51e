"""Sweeps on stores that fail: a proxy that harms them, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from aftermath import assert_as_if_nothing_had_happened
from backends import SERVER_ON_SQLITE, Stores
from fault_proxy import FaultProxy
from histories import all_runs, trials

if TYPE_CHECKING:
    from mlflow_server import MlflowServer


@pytest.fixture
def server(stores: Stores) -> MlflowServer:
    """The MLflow server over SQLite."""
    return stores.server(SERVER_ON_SQLITE)


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[FaultProxy]:
    """A proxy before that server."""
    made = FaultProxy(server.port)
    yield made
    made.close()


@pytest.fixture
def assert_unharmed(
    undisturbed: Callable[..., tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Hold a sweep that reached its target against an undisturbed one, and let `verify` prove it.

    `changes` are those of the sweep file.
    """

    def check(folder: Any, best: Any, **changes: Any) -> None:
        from lepton.cli import main

        assert_as_if_nothing_had_happened(folder, undisturbed, best, **changes)
        for run in trials(folder.path):  # nothing was measured twice
            assert all(len(values) == 1 for values in run.history.values()), run
        (ledger,) = [r for r in all_runs(folder.path) if "seal/00000000/000001" in r.params]
        seals = [key for key in ledger.params if key.count("/") == 2 and key.startswith("seal/")]
        assert len({key.split("/")[1] for key in seals}) == len(seals)
        capsys.readouterr()
        code = main(["verify", "demo"])
        assert code == 0, capsys.readouterr()

    return check
