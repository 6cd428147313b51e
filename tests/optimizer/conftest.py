"""Scripts that drive a recorded Optimizer in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drivers import wait_until

PRELUDE = """
import os, signal, sys, time
import lepton

SPACE = {"x": lepton.Float(0, 1), "n": lepton.Int(1, 9)}

def loss(trial):
    return (trial["x"] - 0.3) ** 2 + trial["n"] + (trial.seed % 97) / 1000

def slowly(trial):
    print("trial", trial.number, flush=True)
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return loss(trial)
"""


class Script:
    """A Python script that runs in a folder."""

    def __init__(self, folder: Path, body: str, number: int, env: dict[str, str]) -> None:
        self.output = folder / f"script{number}.out"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + textwrap.dedent(body)],
                cwd=folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def await_text(self, text: str) -> None:
        """Wait until it printed it."""

        def there() -> bool:
            ended = self.process.poll() is not None
            assert text in self.said() or not ended, f"it ended before {text!r}:\n{self.said()}"
            return text in self.said()

        wait_until(there, f"{text!r} in\n{self.said()}")

    def wait(self) -> int:
        return self.process.wait(120)

    def done(self) -> str:
        """What it said, after a good end."""
        assert self.wait() == 0, self.said()
        return self.said()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def script(sweep_folder) -> Iterator[Callable[..., Script]]:
    """Start a script in the current folder, beside its store."""
    started: list[Script] = []

    def start(body: str, **env: str) -> Script:
        started.append(Script(sweep_folder.path, body, len(started), env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
