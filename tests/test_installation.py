"""Whether the dependencies that were resolved really work together, and keep to this machine.

Prefect 3.8 accepts releases of FastAPI and SQLAlchemy with which its server cannot deploy, or never
runs a schedule, without a word (pyproject.toml names them). So: a real server on loopback, a flow,
a deployment from a file, a worker, and one tick of the clock.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "None", ""}

FLOW = """
from pathlib import Path

from prefect import flow, task


@task
def double(number: int) -> int:
    return 2 * number


@flow
def tick() -> list[int]:
    doubled = [future.result() for future in double.map([1, 2, 3])]
    with Path("ticks.txt").open("a") as ticks:
        ticks.write(f"{doubled}\\n")
    return doubled


if __name__ == "__main__":
    tick()
"""

PREFECT_YAML = """
deployments:
  - name: every-minute
    entrypoint: flow.py:tick
    schedules: [{cron: "* * * * *"}]
    work_pool: {name: here}
"""

# Runs in every Python process that is started here, and writes down whom it calls.
WATCH_CALLS = """
import os, sys

def watch(event, args, log=os.environ["CALLS"]):
    if event in ("socket.connect", "socket.sendto"):
        host = args[1][0] if isinstance(args[1], tuple) else ""
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    with open(log, "a") as calls:
        calls.write(f"{host}\\t{event}\\t{sys.argv}\\n")

sys.addaudithook(watch)
"""


class Prefect:
    """A Prefect server and a process worker, in a folder and an environment of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.started = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api"
        (folder / "watch").mkdir()
        (folder / "watch" / "sitecustomize.py").write_text(WATCH_CALLS)
        (folder / "flow.py").write_text(FLOW)
        (folder / "prefect.yaml").write_text(PREFECT_YAML)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        self.env = kept | {
            "HOME": str(folder),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PYTHONPATH": str(folder / "watch"),
            "CALLS": str(folder / "calls.txt"),
            "LEPTON_TEST_MARK": self.mark,
        }

    def start(self, name, *command):
        """Start a Prefect command that goes on."""
        with (self.folder / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "--no-prompt", *command],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append((name, process))

    def run(self, *command):
        """Run a Python command to its end, and return what it printed."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (
            f"{command} failed:\n{done.stdout}\n{done.stderr}\n{self.said()}"
        )
        return done.stdout

    def ask(self, path, **body):
        """Ask the server; a body makes it a POST."""
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, what, seconds, path, condition=bool, **body):
        """Ask again and again until the answer is as it should be."""
        answer = None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                answer = self.ask(path, **body)
            except (urllib.error.URLError, OSError) as error:
                answer = error
            else:
                if condition(answer):
                    return answer
            if dead := [name for name, process in self.started if process.poll() is not None]:
                pytest.fail(f"{dead} ended before {what}:\n{self.said()}")
            time.sleep(0.2)
        pytest.fail(f"no {what} within {seconds} s; last answer: {answer!r}\n{self.said()}")

    def said(self):
        """What the server and the worker printed, shortened."""
        return "\n".join(
            f"--- {name}\n{(self.folder / f'{name}.txt').read_text(errors='replace')[-3000:]}"
            for name, _ in self.started
        )

    def descendants(self):
        """The living processes that were started from here, wherever they were moved to."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:  # it ended meanwhile, or is another user's
                continue
        return found

    def stop(self):
        """End all that was started, politely first, and wait until nothing is left of it."""
        for _, process in reversed(self.started):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        deadline = time.monotonic() + 30
        while (left := self.descendants()) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    running = Prefect(tmp_path_factory.mktemp("prefect"))
    try:
        running.start(
            "server", "server", "start", "--host", "127.0.0.1", "--port", str(running.port)
        )
        running.wait_for("server", 150, "health")
        yield running
    finally:
        running.stop()
    assert not running.descendants()


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_what_is_installed_is_within_the_declared_bounds(dependency):
    requirement = Requirement(dependency)
    assert version(requirement.name) in requirement.specifier


@pytest.mark.parametrize("name", ["fastapi", "sqlalchemy", "mlflow", "prefect"])
def test_what_has_broken_before_has_a_ceiling(name):
    (specifier,) = [r.specifier for r in map(Requirement, DEPENDENCIES) if r.name == name]
    assert any(bound.operator == "<" for bound in specifier)


def test_a_flow_runs_on_a_real_server_and_is_recorded_there(prefect):
    prefect.run("flow.py")
    assert (prefect.folder / "ticks.txt").read_text() == "[2, 4, 6]\n"
    (flow_run,) = prefect.ask("flow_runs/filter", limit=10)
    assert flow_run["state"]["type"] == "COMPLETED"
    prefect.wait_for(
        "record of the three tasks",
        30,
        "task_runs/filter",
        lambda runs: [run["state"]["type"] for run in runs] == ["COMPLETED"] * 3,
        limit=10,
    )


def test_a_deployment_from_a_file_runs_at_the_next_full_minute(prefect):
    prefect.start("worker", "worker", "start", "--pool", "here", "--type", "process")
    prefect.wait_for("work pool", 60, "work_pools/here", lambda pool: pool["status"] == "READY")
    prefect.run("-m", "prefect", "--no-prompt", "deploy", "--all")
    (ticked,) = prefect.wait_for(
        "run at a full minute",
        150,
        "flow_runs/filter",
        deployments={"name": {"any_": ["every-minute"]}},
        flow_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
        limit=1,
    )
    assert ticked["state"]["type"] == "COMPLETED", prefect.said()
    assert ticked["auto_scheduled"]
    assert re.fullmatch(r".*T\d\d:\d\d:00(\.0+)?(Z|\+00:00)", ticked["expected_start_time"])
    assert set((prefect.folder / "ticks.txt").read_text().split("\n")) == {"[2, 4, 6]", ""}


def test_no_process_calls_any_host_but_this_one(prefect):
    calls = [line.split("\t") for line in (prefect.folder / "calls.txt").read_text().splitlines()]
    assert any("127.0.0.1" in call for call in calls), "the watch itself does not work"
    assert not [call for call in calls if call[0] not in LOOPBACK]


def test_telemetry_is_off_in_the_server(prefect):
    assert prefect.ask("admin/settings")["server"]["analytics_enabled"] is False
