"""A server that answers badly: the sweep that goes through it is as if nothing had happened."""

from __future__ import annotations

import os

import pytest
from backends import SERVER_ON_SQLITE, on_stores
from fault_proxy import Fault
from tests.stores.conftest import HASTY, LATE_S, SMALL

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))
CALLS = {
    "create_experiment": ("POST", r"/experiments/create$"),
    "get_experiment": ("GET", r"/experiments/get-by-name\?"),
    "create_run": ("POST", r"/runs/create$"),
    "get_run": ("GET", r"/runs/get\?"),
    "search_runs": ("POST", r"/runs/search$"),
    "log_batch": ("POST", r"/runs/log-batch$"),
    "log_param": ("POST", r"/runs/log-parameter$"),
    "set_tag": ("POST", r"/runs/set-tag$"),
    "set_terminated": ("POST", r"/runs/update$"),
    "artifact": ("PUT", r"/mlflow-artifacts/"),
}
SECONDS = {Fault.LATE_ANSWER: LATE_S, Fault.LATE_REQUEST: LATE_S, Fault.AWAY: 1.0}

pytestmark = on_stores(SERVER_ON_SQLITE)


@pytest.mark.parametrize("nth", [1, -1])
@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_matrix(sweep_folder, drivers, proxy, assert_nothing_happened, fault, call, nth, counts):
    if nth == -1:
        nth = counts[call]
    if nth > counts[call]:
        pytest.skip("no such call")
    sweep_folder.write(**SMALL)
    rule = proxy.add(fault, *CALLS[call], nth=nth, seconds=SECONDS.get(fault, 0.0))
    env = {**HASTY, "MLFLOW_TRACKING_URI": proxy.uri}
    driver = drivers.start(sweep_folder.path, in_process=True, env=env)
    code = driver.wait()
    proxy.await_late()
    assert code == 0, driver.said()
    assert rule.done == 1
    assert_nothing_happened(sweep_folder.path, driver.ending()["best"], **SMALL)


@pytest.fixture(scope="session")
def counts(stores, drivers, new_sweep_folder, tmp_path_factory):
    from collections import Counter
    import re
    from fault_proxy import FaultProxy

    server = stores.server(SERVER_ON_SQLITE)
    proxy = FaultProxy(server.port)
    folder = new_sweep_folder(tmp_path_factory.mktemp("counts") / "sweep")
    folder.write(**SMALL)
    drivers.run(folder.path, in_process=True, env={**HASTY, "MLFLOW_TRACKING_URI": proxy.uri})
    proxy.close()
    from backends import _empty
    _empty(server.database, stores._pristine[SERVER_ON_SQLITE])
    found = Counter(
        name
        for name, (method, path) in CALLS.items()
        for m, p in proxy.requests
        if m == method and re.search(path, p)
    )
    return found
