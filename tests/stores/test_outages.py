"""A store that goes away in mid-sweep: it is waited for, visibly, and for a bounded time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from backends import POSTGRESQL, SERVER_ON_POSTGRESQL, SERVER_ON_SQLITE, on_stores
from histories import trials

SMALL = {"budget": {"trials": 12}, "generation": 3}
ENV = {"PAUSE": "0.2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
AWAY_S = 2.0


@dataclass(frozen=True)
class Outage:
    """How the store of a test goes away, and comes back."""

    begin: Callable[[], None]
    end: Callable[[], None]


@pytest.fixture
def outage(request, stores, backend):
    """SIGKILL to the server that the driver talks to, and its start on the same port."""
    if backend.tracking_uri.startswith("postgresql"):
        made = Outage(lambda: stores.postgres.stop(signal.SIGKILL), stores.postgres.start)
    else:
        server = next(s for s in stores.running if s.uri == backend.tracking_uri)
        made = Outage(server.kill, server.start)
    yield made
    stores.restart_what_is_down()


def lines(driver, start):
    return [line for line in driver.said().splitlines() if line.startswith(start)]


@on_stores(SERVER_ON_SQLITE, SERVER_ON_POSTGRESQL, POSTGRESQL)
def test_a_store_killed_in_mid_sweep_and_started_again_is_waited_for(
    sweep_folder, drivers, outage, assert_unharmed
):
    sweep_folder.write(**SMALL)
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, env=ENV)
    driver.await_line("trial")
    outage.begin()
    time.sleep(AWAY_S)
    assert driver.poll() is None, driver.said()
    outage.end()
    assert driver.wait() == 0, driver.said()
    (away,) = lines(driver, "say the tracking store")[:1]
    assert "is away: " in away
    assert driver.said().count("is away: ") == 1
    assert "trying again for up to 10 min (LEPTON_STORE_PATIENCE_SECONDS sets it)" in driver.said()
    assert driver.said().count("the tracking store is back after") == 1
    assert "Traceback" not in driver.said()
    assert_unharmed(sweep_folder, driver.ending()["best"], **SMALL)
    assert {run.status for run in trials(sweep_folder.path)} <= {"FINISHED", "FAILED"}


@on_stores(SERVER_ON_SQLITE, POSTGRESQL)
def test_a_store_that_stays_away_ends_the_driver_and_the_same_command_goes_on_later(
    sweep_folder, drivers, outage, assert_unharmed
):
    sweep_folder.write(**SMALL)
    env = {**ENV, "LEPTON_STORE_PATIENCE_SECONDS": "2"}
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, env=env)
    driver.await_line("sealed 0")
    outage.begin()
    began = time.monotonic()
    assert driver.wait() == 7, driver.said()
    assert 1.5 < time.monotonic() - began < 30
    assert "error StoreUnreachableError the tracking store" in driver.said()
    assert "what was recorded is safe, and the same command goes on from there" in driver.said()
    assert "Traceback" not in driver.said()
    outage.end()
    again = drivers.run(sweep_folder.path, sweep_folder.mark, env=env)
    assert_unharmed(sweep_folder, again.ending()["best"], **SMALL)


@on_stores(SERVER_ON_SQLITE)
def test_a_driver_that_waits_for_its_store_leaves_when_it_is_told_to(
    sweep_folder, drivers, outage, assert_unharmed
):
    sweep_folder.write(**SMALL)
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, env=ENV)
    driver.await_line("sealed 0")
    outage.begin()
    driver.await_line("say the tracking store")
    told = time.monotonic()
    driver.signal(signal.SIGTERM)
    assert driver.wait() == 7, driver.said()
    assert time.monotonic() - told < 30
    outage.end()
    again = drivers.run(sweep_folder.path, sweep_folder.mark, env=ENV)
    assert_unharmed(sweep_folder, again.ending()["best"], **SMALL)
