"""A server that answers badly: the sweep that goes through it is as if nothing had happened."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from backends import SERVER_ON_SQLITE, on_stores
from fault_proxy import Fault, FaultProxy, Rule
from histories import trials

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # one sweep for each kind of call
SMALL = {"budget": {"trials": 6}, "generation": 3}
CALLS = {
    "create_experiment": ("POST", r"/experiments/create$"),
    "get_experiment": ("GET", r"/experiments/get-by-name\?"),
    "create_run": ("POST", r"/runs/create$"),
    "get_run": ("GET", r"/runs/get\?"),
    "search_runs": ("POST", r"/runs/search$", '"max_results": 1000'),
    "confirm_lease": ("POST", r"/runs/search$", "epoch/"),
    "log_batch": ("POST", r"/runs/log-batch$"),
    "log_param": ("POST", r"/runs/log-parameter$"),
    "set_tag": ("POST", r"/runs/set-tag$"),
    "set_terminated": ("POST", r"/runs/update$"),
    "log_artifact": ("PUT", r"/mlflow-artifacts/"),
}
AS_TIME_ALLOWS = ("confirm_lease", "set_tag")  # these are a heartbeat's
WRITES_OF_TRIALS = ("create_run", "log_batch", "log_param", "set_terminated")
LATE_S, AWAY_S = 1.5, 1.0
SECONDS = {Fault.LATE_ANSWER: LATE_S, Fault.LATE_REQUEST: LATE_S, Fault.AWAY: AWAY_S}
HASTY = {
    # Seconds, so that what is late is late soon, and a heartbeat six times a second.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
    "LEPTON_LEASE_SECONDS": "1",
}

each_fault = pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
pytestmark = on_stores(SERVER_ON_SQLITE)


@pytest.fixture
def drive(sweep_folder, drivers, proxy):
    """Drives a small sweep through the proxy to its end."""

    def run():
        sweep_folder.write(**SMALL)
        env = {**HASTY, "MLFLOW_TRACKING_URI": proxy.uri}
        driver = drivers.run(sweep_folder.path, sweep_folder.mark, env=env)
        proxy.await_late()
        return driver

    return run


@each_fault
def test_a_fault_at_every_kind_of_call_leaves_no_trace(
    sweep_folder, drive, proxy, assert_unharmed, fault
):
    seconds = SECONDS.get(fault, 0.0)
    kinds = WRITES_OF_TRIALS if seconds else CALLS  # each of these costs a second and more
    rules = [proxy.add(fault, *CALLS[kind], nth=2, seconds=seconds) for kind in kinds]
    rules += [
        proxy.add(fault, *CALLS["log_param"], body=key, seconds=seconds)
        for key in ("seal/", "released/")
    ]
    rules.append(proxy.add(fault, *CALLS["create_run"], body='"trial"', seconds=seconds))
    driver = drive()
    assert [rule.done for rule in rules] == [1] * len(rules)
    assert_unharmed(sweep_folder, driver.ending()["best"], **SMALL)
    # What was made is found again; only what is made twice behind the driver's back is one more.
    made_twice = fault in (Fault.TWICE, Fault.LATE_REQUEST)
    assert len(trials(sweep_folder.path)) == 6 + made_twice


@pytest.fixture(scope="session")
def counts(stores, drivers, new_sweep_folder, tmp_path_factory):
    """How many calls of each kind an undisturbed sweep makes."""
    folder = new_sweep_folder(tmp_path_factory.mktemp("counts") / "sweep")
    folder.write(**SMALL)
    proxy = FaultProxy(stores.server(SERVER_ON_SQLITE).port)
    drivers.run(folder.path, env={**HASTY, "MLFLOW_TRACKING_URI": proxy.uri})
    proxy.close()
    return Counter(
        kind
        for kind, call in CALLS.items()
        for asked in proxy.requests
        if Rule(Fault.RESET_BEFORE, *call).matches(*asked)
    )


def single_faults():
    """Which fault at which kind of call, and at which of those calls; -1 is the last one."""
    if THOROUGH:
        known = [(fault, kind, nth) for fault in Fault for kind in CALLS for nth in (1, 5, -1)]
        # A run that is made when its driver has left is another matter: see the test below.
        return [one for one in known if one[:2] != (Fault.LATE_REQUEST, "create_run")]
    leaving = ("search_runs", "set_terminated")  # the last of them are the driver's last calls
    return [(Fault.RESET_BEFORE, kind, -1) for kind in leaving] + [(Fault.AWAY, "create_run", 5)]


@pytest.mark.parametrize(
    ("fault", "kind", "nth"),
    single_faults(),
    ids=lambda value: value.name.lower() if isinstance(value, Fault) else str(value),
)
def test_a_single_fault_leaves_no_trace(
    sweep_folder, drive, proxy, counts, assert_unharmed, fault, kind, nth
):
    known = counts[kind]
    number = known if nth < 0 else min(nth, known)
    rule = proxy.add(fault, *CALLS[kind], nth=number, seconds=SECONDS.get(fault, 0.0))
    driver = drive()
    assert rule.done == 1 or kind in AS_TIME_ALLOWS
    assert_unharmed(sweep_folder, driver.ending()["best"], **SMALL)


def test_a_run_made_by_a_request_that_came_when_its_driver_had_left_is_named_and_then_marked(
    sweep_folder, drive, drivers, proxy, counts, assert_unharmed, capsys
):
    from lepton.cli import main

    late = proxy.add(Fault.LATE_REQUEST, *CALLS["create_run"], nth=counts["create_run"], seconds=4)
    best = drive().ending()["best"]
    assert late.done == 1
    assert main(["verify", "demo"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is RUNNING, though nobody drives; recorded: nothing yet" in said
    again = drivers.run(sweep_folder.path, sweep_folder.mark)
    assert "began 2" in again.said()
    assert_unharmed(sweep_folder, best, **SMALL)
    assert drivers.run(sweep_folder.path).ending()["ending"] == "nothing to do"
