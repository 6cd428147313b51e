"""A proxy on loopback between a client and an HTTP server, which does harm on request.

It counts the requests that match a rule (method and path) and harms the n-th of them; all others
pass. What the server did with a request and what the client hears of it are two things: each fault
says both.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
SERVER_SECONDS = 60.0


class Fault(Enum):
    """What happens to a request."""

    RESET_BEFORE = "the connection is reset, the server never saw the request"
    RESET_AFTER = "the connection is reset, the server has applied the request"
    ERROR_500_BEFORE = "HTTP 500, the server never saw the request"
    ERROR_500_AFTER = "HTTP 500, the server has applied the request"
    ERROR_503_BEFORE = "HTTP 503, the server never saw the request"
    ERROR_503_AFTER = "HTTP 503, the server has applied the request"
    LATE_ANSWER = "the server applies the request, the answer comes after the client gave up"
    LATE_REQUEST = "the server gets the request after the client gave up"
    TWICE = "the server gets the request twice, the client hears the second answer"
    AWAY = "the connection is reset, and for a while nobody listens"


STATUS = {
    Fault.ERROR_500_BEFORE: 500,
    Fault.ERROR_500_AFTER: 500,
    Fault.ERROR_503_BEFORE: 503,
    Fault.ERROR_503_AFTER: 503,
}
NEVER_FORWARDED = (Fault.RESET_BEFORE, Fault.ERROR_500_BEFORE, Fault.ERROR_503_BEFORE, Fault.AWAY)


@dataclass
class Rule:
    """Which requests are harmed, and how.

    Attributes:
        fault: What happens to them.
        method: The HTTP method, or a regular expression for it.
        path: A regular expression, found anywhere in the path.
        body: Text that is in the body.
        nth: Which of the matching requests, from 1.
        times: How many matching requests from the n-th on.
        seconds: How late an answer or a request is, or how long nobody listens.
        seen: How many requests matched so far.
        done: How many of them were harmed.
    """

    fault: Fault
    method: str = ".*"
    path: str = ""
    body: str = ""
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    seen: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Whether a request is counted."""
        found = re.fullmatch(self.method, method) and re.search(self.path, path)
        return bool(found) and self.body.encode() in body


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class FaultProxy:
    """The proxy, listening from the start.

    Args:
        target_port: Where the server listens on 127.0.0.1.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port, self.port = target_port, 0
        self.rules: list[Rule] = []
        self.requests: list[tuple[str, str, bytes]] = []
        self.late = 0
        self._lock = threading.Lock()
        self._listener: ThreadingHTTPServer | None = None
        self._closed = False
        self.listen()

    @property
    def uri(self) -> str:
        """What the client is told instead of the server's address."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, fault: Fault, *which: str, **more: Any) -> Rule:
        """Harm requests from now on: of which method, path and body, and more; see `Rule`."""
        rule = Rule(fault, *which, **more)
        with self._lock:
            self.rules.append(rule)
        return rule

    def rule_for(self, method: str, path: str, body: bytes) -> Rule | None:
        """The rule that harms this request; counts it in all rules that it matches."""
        found = None
        with self._lock:
            self.requests.append((method, path, body))
            for rule in self.rules:
                if rule.matches(method, path, body):
                    rule.seen += 1
                    if found is None and rule.nth <= rule.seen < rule.nth + rule.times:
                        rule.done += 1
                        found = rule
        return found

    # -- listening -------------------------------------------------------------------------

    def listen(self) -> None:
        """Accept connections, on the same port each time."""
        listener = _Listener(("127.0.0.1", self.port), self)
        self.port = int(listener.server_address[1])
        self._listener = listener
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()

    def refuse(self) -> bool:
        """Accept no connection until told to listen again; those that are open stay.

        Returns:
            Whether it was listening.
        """
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is None:
            return False
        listener.shutdown()
        listener.server_close()
        return True

    def refuse_for(self, seconds: float) -> None:
        """Accept no connection for a while; if it accepts none already, that goes on as it was."""

        def return_later() -> None:
            time.sleep(seconds)
            if not self._closed:
                self.listen()

        if self.refuse():
            threading.Thread(target=return_later, daemon=True).start()

    def await_late(self, patience: float = 10.0) -> None:
        """Return when no late request is under way any more."""
        deadline = time.monotonic() + patience
        while self.late:
            assert time.monotonic() < deadline, f"{self.late} late requests did not arrive"
            time.sleep(0.01)

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self.refuse()

    # -- forwarding ------------------------------------------------------------------------

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Let the server answer a request."""
        connection = HTTPConnection("127.0.0.1", self.target_port, timeout=SERVER_SECONDS)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def count_late(self, change: int) -> None:
        """One more, or one fewer, request is late."""
        with self._lock:
            self.late += change


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    block_on_close = False

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gave up closes its connection under our feet."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""

    def handle_any(self) -> None:
        proxy = self.server.proxy
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}

        def forward() -> Answer:
            return proxy.forward(self.command, self.path, headers, body)

        rule = proxy.rule_for(self.command, self.path, body)
        try:
            if rule is None:
                self._answer(forward())
            else:
                self._harm(rule, forward)
        except (HTTPException, OSError):  # the server is away: so is the proxy
            self._reset()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def _harm(self, rule: Rule, forward: Callable[[], Answer]) -> None:
        proxy, fault = self.server.proxy, rule.fault
        if fault == Fault.AWAY:
            proxy.refuse_for(rule.seconds)
        if fault in (Fault.LATE_ANSWER, Fault.LATE_REQUEST):
            self._be_late(rule, forward)
            return
        answer = None if fault in NEVER_FORWARDED else forward()
        if fault == Fault.TWICE:
            self._answer(forward())
        elif fault in STATUS:
            self._answer(Answer(STATUS[fault], [("Content-Type", "text/plain")], b"harmed"))
        else:
            assert fault in (Fault.RESET_BEFORE, Fault.AWAY) or answer is not None
            self._reset()

    def _be_late(self, rule: Rule, forward: Callable[[], Answer]) -> None:
        proxy = self.server.proxy
        proxy.count_late(1)
        try:
            if rule.fault == Fault.LATE_ANSWER:
                answer = forward()
                time.sleep(rule.seconds)
            else:
                time.sleep(rule.seconds)
                answer = forward()
        finally:
            proxy.count_late(-1)
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        """End the connection by a reset, as a crashed peer does, and not by an orderly end."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # `shutdown` would send an orderly end first; the files hold the socket open.
        self.wfile.close()
        self.rfile.close()
        self.connection.close()
