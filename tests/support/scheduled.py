"""A Prefect server that schedules, a process worker elsewhere, and what they say of flow runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drivers import MARK, PATIENCE_S, wait_until

FINAL = ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")
BUSY = 503
QUICK = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


class Api:
    """A Prefect server's API, plainly."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        for attempt in range(20):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    text = answer.read()
            except urllib.error.HTTPError as error:
                if error.code != BUSY or attempt == 19:
                    raise
                time.sleep(0.5)  # its database is locked; Prefect's own clients repeat it, too
            else:
                return json.loads(text) if text else None
        return None

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self.ask(f"/deployments/name/lepton-nightly/{name}"))

    def run(self, name: str, **parameters: Any) -> str:
        """Have a deployment run now; returns the flow run's id."""
        made = self.ask(
            f"/deployments/{self.deployment(name)['id']}/create_flow_run",
            {"state": {"type": "SCHEDULED"}, "parameters": parameters},
        )
        return str(made["id"])

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.ask(f"/flow_runs/{run}")["state"])

    def set_state(self, run: str, kind: str, name: str, **details: Any) -> str:
        state = {"type": kind, "name": name, "state_details": details}
        return str(self.ask(f"/flow_runs/{run}/set_state", {"state": state})["status"])

    def await_final(self, run: str, patience: float = PATIENCE_S) -> dict[str, Any]:
        """The final state of a flow run."""

        def final() -> dict[str, Any] | None:
            state = self.state(run)
            return state if state["type"] in FINAL else None

        return dict(wait_until(slowly(final), f"the end of flow run {run}", patience))

    def await_state(self, run: str, name: str, patience: float = PATIENCE_S) -> None:
        wait_until(slowly(lambda: self.state(run)["name"] == name), f"{run} to be {name}", patience)


def slowly(condition: Callable[[], Any]) -> Callable[[], Any]:
    """A condition that a server is not asked about a hundred times a second."""

    def asked() -> Any:
        time.sleep(0.1)
        return condition()

    return asked


@contextmanager
def worker(api: str, pool: str, folder: Path, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process worker that starts in a folder where nothing of the sweep is."""
    folder.mkdir(exist_ok=True)
    with (folder / "worker.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool],
            cwd=folder,
            env={**os.environ, **QUICK, "PREFECT_API_URL": api, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def processes_of_runs(mark: str) -> list[int]:
    """The processes of the flow runs under way."""
    from drivers import marked_processes

    marked = (one.split(" ", 1) for one in marked_processes(mark))
    return [int(pid) for pid, command in marked if "prefect.engine" in command]
