"""A real `mlflow server` on loopback: started, killed and started again on the same port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from ports import free_port

from lepton_tasks.reaper import Reaper

START_SECONDS = 120.0


class MlflowServer:
    """A server over a database, with artifacts proxied.

    Args:
        folder: A folder of its own, for artifacts and its log.
        database: The database's URL, as SQLAlchemy takes it.
    """

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database, self.port = folder, database, free_port()
        self._reaper = Reaper()
        self._process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        """The tracking URI."""
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start it, on the same port each time, without waiting."""
        log = self.folder / "server.txt"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--backend-store-uri", self.database),
                    *("--artifacts-destination", str(self.folder / "artifacts")),
                ],
                cwd=self.folder,
                env={
                    **os.environ,
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 240 MB, and nothing to do
                    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._reaper.watch(self._process.pid)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.begin()
        self.await_health()

    def await_health(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        said = (self.folder / "server.txt").read_text(errors="replace")[-2000:]
        raise AssertionError(f"the MLflow server did not start:\n{said}")

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reaper.forget(self._process.pid)

    def close(self) -> None:
        """Kill it for good."""
        if self.running:
            self.kill()
        self._reaper.close()
