"""Fixtures of the tests of deployments: a server that schedules, its worker, deployed sweeps."""

from __future__ import annotations

import uuid

import pytest
from ports import free_port
from scheduled import Api, worker

from lepton.cli import main

POOL = "here"
MARKED = uuid.uuid4().hex


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A Prefect server with its scheduler, a database of its own, and a pool."""
    from prefect.settings import PREFECT_API_URL

    from lepton_tasks.prefect_server import scheduling_server

    database = tmp_path_factory.mktemp("prefect") / "prefect.db"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{database}")
        with scheduling_server(free_port()):
            found = Api(str(PREFECT_API_URL.value()))
            found.ask("/work_pools/", {"name": POOL, "type": "process"})
            yield found


@pytest.fixture(scope="module")
def pool(api, tmp_path_factory):
    """A worker of the pool, in a folder of its own."""
    folder = tmp_path_factory.mktemp("worker")
    with worker(api.url, POOL, folder, MARKED):
        yield folder / "worker.txt"


@pytest.fixture
def deployed(sweep_folder, api, pool):
    """Deploy the sweep of the current directory, with other values for some keys of its file."""
    name = f"night-{uuid.uuid4().hex[:8]}"

    def deploy(**changes):
        sweep_folder.write(name=name, **changes)
        assert main(["deploy", "sweep.yaml", "--cron", "0 2 * * *", "--pool", POOL, "--json"]) == 0
        return name

    return deploy
