"""The MLflow server: its version, its clock, and whether its calls wait for late packets."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from lepton_tasks.installation.check import Check
from lepton_tasks.installation.clock import Reading, of_date_header
from lepton_tasks.installation.requirements import is_within, required
from lepton_tasks.store_advice import advice_on_status

if TYPE_CHECKING:
    from requests import Response

ANSWER_SECONDS = 5.0
CALLS = 5
# Linux acknowledges late, 40 ms, where a server sends an answer in two pieces and waits in between.
DELAYED_S = 0.02
MAX_VERSION = 40  # characters


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """What a server told, in a second.

    Attributes:
        version: Of MLflow; None if the answer was none.
        status: The HTTP status of that answer.
        clock: Its machine's.
        kept_s: The quickest call over a connection that is kept, in seconds.
        fresh_s: The quickest over one that is made for it; infinite if none was answered.
    """

    version: str | None
    status: int
    clock: Reading | None
    kept_s: float
    fresh_s: float


def ask(uri: str) -> TrackingServer:
    """Ask a server, as MLflow's client would: with its credentials and certificates.

    Raises:
        mlflow.exceptions.MlflowException: It does not answer within `ANSWER_SECONDS`.
    """
    answer, before, after = _call(uri, close=False)
    kept = min(_seconds(uri, close=False) for _ in range(CALLS))
    # The first of these goes over the connection that was kept, and ends it. A server that ends one
    # without saying so makes the next call fail that was sent meanwhile.
    fresh = min(_seconds_if_answered(uri) for _ in range(CALLS + 1))
    clock = of_date_header("the tracking server", answer.headers.get("Date"), before, after)
    return TrackingServer(_version(answer), answer.status_code, clock, kept, fresh)


def _call(uri: str, *, close: bool) -> tuple[Response, float, float]:
    from mlflow.utils import credentials, rest_utils  # noqa: PLC0415  (they cost a second)

    untyped: Any = rest_utils
    before = time.time()
    answer = untyped.http_request(
        credentials.get_default_host_creds(uri),  # type: ignore[no-untyped-call]
        "/version",
        "GET",
        max_retries=0,
        timeout=ANSWER_SECONDS,
        raise_on_status=False,
        extra_headers={"Connection": "close"} if close else None,
    )
    return answer, before, time.time()


def _seconds(uri: str, *, close: bool) -> float:
    before = time.perf_counter()
    _call(uri, close=close)
    return time.perf_counter() - before


def _seconds_if_answered(uri: str) -> float:
    """Over a connection that ends with the call; infinite if there was no answer."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return _seconds(uri, close=True)
    except MlflowException:
        return math.inf


def _version(answer: Response) -> str | None:
    text = answer.text[:MAX_VERSION].strip()
    try:
        return str(Version(text)) if answer.ok else None
    except InvalidVersion:
        return None


def check_version(server: TrackingServer) -> Check:
    """Whether the client here and that server go together."""
    import mlflow  # noqa: PLC0415

    name, here, asked = "server version", mlflow.__version__, required("mlflow")
    expected = f"MLflow {asked}, best the client's own {here}"
    if server.version is None:
        found = f"no version: /version answers with HTTP {server.status}"
        return Check(name, "warning", found, expected, advice_on_status(server.status))
    found = f"{server.version}; the client is {here}"
    if is_within(server.version, asked):
        return Check(name, "ok", found, expected)
    same = Version(server.version).major == Version(here).major
    older = Version(server.version) < Version(here)
    advice = "upgrade the server (back its database up, then mlflow db upgrade)"
    return Check(
        name,
        "warning" if same else "problem",
        found,
        expected,
        advice if older else "upgrade Lepton and its MLflow",
    )


def check_workers(server: TrackingServer) -> Check:
    """Whether each call waits for a delayed acknowledgement, as with several uvicorn workers."""
    if server.version is None:
        return Check("server workers", "skipped", "not looked at, as no MLflow answered", "")
    delayed = server.kept_s > server.fresh_s + DELAYED_S
    kept, fresh = (_milliseconds(seconds) for seconds in (server.kept_s, server.fresh_s))
    return Check(
        "server workers",
        "warning" if delayed else "ok",
        f"a call takes {kept}, over a new connection {fresh}",
        "no longer than over a new connection",
        "start the server with --workers 1, or with --gunicorn-opts '--workers 2': with several "
        "uvicorn workers each call waits for the network's own delays"
        if delayed
        else "",
    )


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if math.isfinite(seconds) else "not answered"
