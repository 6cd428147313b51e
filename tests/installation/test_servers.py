"""``lepton doctor`` on servers that are away, slow, of other versions, or on another clock."""

from __future__ import annotations

import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socket import socket

import mlflow
import pytest
from backends import SERVER_ON_SQLITE, on_stores
from http_servers import served
from ports import free_port

from lepton_tasks.installation import tracking_server
from lepton_tasks.installation.clock import check_clocks, reading

SOON_S = 30.0


@contextmanager
def serving(text, *, status=200, ahead_s=0.0, kept_s=0.0):
    """A server that answers every call so; over a connection that is kept, later."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        calls = 0

        def do_GET(self):
            self.calls += 1
            if self.calls > 1:
                time.sleep(kept_s)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp=None):
            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, *_):
            pass

    with served(Handler) as address:
        yield address


@pytest.fixture
def silent_port():
    """A port on which connections are taken, and nothing is ever answered."""
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:{}", "postgresql://me:secret@127.0.0.1:{}/db"])
def test_a_store_that_is_away_is_said_at_once_and_the_rest_is_not_looked_at(
    empty_folder, doctor, monkeypatch, uri
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(free_port()))
    began = time.monotonic()
    told = doctor()
    assert time.monotonic() - began < SOON_S
    assert (told.code, told.state("store")) == (7, "problem")
    assert [told.state(one) for one in ("writing", "limits", "artifacts")] == ["skipped"] * 3
    assert "secret" not in str(told.checks)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:{}", "postgresql://me:secret@127.0.0.1:{}/db"])
def test_a_store_that_takes_connections_and_never_answers_is_given_up_soon(
    empty_folder, doctor, monkeypatch, silent_port, uri
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(silent_port))
    began = time.monotonic()
    told = doctor()
    assert time.monotonic() - began < SOON_S
    assert (told.code, told.state("store")) == (7, "problem")


@pytest.mark.parametrize(
    ("version", "state"),
    [(mlflow.__version__, "ok"), ("3.999.0", "ok"), ("3.1.0", "warning"), ("2.22.0", "problem")],
)
def test_a_servers_version_is_held_against_the_range_that_lepton_declares(version, state):
    with serving(version) as uri:
        check = tracking_server.check_version(tracking_server.ask(uri))
    assert (check.state, check.found) == (state, f"{version}; the client is {mlflow.__version__}")


ANSWERS = [
    (401, "no", "MLFLOW_TRACKING_USERNAME"),
    (401, '{"error_code": "UNAUTHENTICATED", "message": "who?"}', "MLFLOW_TRACKING_USERNAME"),
    (403, "Invalid Host header", "--allowed-hosts"),
    (404, "<html>no\x1b[2J</html>", "something other than MLflow answers there"),
    (404, '{"detail": "Not Found"}', "something other than MLflow answers there"),
    (200, "<html>hello</html>", "something other than MLflow answers there"),
    (200, "{}", "omething other than MLflow answers there"),
    (503, "busy", "the server's log"),
]


@pytest.mark.parametrize(("status", "text", "advice"), ANSWERS)
def test_a_server_that_tells_no_version_is_a_warning(status, text, advice):
    with serving(text, status=status) as uri:
        server = tracking_server.ask(uri)
    check = tracking_server.check_version(server)
    assert (check.state, f"HTTP {status}" in check.found) == ("warning", True)
    assert advice in check.advice
    assert tracking_server.check_workers(server).state == "skipped"


@pytest.mark.parametrize(("status", "text", "advice"), ANSWERS)
def test_a_server_that_is_none_of_mlflows_cannot_be_written_and_what_fits_is_advised(
    empty_folder, doctor, monkeypatch, status, text, advice
):
    with serving(text, status=status) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        told = doctor()
    assert (told.code, told.state("server version")) == (7, "warning")
    assert told.state("writing") == "problem"
    assert advice in told.checks["writing"]["advice"]
    assert "the same command" not in told.checks["writing"]["advice"]


@pytest.mark.parametrize(
    ("ahead_s", "state", "said"),
    [(0, "ok", "agrees"), (3600, "warning", "1 h ahead"), (-3600, "warning", "1 h behind")],
)
def test_a_server_on_another_clock_is_a_warning(ahead_s, state, said):
    with serving(mlflow.__version__, ahead_s=ahead_s) as uri:
        clock = tracking_server.ask(uri).clock
    check = check_clocks([clock])
    assert (check.state, said in check.found) == (state, True), check


def test_a_slow_answer_is_not_taken_for_a_clock_that_is_off():
    assert check_clocks([reading("it", 110.0, 100.0, 108.0, 1.0)]).state == "ok"
    assert check_clocks([reading("it", 120.0, 100.0, 108.0, 1.0)]).state == "warning"


def test_calls_that_wait_only_over_a_connection_that_is_kept_are_a_warning():
    with serving(mlflow.__version__, kept_s=0.044) as uri:
        check = tracking_server.check_workers(tracking_server.ask(uri))
    assert (check.state, "--workers 1" in check.advice) == ("warning", True), check


@on_stores(SERVER_ON_SQLITE)
def test_a_real_server_with_one_worker_is_well_in_all_of_this(sweep_folder, doctor):
    told = doctor()
    names = ("server version", "server workers", "clock")
    assert [told.state(one) for one in names] == ["ok", "ok", "ok"], told.checks
