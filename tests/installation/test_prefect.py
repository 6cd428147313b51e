"""``lepton doctor`` on a real Prefect server: its work pools, its version, and when it is away."""

from __future__ import annotations

import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import prefect
import pytest
from http_servers import served
from ports import free_port
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from lepton_tasks.installation.prefect_api import (
    PrefectApi,
    WorkPool,
    ask,
    check_away,
    check_none,
    check_pools,
    check_server,
)
from lepton_tasks.installation.telemetry import check_telemetry

API = "http://me:secret@127.0.0.1:4200/api"


@pytest.fixture
def pool(prefect_api):
    """A work pool of that name on the server, which goes with the test."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="nightly", type="process"))
        yield "nightly"
        client.delete_work_pool("nightly")


def test_a_real_server_is_well_and_its_clock_is_read(empty_folder, doctor, prefect_api):
    told = doctor()
    assert (told.code, told.wrong()) == (0, {}), told.checks
    found = told.checks["prefect server"]["found"]
    assert found == f"{prefect_api} is {prefect.__version__}; the client is {prefect.__version__}"
    assert "the Prefect server agrees" in told.checks["clock"]["found"]
    assert told.checks["telemetry"]["found"] == "off"


def test_a_work_pool_without_a_worker_and_a_paused_one_are_warnings(empty_folder, doctor, pool):
    told = doctor()
    assert (told.code, told.wrong()) == (0, {"work pools": "warning"})
    assert told.checks["work pools"]["found"] == "nightly (process, not ready)"
    assert told.checks["work pools"]["advice"] == "prefect worker start --pool nightly"
    with get_client(sync_client=True) as client:
        client.request("PATCH", f"/work_pools/{pool}", json={"is_paused": True})
    told = doctor()
    assert told.checks["work pools"]["found"] == "nightly (process, paused)"
    assert told.checks["work pools"]["advice"] == "prefect work-pool resume nightly"


def test_a_server_that_is_away_is_a_problem_and_said_soon(empty_folder, doctor):
    began = time.monotonic()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        told = doctor()
    assert time.monotonic() - began < 20
    assert (told.code, told.state("prefect server"), told.state("work pools")) == (
        1,
        "problem",
        "skipped",
    )


@contextmanager
def answering(status, text):
    """A server that is none of Prefect's, and answers every call so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with served(Handler) as address:
        yield f"{address}/api"


def away(api):
    with temporary_settings({PREFECT_API_URL: api}), pytest.raises(Exception, match=r".") as caught:
        ask()
    return check_away(api, caught.value)


@pytest.mark.parametrize(
    ("status", "text", "found", "advice"),
    [
        (404, "<html>", "answers with HTTP 404, as no API of Prefect's", "4200/api"),
        (200, "<html>", "answers, but not as Prefect's API", "4200/api"),
        (200, "{}", "answers, but not as Prefect's API", "4200/api"),
        (401, "{}", "answers with HTTP 401", "PREFECT_API_AUTH_STRING"),
        (403, "{}", "answers with HTTP 403", "PREFECT_API_KEY"),
        (500, "{}", "answers with HTTP 500", "that server's log"),
    ],
)
def test_a_server_that_answers_otherwise_is_not_said_to_be_away(status, text, found, advice):
    with answering(status, text) as api:
        check = away(api)
    assert (check.state, found in check.found, advice in check.advice) == ("problem", True, True)
    assert "does not answer" not in check.found
    assert "prefect server start" not in check.advice


def test_a_prefect_server_without_the_path_of_its_api_is_told_so(prefect_api):
    check = away(prefect_api.removesuffix("/api"))
    assert "does not answer" not in check.found
    assert "http://HOST:4200/api" in check.advice


@pytest.mark.parametrize(
    ("api", "found"),
    [
        ("http://me:S3k/ret@127.0.0.1", "http://me:***@127.0.0.1 is no URL"),
        ("htp://127.0.0.1/api", "does not begin with http:// or https://"),
        ("127.0.0.1:4200/api", "does not begin with http:// or https://"),
    ],
)
def test_an_address_that_is_none_is_said_in_own_words(api, found):
    check = away(api)
    assert found in check.found
    assert "S3k" not in check.found + check.advice


def test_where_none_is_configured_that_is_well(empty_folder, doctor):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        told = doctor()
    assert (told.code, told.checks["prefect server"]["found"]) == (0, check_none().found)
    assert "work pools" not in told.checks
    assert "Prefect's database" in told.checks["file system"]["found"]


def told_by(version):
    return PrefectApi(version, sends=None, clock=None, pools=())


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("2.20.3", "problem"),
        ("4.0.0", "problem"),
        ("3.0.0", "warning"),
        ("3.999.0", "ok"),
        ("what", "warning"),
        (None, "ok"),
    ],
)
def test_a_servers_version_may_be_later_but_of_the_same_major_release(version, state):
    check = check_server(API, told_by(version))
    assert (check.state, "secret" in check.found) == (state, False)


def test_of_many_work_pools_some_are_shown():
    pools = tuple(WorkPool(f"pool{n}", "process", "READY", paused=False) for n in range(9))
    check = check_pools(PrefectApi(None, None, None, pools))
    assert (check.state, check.found.endswith("and 4 more")) == ("ok", True)


def test_who_is_told_is_said(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    assert check_telemetry(prefect_server_sends=False).state == "ok"
    assert check_telemetry(prefect_server_sends=True).state == "warning"
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")  # which MLflow does not understand
    check = check_telemetry(prefect_server_sends=None)
    assert (check.state, check.advice) == ("warning", "set MLFLOW_DISABLE_TELEMETRY=true")
