"""The proxy that harms requests: it does what it says, and to no other request."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fault_proxy import Fault, FaultProxy

BEFORE = (Fault.RESET_BEFORE, Fault.ERROR_500_BEFORE, Fault.ERROR_503_BEFORE)


@pytest.fixture
def applied():
    """What the server has applied, as method, path and body."""
    return []


@pytest.fixture
def proxy(applied):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            applied.append((self.command, self.path, body))
            answer = f"answer {len(applied)}".encode()
            self.send_response_only(201)
            self.send_header("X-Kept", "yes")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815  (the name that http.server looks for)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made = FaultProxy(server.server_address[1])
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def ask(proxy, method="POST", path="/a", body=b"body", timeout=5.0):
    """Status, body and one header of the answer, or the name of the error."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("X-Kept")
    except (OSError, RemoteDisconnected) as error:
        return type(error).__name__
    finally:
        connection.close()


def test_what_no_rule_is_for_passes_both_ways_unchanged(proxy, applied):
    proxy.add(Fault.RESET_BEFORE, "GET", "/b")
    assert ask(proxy) == (201, b"answer 1", "yes")
    assert ask(proxy, path="/b?c=d", body=b"x" * 100_000) == (201, b"answer 2", "yes")
    assert applied == [("POST", "/a", b"body"), ("POST", "/b?c=d", b"x" * 100_000)]


def test_the_nth_matching_request_is_harmed_and_no_other(proxy, applied):
    rule = proxy.add(Fault.ERROR_500_BEFORE, "POST", "/a$", nth=2, times=2)
    asked = [ask(proxy, *what)[0] for what in [("POST", "/a"), ("GET", "/a"), ("POST", "/ab")]]
    assert asked == [201, 201, 201]
    assert [ask(proxy)[0] for _ in range(3)] == [500, 500, 201]
    assert (rule.seen, rule.done, len(applied)) == (4, 2, 4)


def test_a_rule_may_look_into_the_body(proxy, applied):
    proxy.add(Fault.ERROR_500_BEFORE, body='"key": "b"')
    assert [ask(proxy, body=b'{"key": "%s"}' % key)[0] for key in (b"a", b"b", b"b")] == [
        201,
        500,
        201,
    ]


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER])
def test_a_reset_is_one_and_the_server_saw_the_request_only_if_it_came_after(proxy, applied, fault):
    proxy.add(fault)
    assert ask(proxy) == "ConnectionResetError"
    assert len(applied) == (fault not in BEFORE)
    assert ask(proxy)[0] == 201


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.ERROR_500_BEFORE, 500),
        (Fault.ERROR_500_AFTER, 500),
        (Fault.ERROR_503_BEFORE, 503),
        (Fault.ERROR_503_AFTER, 503),
    ],
)
def test_an_error_is_answered_and_the_server_saw_the_request_only_if_it_came_after(
    proxy, applied, fault, status
):
    proxy.add(fault)
    assert ask(proxy) == (status, b"harmed", None)
    assert len(applied) == (fault not in BEFORE)


def test_a_late_answer_finds_the_client_gone_and_the_request_applied(proxy, applied):
    proxy.add(Fault.LATE_ANSWER, seconds=0.4)
    assert ask(proxy, timeout=0.2) == "TimeoutError"
    assert len(applied) == 1
    proxy.await_late()
    assert len(applied) == 1


def test_a_late_request_is_applied_when_the_client_has_given_up(proxy, applied):
    proxy.add(Fault.LATE_REQUEST, seconds=0.4)
    assert ask(proxy, timeout=0.2) == "TimeoutError"
    assert applied == []
    assert ask(proxy, path="/next")[0] == 201
    proxy.await_late()
    assert [path for _, path, _ in applied] == ["/next", "/a"]


def test_a_request_delivered_twice_gets_the_second_answer(proxy, applied):
    proxy.add(Fault.TWICE)
    assert ask(proxy) == (201, b"answer 2", "yes")
    assert applied == [("POST", "/a", b"body")] * 2


def test_a_proxy_that_is_away_refuses_connections_and_comes_back_on_its_port(proxy, applied):
    port = proxy.port
    proxy.add(Fault.AWAY, seconds=0.3)
    assert ask(proxy) == "ConnectionResetError"
    refused, started = [], time.monotonic()
    while (found := ask(proxy)) == "ConnectionRefusedError":
        refused.append(found)
        time.sleep(0.02)
    assert refused
    assert time.monotonic() - started >= 0.2
    assert (found, proxy.port, len(applied)) == ((201, b"answer 1", "yes"), port, 1)


def test_of_two_requests_at_once_that_send_it_away_one_brings_it_back(proxy):
    proxy.add(Fault.AWAY, path="/a", times=2, seconds=0.2)
    with closing(connected(proxy)) as first, closing(connected(proxy)) as second:
        for connection in (first, second):
            connection.request("POST", "/a", b"x")
            with pytest.raises(ConnectionResetError):
                connection.getresponse()
    time.sleep(0.5)
    assert ask(proxy)[0] == 201


def connected(proxy):
    """A connection that the proxy has accepted, and keeps."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    connection.request("POST", "/first", b"x")
    connection.getresponse().read()
    return connection


def test_a_connection_that_is_kept_serves_many_requests(proxy, applied):
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    for _ in range(3):
        connection.request("POST", "/a", b"x")
        assert connection.getresponse().read().startswith(b"answer")
    connection.close()
    assert len(applied) == 3


def test_where_the_server_is_away_the_proxy_resets(proxy):
    proxy.target_port = 9  # nobody listens there
    assert ask(proxy) == "ConnectionResetError"
