"""A worker: a process that imports the objective once and evaluates one trial after another.

It is killed, never asked, to stop: at a timeout, when its driver leaves, when its driver dies. A
thread watches the pipe from the driver for that last case; the reaper does too, for objectives that
never let another thread run.

What a trial reports goes to the driver as messages, at once; it alone writes to the store.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_core.errors import ObjectiveError
from lepton_core.trial import Trial
from lepton_tasks.active_run import TRACKING_URI, active_run, next_steps, point_back
from lepton_tasks.channel import Channel, ChannelClosedError
from lepton_tasks.models import log
from lepton_tasks.objective import Objective, call, load
from lepton_tasks.sending import keep, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator


STORE = os.environ.get(TRACKING_URI)  # before an objective sends MLflow elsewhere


class Port:
    """What the trial under way reports through, and hears by that it is to stop.

    It is of this process: a child that the objective forked, and a thread of it that lives on when
    the trial has ended, say nothing.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel, self._home = channel, os.getpid()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ended = self._told = False

    def report(self, step: int, value: float) -> None:
        """Send a report to the driver."""
        self._send({"report": [step, value]})

    def should_stop(self) -> bool:
        """Whether the driver said so; it is told that the trial now knows."""
        if not self._stop.is_set():
            return False
        if not self._told:
            self._told = True
            self._send({"told": True})
        return True

    def stop(self) -> None:
        """Let the trial know, when it asks."""
        self._stop.set()

    def end(self) -> None:
        """Send nothing more."""
        with self._lock:
            self._ended = True

    def _send(self, message: dict[str, Any]) -> None:
        if os.getpid() != self._home:
            return
        with self._lock, suppress(ChannelClosedError):  # the listener sees to a driver that left
            if not self._ended:
                self._channel.send(message)


def main(read_fd: int, write_fd: int) -> None:
    """Serve the driver at the other end of two pipes until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    channel = Channel(read_fd, write_fd)
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, inbox), daemon=True).start()
    hello = inbox.get()
    try:
        with _output_to(Path(hello["output"])):
            sys.path += [place for place in hello["path"] if place not in sys.path]
            if hello["packed"]:
                objective = unpack(Path(hello["packed"]))
            else:
                objective = load(hello["objective"], Path(hello["folder"]))
    except ObjectiveError as error:
        channel.send({"ready": False, "problem": error.message})
        return
    channel.send({"ready": True})
    model, output = None, hello["output"]
    while True:
        message = inbox.get()
        if "keep" in message:
            with _output_to(Path(output)):
                problem = _keep(model, message["keep"], message["run_id"], hello["experiment_id"])
            channel.send({"problem": problem})
            continue
        output = message["output"]
        answer, model = _evaluate(message, message["port"], objective, hello["experiment_id"])
        channel.send(answer)


def _listen(channel: Channel, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    port = Port(channel)  # of the trial that came last
    try:
        while True:
            message = channel.receive() or {}
            if "stop" in message:
                port.stop()
                continue
            port = Port(channel)
            inbox.put({**message, "port": port})
    except ChannelClosedError:  # the driver is gone: so is everything that this trial started
        os.killpg(0, signal.SIGKILL)


def _evaluate(
    message: dict[str, Any], port: Port, objective: Objective, experiment_id: str | None
) -> tuple[dict[str, Any], Any]:
    """The answer to the driver, and the model that the objective returned."""
    trial = Trial(message["params"], seed=message["seed"], number=message["number"], _reporter=port)
    home = os.getpid()
    point_back(STORE)
    with _output_to(Path(message["output"])), active_run(message["run_id"], experiment_id):
        started = time.perf_counter()
        outcome = call(objective, trial, message["metric"])
        duration = time.perf_counter() - started
        port.end()
        if os.getpid() != home:  # a child that the objective forked and let return: not ours
            sys.stdout.flush()
            os._exit(0)
        names = [message["metric"], *outcome.metrics]
        steps = next_steps(message["run_id"], names, STORE)
    answer = {
        "value": outcome.value,
        "failure": asdict(outcome.failure) if outcome.failure else None,
        "metrics": outcome.metrics,
        "steps": steps,
        "model": outcome.model is not None,
        "duration_s": duration,
    }
    return answer, outcome.model


def _keep(model: Any, file: str, run_id: str | None, experiment_id: str | None) -> str:
    """Log the model to its run, or leave it in a file where there is none; what was wrong."""
    if run_id is None:
        return keep(model, Path(file))
    with active_run(run_id, experiment_id):
        return log(model)


@contextmanager
def _output_to(file: Path) -> Iterator[None]:
    """Send what this process and its children print to a file."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(fd, 1)
        os.dup2(fd, 2)
    finally:
        os.close(fd)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # the user's code closed it
                continue


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
