"""Drivers as processes: started, killed, stopped and waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from places import place_of

MARK = "LEPTON_TEST_MARK"
PATIENCE_S = 200.0


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE_S) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {patience:g} s for {what}"
        time.sleep(0.01)
    return found


def marked_processes(mark: str) -> list[str]:
    """The processes that were started with a mark in their environment, as pid and command."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (
                folder.joinpath("environ").read_bytes()
            ):
                state = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0]
                command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
                if state not in "ZX":
                    found.append(f"{folder.name} {command}")
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


def await_no_process(mark: str, patience: float = 10.0) -> None:
    """Fail if processes with the mark are left after a while."""
    deadline = time.monotonic() + patience
    while left := marked_processes(mark):
        assert time.monotonic() < deadline, f"processes are left: {left}"
        time.sleep(0.02)


class Driver:
    """One driver process in a session, hence a process group, of its own."""

    def __init__(self, pid: int, output: Path, poll: Callable[[], int | None]) -> None:
        self.pid, self.output, self._poll = pid, output, poll
        self.code: int | None = None

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def await_line(self, start: str) -> None:
        """Wait until it printed a line that starts so."""

        def there() -> bool:
            said = self.said()
            assert self.poll() is None or start in said, f"it ended before {start!r}:\n{said}"
            return any(line.startswith(start) for line in said.splitlines())

        wait_until(there, f"the line {start!r} of\n{self.said()}")

    def poll(self) -> int | None:
        if self.code is None:
            self.code = self._poll()
        return self.code

    def wait(self) -> int:
        wait_until(lambda: self.poll() is not None, "a driver to end")
        assert self.code is not None
        return self.code

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill_group(self) -> None:
        """SIGKILL, to its whole group, and wait until it is gone."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def ending(self) -> dict[str, Any]:
        """What it told at its end."""
        lines = [x for x in self.said().splitlines() if x.startswith("ending ")]
        assert lines, self.said()
        return dict(json.loads(lines[-1].removeprefix("ending ")))


class Drivers:
    """Starts drivers from a process that has everything imported already.

    Args:
        folder: An empty folder for its own use.
    """

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("fork_server.py")
        self._lock = threading.Lock()
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            text=True,
        )
        self._started: list[Driver] = []
        assert self._answer()["ready"]

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the fork server ended"
        return dict(json.loads(line))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return self._answer()

    def start(self, folder: Path, mark: str = "", **request: Any) -> Driver:
        """Start a driver in a folder; see `fork_server.drive` for what may be requested."""
        self._count += 1
        output = Path(request.pop("output", folder / f"driver{self._count}.out"))
        env = {**request.pop("env", {}), MARK: mark}
        uri = place_of(folder).tracking_uri
        if uri is not None:
            env.setdefault("MLFLOW_TRACKING_URI", uri)
        answer = self._ask({"folder": str(folder), "output": str(output), "env": env, **request})
        pid = answer["pid"]
        driver = Driver(pid, output, lambda: self._ask({"poll": pid})["code"])
        self._started.append(driver)
        return driver

    def run(self, folder: Path, mark: str = "", **request: Any) -> Driver:
        """Start a driver and wait for its end, which must be a good one."""
        driver = self.start(folder, mark, **request)
        assert driver.wait() == 0, driver.said()
        return driver

    def race(self, folder: Path, what: str, racers: list[dict[str, Any]]) -> list[Any]:
        """Let racers (see `racers`) start at one moment; what each told, in their order."""
        go = folder / "go"
        go.unlink(missing_ok=True)
        runs, readies = [], []
        for number, arguments in enumerate(racers):
            ready = folder / f"ready{number}"
            ready.unlink(missing_ok=True)
            known = {**arguments, "ready": str(ready), "go": str(go)}
            runs.append(self.start(folder, race=what, arguments=known))
            readies.append(ready)
        wait_until(lambda: all(ready.exists() for ready in readies), "racers to be ready")
        go.touch()
        told = []
        for run in runs:
            assert run.wait() == 0, run.said()
            told.append(json.loads(run.said().splitlines()[-1].partition(" ")[2]))
        return told

    def close(self) -> None:
        for driver in self._started:
            if driver.poll() is None:
                driver.kill_group()
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(PATIENCE_S)
        self._server.stdout.close()
