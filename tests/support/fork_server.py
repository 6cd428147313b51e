"""Starts drivers cheaply: it has imported everything, and forks a driver for each request.

Requests and answers are lines of JSON. A driver is a process in a session of its own, with the
folder, environment and output file that the request names; it drives a sweep as the command line
does, without Prefect, and ends with the exit code of the contract. The request may ask it to kill
or stop itself at a named write point, or before its n-th write statement.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import mlflow  # noqa: F401  (the drivers would each take a second for it)
from kill_points import fail_once_at, kill_at, strike
from racers import RACERS
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lepton_core.declaration import Budget
from lepton_core.errors import LeptonError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.fold import SweepState
from lepton_flows import driver, loop
from lepton_flows.observer import Driving, Observer
from lepton_tasks import pool, snapshots
from lepton_tasks.in_process import InProcessEvaluator
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.models import Models
from lepton_tasks.objective import load
from lepton_tasks.pool import Job
from lepton_tasks.store import connect
from lepton_tasks.sweep_yaml import read
from lepton_tasks.transfer.import_sweep import import_sweep

WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")


class Told(Observer):
    """Prints what it sees, a line each, for a test to wait for."""

    def say(self, message: str) -> None:
        print("say", message, flush=True)

    def began(self, driving: Driving) -> None:
        print("began", driving.state.generations_done, flush=True)

    def trial_finished(self, record: TrialRecord) -> None:
        print("trial", record.proposal.number, flush=True)

    def sealed(self, state: SweepState) -> None:
        print("sealed", state.generations_done - 1, flush=True)


class NoWorkers(InProcessEvaluator):
    """Stands for the worker pool where only the record is on trial: it calls the objective here."""

    def __init__(self, job: Job, workers: int, reaper: object, models: Models | None) -> None:
        assert isinstance(job.objective, str)
        super().__init__(load(job.objective, job.folder), job.metric, models=models)
        self.size = workers

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def in_threads(workers: int) -> loop.Mapper:
    def mapper(
        work: Callable[[Proposal], TrialRecord | None], proposals: Sequence[Proposal]
    ) -> list[TrialRecord | None]:
        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(work, proposals))

    return mapper


def drive(request: dict[str, Any]) -> int:
    """A driver's life; returns its exit code."""
    watcher = Told()
    if request.get("in_process"):
        pool.WorkerPool = NoWorkers  # type: ignore[assignment,misc]
    try:
        ending = driver.drive_sweep(
            read(Path(request.get("file", "sweep.yaml"))),
            lambda driven: loop.drive(
                driven.ledger,
                driven.state,
                driven.pool,
                in_threads(driven.pool.size),
                stop=driven.stop,
                observer=driven.observer,
                night=driven.night,
            ),
            observer=watcher,
            workers=request.get("workers"),
            take_over=request.get("take_over", False),
            nightly=Budget(**request["nightly"]) if "nightly" in request else None,
        )
    except LeptonError as error:
        print("error", type(error).__name__, error, flush=True)
        return error.exit_code
    print("ending", json.dumps(ending.summary()), flush=True)
    return 128 + ending.signal if ending.signal else 0


def import_file(path: str) -> int:
    """The life of a process that imports a sweep; returns its exit code."""
    try:
        imported = import_sweep(Path(path), say=lambda text: print("say", text, flush=True))
    except LeptonError as error:
        print("error", type(error).__name__, error, flush=True)
        return error.exit_code
    print("ending", json.dumps(imported.ending), flush=True)
    return 0


def signal_before_write(number: int, what: str, start: str = "") -> None:
    """Send this process's group a signal before its `number`-th write statement.

    With a start, only the statements that begin so are counted.

    A stop waits for the first statement of a transaction: in the middle of one this process would
    hold SQLite's lock for as long as it sleeps, and nobody could take over.
    """
    seen = [0]
    writing: set[int] = set()  # connections in a transaction that holds the lock

    def count(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(WRITES):
            return
        seen[0] += statement.startswith(start)
        due = seen[0] == number or (seen[0] > number and what == "SIGSTOP")
        if due and not (writing and what == "SIGSTOP"):
            print("signalled before", statement.splitlines()[0][:60], flush=True)
            seen[0] = -1_000_000
            strike(what)
        writing.add(id(connection))

    def end(connection: Any) -> None:
        writing.discard(id(connection))

    event.listen(Engine, "commit", end)
    event.listen(Engine, "rollback", end)
    event.listen(Engine, "before_cursor_execute", count)


def signal_at(step: str, number: int, what: str) -> None:
    """Send this process's group a signal before the `number`-th write of a step of the ledger."""
    original = getattr(MlflowLedger, step)

    def stepping(self: MlflowLedger, *arguments: Any) -> None:
        signal_before_write(number, what)
        original(self, *arguments)

    setattr(MlflowLedger, step, stepping)


def set_clock_wrong(seconds: float) -> None:
    """Let this process's wall clock be ahead, or behind."""
    read, read_ns = time.time, time.time_ns
    time.time = lambda: read() + seconds
    time.time_ns = lambda: read_ns() + int(seconds * 1e9)


def keep_snapshots(every: int) -> None:
    """Keep a snapshot after so many generations, however long it is."""
    snapshots.EVERY, snapshots.SHARE = every, 0


# What a request may ask for before the driver begins, by its key.
PREPARATIONS: dict[str, Callable[..., None]] = {
    "snapshot_every": keep_snapshots,
    "at_snapshot": partial(signal_at, "_keep_snapshot"),
    "at_seal": partial(signal_at, "seal"),
    "signal_before_write": signal_before_write,
    "skew_s": set_clock_wrong,
    "kill_at": kill_at,
    "fail_once_at": fail_once_at,
}


def child(request: dict[str, Any]) -> None:
    os.setsid()
    os.chdir(request["folder"])
    os.environ.update(request.get("env", {}))
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name, prepare in PREPARATIONS.items():
        if name in request:
            asked = request[name]
            prepare(*(asked if isinstance(asked, list) else [asked]))
    code = 1
    try:
        if "race" in request:
            RACERS[request["race"]](**request["arguments"])
            code = 0
        elif "import_file" in request:
            code = import_file(request["import_file"])
        else:
            code = drive(request)
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # noqa: BLE001  (whatever it is, the test is to see it)
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    template = Path(sys.argv[1])
    os.chdir(template)
    connect()  # imports what a first connection imports
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if pid else None
            print(json.dumps({"code": code}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(request)
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    serve()
