"""A Prefect server of our own on loopback, for flows called where no Prefect API is configured.

Prefect starts one in that case too, but it outlives a driver that is killed. This one is in the
reaper's care. Runs go to the user's usual Prefect database, so a server started later shows them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lepton_core.errors import LeptonError
from lepton_tasks.reaper import Reaper
from lepton_tasks.redaction import redacted

START_SECONDS = 120.0  # a first start migrates the database: 13 s here, longer on a busy machine
POLL_SECONDS = 0.05
DRAIN_SECONDS = 10.0
ALWAYS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # One event a commit, as is its default, keeps SQLite locked: task runs are then lost or late.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
}
SERVER = {
    **ALWAYS,
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    # As Prefect starts its own temporary server: no services that a single flow does not need.
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
SCHEDULING = {**ALWAYS, "PREFECT__SERVER_FINAL": "1"}


class PrefectServerError(LeptonError):
    """The Prefect server did not start."""


def is_configured() -> bool:
    """Whether there is a Prefect API already: named by a setting, or used by the calling flow."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415  (costs a second)

    return bool(PREFECT_API_URL.value())


@contextmanager
def loopback_server(meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Run a Prefect server while the body runs, unless an API is configured.

    Args:
        meanwhile: Called while the server starts, which takes seconds of another core.

    Raises:
        PrefectServerError: It did not start; the message has what it said.
    """
    if is_configured():
        yield
        return
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    with (
        _running(_free_port(), SERVER, meanwhile) as (api, _),
        temporary_settings({PREFECT_API_URL: api}),
    ):
        try:
            yield
        finally:
            _drain()


@contextmanager
def scheduling_server(port: int) -> Iterator[Callable[[], bool]]:
    """Run a Prefect server with its page and its scheduler while the body runs.

    What it knows is in the user's usual Prefect database, so the next one goes on from there.

    Args:
        port: A free port of the loopback.

    Yields:
        Tells whether it still runs.

    Raises:
        PrefectServerError: It did not start; the message has what it said.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    api = f"http://127.0.0.1:{port}/api"
    settings = {**SCHEDULING, "PREFECT_UI_API_URL": api}
    with _running(port, settings) as (api, process), temporary_settings({PREFECT_API_URL: api}):
        try:
            yield lambda: process.poll() is None
        finally:
            if process.poll() is None:
                _drain()


@contextmanager
def _running(
    port: int, settings: Mapping[str, str], meanwhile: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server's API and process, while the body runs. It does not outlive this process."""
    import prefect  # noqa: PLC0415

    reaper = Reaper()
    folder = Path(tempfile.mkdtemp(prefix="lepton-prefect-"))
    reaper.remove(folder)
    log = folder / "server.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "uvicorn"),
                # Where Prefect is, and not the current directory, whose modules are the user's.
                *("--app-dir", str(Path(prefect.__file__).parents[1])),
                *("--factory", "prefect.server.api.server:create_app"),
                *("--host", "127.0.0.1", "--port", str(port), "--log-level", "error"),
            ],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    reaper.watch(process.pid)
    api = f"http://127.0.0.1:{port}/api"
    try:
        meanwhile()
        _await_health(api, process, log)
        yield api, process
    finally:
        reaper.close()
        process.wait()


def _drain() -> None:
    """Let Prefect send what it still has to say; without a server it would try for long."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=DRAIN_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_health(api: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=5):  # noqa: S310  (it is http)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS)
    said = redacted(log.read_text(errors="replace")[-20_000:])[-2000:]
    raise PrefectServerError(
        f"the Prefect server on loopback did not start within {START_SECONDS:g} s; it said:\n{said}"
        "\nCheck the installed versions with 'pip check', or set PREFECT_API_URL to a server."
    )
