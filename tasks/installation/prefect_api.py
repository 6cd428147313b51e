"""The Prefect server that is configured: whether it answers, its version, its work pools."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from lepton_core.canonical import visible
from lepton_tasks.installation.check import Check, State, gravest
from lepton_tasks.installation.clock import Reading, of_date_header
from lepton_tasks.redaction import redacted, without_secrets

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

ANSWER_SECONDS = 5.0
SHOWN = 5  # work pools
RIGHT_URL = "set PREFECT_API_URL to the address of its API, such as http://HOST:4200/api"
REFUSED, FAILED = (401, 403), 500  # HTTP statuses


@dataclass(frozen=True, slots=True)
class WorkPool:
    """A work pool, as the server tells it."""

    name: str
    kind: str
    status: str
    paused: bool


@dataclass(frozen=True, slots=True)
class PrefectApi:
    """What the server told.

    Attributes:
        version: Its own; None of Prefect Cloud, which fits every client.
        sends: Whether it sends usage data; None if it did not say.
        clock: Its machine's.
        pools: Its work pools.
    """

    version: str | None
    sends: bool | None
    clock: Reading | None
    pools: tuple[WorkPool, ...]


def configured() -> str | None:
    """The API that is configured, by the environment or by Prefect's profile; else None."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415  (costs a second)

    return PREFECT_API_URL.value() or None


def home() -> Path:
    """Where Prefect keeps its own database."""
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415

    return Path(PREFECT_HOME.value())


@contextmanager
def in_haste(seconds: float) -> Iterator[None]:
    """Clients made in the body try once, for so long; else for one minute, six times."""
    from prefect.settings import (  # noqa: PLC0415
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    with temporary_settings({PREFECT_API_REQUEST_TIMEOUT: seconds, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


def ask() -> PrefectApi:
    """Ask the configured server, with Prefect's own client, once.

    Raises:
        httpx.HTTPError: It does not answer in time, or refuses.
    """
    from prefect.client.base import ServerType  # noqa: PLC0415
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    with in_haste(ANSWER_SECONDS):
        client = get_client(sync_client=True)
        try:
            before = time.time()
            answer = client.request("GET", "/health")
            date = answer.headers.get("Date")
            clock = of_date_header("the Prefect server", date, before, time.time())
            cloud = client.server_type == ServerType.CLOUD
            version = None if cloud else str(client.request("GET", "/admin/version").json())
            return PrefectApi(version, None if cloud else _sends(client), clock, _pools(client))
        finally:
            client._client.close()  # noqa: SLF001  (entering it would ask for much more)


def _sends(client: SyncPrefectClient) -> bool | None:
    settings: Any = client.request("GET", "/admin/settings").json()
    server = settings.get("server") if isinstance(settings, dict) else None
    sends = server.get("analytics_enabled") if isinstance(server, dict) else None
    return sends if isinstance(sends, bool) else None


def _pools(client: SyncPrefectClient) -> tuple[WorkPool, ...]:
    return tuple(
        WorkPool(pool.name, pool.type, pool.status.value if pool.status else "", pool.is_paused)
        for pool in client.read_work_pools()
    )


def check_away(api: str, error: BaseException) -> Check:
    """That the configured server does not answer, or answers as none of Prefect's does.

    Args:
        api: As it is configured.
        error: What came of asking it.
    """
    found, advice = _what_came(error)
    return Check(
        "prefect server",
        "problem",
        f"{without_secrets(api)} {found}",
        "the server that PREFECT_API_URL names",
        f"{advice}, or unset PREFECT_API_URL (and prefect config unset PREFECT_API_URL): each "
        "sweep then starts one of its own on loopback",
    )


def _what_came(error: BaseException) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    import httpx  # noqa: PLC0415  (Prefect's own client is made of it)

    if isinstance(error, httpx.InvalidURL):  # it quotes what may be half a password
        advice = f"{RIGHT_URL}; in a password / ? # @ : are written as %2F %3F %23 %40 %3A"
        return "is no URL", advice
    if isinstance(error, httpx.UnsupportedProtocol):
        return "does not begin with http:// or https://", RIGHT_URL
    if isinstance(error, httpx.HTTPStatusError):
        return _what_status(error.response.status_code)
    if isinstance(error, ValueError):  # no JSON, or other JSON
        return "answers, but not as Prefect's API does", RIGHT_URL
    text = redacted(str(error) or type(error).__name__).splitlines()[0]
    return f"does not answer: {text}", "start it (prefect server start)"


def _what_status(status: int) -> tuple[str, str]:
    found = f"answers with HTTP {status}"
    if status in REFUSED:
        return found, "set PREFECT_API_AUTH_STRING (of Prefect Cloud: PREFECT_API_KEY)"
    if status >= FAILED:
        return found, "see that server's log, and whether its database is well"
    return f"{found}, as no API of Prefect's does", RIGHT_URL


def check_none() -> Check:
    """That none is configured, which is well."""
    found = "none is configured: each sweep starts its own on loopback"
    return Check("prefect server", "ok", found, "one that PREFECT_API_URL names, or none")


def check_server(api: str, told: PrefectApi) -> Check:
    """Whether the client here and that server go together."""
    import prefect  # noqa: PLC0415

    name, here, place = "prefect server", prefect.__version__, without_secrets(api)
    expected = f"the client's major version, and not older than it ({here})"
    if told.version is None:
        return Check(name, "ok", place, expected)
    found = f"{place} is {visible(told.version)[:40]}; the client is {here}"
    try:
        theirs, ours = Version(told.version), Version(here)
    except InvalidVersion:
        return Check(name, "warning", found, expected, "check PREFECT_API_URL")
    if theirs.major != ours.major:
        return Check(
            name,
            "problem",
            found,
            expected,
            f"pip install 'prefect=={theirs}', or {here} for the server",
        )
    if theirs < ours:
        return Check(name, "warning", found, expected, f"upgrade the Prefect server to {here}")
    return Check(name, "ok", found, expected)


def check_pools(told: PrefectApi) -> Check:
    """Whether scheduled runs find a work pool, and a worker in it."""
    if not told.pools:
        return Check(
            "work pools", "ok", "none; only scheduled sweeps need one", "any, each with a worker"
        )
    states: list[State] = ["ok"]
    advice = []
    for pool in told.pools:
        if pool.paused:
            states.append("warning")
            advice.append(f"prefect work-pool resume {pool.name}")
        elif pool.status == "NOT_READY":
            states.append("warning")
            advice.append(f"prefect worker start --pool {pool.name}")
    known = [f"{pool.name} ({pool.kind}, {_state(pool)})" for pool in told.pools[:SHOWN]]
    if len(told.pools) > SHOWN:
        known.append(f"and {len(told.pools) - SHOWN} more")
    return Check(
        "work pools",
        gravest(states),
        ", ".join(known),
        "not paused, with a worker at work",
        "; ".join(advice[:SHOWN]),
    )


def _state(pool: WorkPool) -> str:
    return "paused" if pool.paused else pool.status.lower().replace("_", " ") or "unknown"
