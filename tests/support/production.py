"""Production, with what befalls it: a Prefect server and a worker that a supervisor keeps up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from drivers import MARK, marked_processes, wait_until
from histories import trials
from ports import free_port
from scheduled import FINAL, QUICK, Api

from lepton_core.declaration import MAX_TRIALS
from lepton_tasks.prefect_server import ALWAYS

POOL = "soak"
SERVER, WORKER, RUN = "server", "worker", "flow run"
VICTIMS = (SERVER, WORKER, RUN)
PAUSING = """\
    import pathlib
    here, run = pathlib.Path(__file__), os.environ["PREFECT__FLOW_RUN_ID"]
    with here.with_name("calls.txt").open("a") as calls:
        calls.write(f"{run} {trial.number}\\n")
    time.sleep(float(here.with_name("pause").read_text()))
    with here.with_name("calls.txt").open("a") as calls:
        calls.write(f"{run} {trial.number}\\n")
"""
"""The beginning of an objective that takes as long as a file says, and tells whose call it is."""


@dataclass
class Zombie:
    """A flow run whose process was killed, as Prefect shows it.

    Attributes:
        killed: When its process was killed.
        told: When Prefect first showed a final state, or None.
        state: What Prefect showed last.
    """

    killed: float
    told: float | None = None
    state: str = "?"

    @property
    def seconds(self) -> float:
        """How long Prefect has shown it as under way."""
        return (self.told or time.time()) - self.killed


@dataclass
class Production:
    """A Prefect server, a worker of its pool, and the flow runs that it starts.

    Args:
        home: An empty folder for what Prefect knows and says.
        folder: The sweep's folder, which has the sweep file.
        mark: What all processes have in their environment.
        environment: What they have beside it.
    """

    home: Path
    folder: Path
    mark: str
    environment: dict[str, str] = field(default_factory=dict)
    killed: list[tuple[str, int]] = field(default_factory=list)
    zombies: dict[str, Zombie] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.api = Api(f"http://127.0.0.1:{self.port}/api")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deployed = ""
        self._looked = 0.0

    # -- the supervisor -----------------------------------------------------------------------

    def supervise(self) -> list[str]:
        """Start the server and the worker where they do not run; returns which were started."""
        commands = {
            SERVER: ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            # On a slow machine, runs that only look whether there is something to do would pile up.
            WORKER: ["worker", "start", "--pool", POOL, "--type", "process", "--limit", "3"],
        }
        started = []
        for who, command in commands.items():
            known = self.processes.get(who)
            if known is None or known.poll() is not None:
                self.processes[who] = self._start(who, ["prefect", *command])
                started.append(who)
        return started

    def _start(self, who: str, module: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / f"{who}.txt").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.home,
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _env(self) -> dict[str, str]:
        database = self.home / "prefect.db"
        return {
            **os.environ,
            **QUICK,
            **ALWAYS,
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_API_URL": self.api.url,
            "PREFECT_HOME": str(self.home),
            MARK: self.mark,
            **self.environment,
        }

    def is_up(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self.api.url}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def await_server(self, patience: float = 120.0) -> None:
        """Return when the server answers."""

        def up() -> bool:
            time.sleep(0.1)
            return self.is_up()

        wait_until(up, f"the server; it said {self.said(SERVER)}", patience)

    def said(self, who: str) -> str:
        """The end of what a process printed."""
        file = self.home / f"{who}.txt"
        return file.read_text(errors="replace")[-3000:] if file.exists() else ""

    def deploy(self, every: float | None = None) -> None:
        """Deploy the sweep of the folder, to run every minute, or each so many seconds."""
        self.api.ask("/work_pools/", {"name": POOL, "type": "process"})
        command = ["deploy", "sweep.yaml", "--cron", "* * * * *", "--pool", POOL, "--json"]
        told = subprocess.run(
            [sys.executable, "-m", "lepton", *command],
            cwd=self.folder,
            env=self._env(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        self.deployed = json.loads(told.stdout)["name"]
        if every is not None:
            found = self.api.deployment(self.deployed)
            path = f"/deployments/{found['id']}/schedules"
            for schedule in found["schedules"]:
                self.api.ask(f"{path}/{schedule['id']}", method="DELETE")
            self.api.ask(path, [{"active": True, "schedule": {"interval": every}}])

    # -- what befalls it ----------------------------------------------------------------------

    def flow_runs(self) -> dict[int, str]:
        """The processes of flow runs under way, and the runs' ids."""
        found = {}
        for one in marked_processes(self.mark):
            pid, command = one.split(" ", 1)
            if "prefect.engine" in command:
                run = _variable(int(pid), "PREFECT__FLOW_RUN_ID")
                if run:
                    found[int(pid)] = run
        return found

    def kill(self, who: str, choose: Callable[[list[int]], int] = min) -> int | None:
        """SIGKILL to a process, not to what it started; returns its id, None if there is none.

        Args:
            who: The server, the worker or a flow run.
            choose: Which of several flow runs.
        """
        if who == RUN:
            runs = self.flow_runs()
            if not runs:
                return None
            pid = choose(sorted(runs))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return None
            self.zombies[runs[pid]] = Zombie(time.time())
        else:
            process = self.processes[who]
            if process.poll() is not None:
                return None
            pid = process.pid
            process.kill()
            process.wait()
        self.killed.append((who, pid))
        return pid

    def look_at_zombies(self, every: float = 1.0) -> None:
        """Note what Prefect says of the flow runs that were killed, if it can be asked."""
        if time.monotonic() - self._looked < every:
            return
        self._looked = time.monotonic()
        for run, zombie in self.zombies.items():
            if zombie.told is None:
                try:
                    state = self.api.state(run)
                except (urllib.error.URLError, OSError):
                    return
                zombie.state = state["name"]
                if state["type"] in FINAL:
                    zombie.told = time.time()

    def shown(self) -> list[dict[str, Any]]:
        """The flow runs that Prefect knows, planned ones left out."""
        found: list[dict[str, Any]] = []
        while page := self.api.ask("/flow_runs/filter", {"limit": 200, "offset": len(found)}):
            found += page
        return [run for run in found if run["state_type"] != "SCHEDULED"]

    def finish(self, patience: float) -> dict[str, Any]:
        """Have runs started until one says that the sweep is at its target; its final state."""
        deadline = time.monotonic() + patience
        while True:
            self.supervise()
            self.await_server()
            told = self.api.await_final(self.api.run(self.deployed, trials=MAX_TRIALS), patience)
            if told["name"] == "Completed":  # not Skipped, nor TakenOver
                return told
            assert time.monotonic() < deadline, f"{told}\n{self.said(WORKER)}"
            time.sleep(1.0)

    def close(self) -> None:
        """End every process, and wait until none is left."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for pid in self.flow_runs():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    # -- what must be true --------------------------------------------------------------------

    def assert_drove_one_at_a_time(self) -> None:
        """No driver did anything after a later one had begun, by the ledger and by the calls."""
        epochs = [int(run.tags["lepton.epoch"]) for run in trials(self.folder)]  # oldest first
        assert epochs == sorted(epochs), "a driver began a trial after a later one's first"
        lines = (self.folder / "calls.txt").read_text().splitlines()
        drivers = [run for run, _ in groupby(line.split()[0] for line in lines)]
        assert len(drivers) == len(set(drivers)), "a driver's call ended after a later one's began"


def _variable(pid: int, name: str) -> str | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return None
    for one in environment.split("\0"):
        if one.startswith(f"{name}="):
            return one.partition("=")[2]
    return None
