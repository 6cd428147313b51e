"""Warm worker processes that trials are handed to, killed at their timeout, replaced when they die.

Prefect's own timeouts do not stop C code, and its process pool does not survive a killed worker.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton_core.errors import ObjectiveError
from lepton_core.events import Failure, Proposal
from lepton_core.reporting import Reporter
from lepton_tasks.channel import Channel, ChannelClosedError
from lepton_tasks.dialogue import Dialogue
from lepton_tasks.models import Models
from lepton_tasks.objective import Outcome
from lepton_tasks.reaper import Reaper
from lepton_tasks.sending import kept
from lepton_tasks.store import objectives_environment

SINGLE_THREADED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What numeric libraries ask for their number of threads: 1, unless the user set it."""


EPITAPH_S = 2.0  # a process that closed its pipe should be gone after so many seconds


class WorkerDiedError(Exception):
    """The trial's process ended before it answered; the text says how."""


class CancelledError(Exception):
    """The trial was stopped, or told to stop, because the driver is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What workers do: which objective, for which metric, and where its runs are.

    Attributes:
        objective: ``file.py:function`` in the folder, ``package.module:function``, or what
            `lepton_tasks.sending.pack` made of a function of this process.
        folder: The sweep file's folder.
        tracking_uri: Where the objective's own MLflow calls go.
        experiment_id: None for trials that have no MLflow run.
    """

    objective: str | bytes
    folder: Path
    metric: str
    timeout: float | None = None
    tracking_uri: str | None = None
    experiment_id: str | None = None


class _Worker:
    """One process and the pipes to it. Its process group is its own."""

    def __init__(self, job: Job, output: Path, reaper: Reaper, packed: Path | None) -> None:
        to_read, to_write = os.pipe(), os.pipe()  # (read end, write end): to it, from it
        environment = {**dict.fromkeys(SINGLE_THREADED, "1"), **objectives_environment()}
        if job.tracking_uri is not None:
            environment["MLFLOW_TRACKING_URI"] = job.tracking_uri
        if job.experiment_id is not None:
            environment["MLFLOW_EXPERIMENT_ID"] = job.experiment_id
            environment.pop("MLFLOW_RUN_ID", None)
        command = [sys.executable, "-P", "-m", "lepton_tasks.worker"]
        self.reaper = reaper
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [*command, str(to_read[0]), str(to_write[1])],
                pass_fds=[to_read[0], to_write[1]],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=environment,
            )
        reaper.watch(self.process.pid)
        os.close(to_read[0])
        os.close(to_write[1])
        self.channel = Channel(to_write[0], to_read[1])
        self.channel.send(
            {
                "objective": None if packed else job.objective,
                "packed": str(packed) if packed else None,
                "path": sys.path if packed else [],
                "folder": str(job.folder),
                "experiment_id": job.experiment_id,
                "output": str(output),
            }
        )
        self.ready = False

    def await_ready(self, output: Path) -> None:
        """Wait until it has imported the objective.

        Raises:
            ObjectiveError: It could not.
        """
        if self.ready:
            return
        try:
            answer = self.channel.receive(is_gone=self.is_gone) or {}
        except ChannelClosedError:
            said = output.read_text(errors="replace")[-2000:] if output.exists() else ""
            raise ObjectiveError(
                f"importing the objective ended its process ({self.epitaph()})\n{said}".rstrip()
            ) from None
        if not answer.get("ready"):
            raise ObjectiveError(answer.get("problem", "the worker did not start"))
        self.ready = True

    def kill(self) -> None:
        """End it and everything in its process group, now."""
        with suppress(ProcessLookupError, PermissionError):  # it may be gone already
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reaper.forget(self.process.pid)
        self.channel.close()

    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def epitaph(self) -> str:
        """How it ended."""
        try:
            code = self.process.wait(EPITAPH_S)
        except subprocess.TimeoutExpired:
            return "it closed the pipe to its driver"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


class WorkerPool:
    """Worker processes for one objective.

    Args:
        job: What they do.
        workers: How many, started at once.
        reaper: Sees to it that none outlives this process.
        models: Which of the models that trials return are kept; None: none.
    """

    def __init__(
        self, job: Job, workers: int, reaper: Reaper, models: Models | None = None
    ) -> None:
        self.job, self.size, self._reaper, self.models = job, workers, reaper, models
        self._folder = Path(tempfile.mkdtemp(prefix="lepton-"))
        reaper.remove(self._folder)
        self._packed: Path | None = None
        if isinstance(job.objective, bytes):
            self._packed = self._folder / "objective.pkl"
            self._packed.write_bytes(job.objective)
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._cancelled = False
        for _ in range(workers):
            self._idle.put(self._start())

    def check(self) -> None:
        """Wait until one worker has imported the objective.

        Raises:
            ObjectiveError: It cannot be imported.
        """
        worker = self._idle.get()
        try:
            if worker is not None:
                worker.await_ready(self._start_output)
        finally:
            self._idle.put(worker)

    def output_of(self, key: str) -> Path:
        """Where a trial's output is, for as long as the pool lives."""
        return self._folder / key / "output.txt"

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """Evaluate one trial in the next idle worker; callable from several threads.

        Args:
            proposal: The trial.
            run_id: The MLflow run that is to be active meanwhile.
            key: A name for the trial's output, unique in this pool.
            reporter: What the trial reports to, and what says whether it should stop.

        Returns:
            The outcome, and the seconds it took.

        Raises:
            WorkerDiedError: The process ended before it answered.
            CancelledError: `cancel` was called, or the trial was told to stop: whatever came of
                it then is not what it comes to.
        """
        worker = self._idle.get()
        if worker is None:
            worker = self._restart()
        output = self.output_of(key)
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            answer = self._ask(worker, proposal, run_id, output, reporter)
        except BaseException:
            self._drop(worker)
            raise
        if answer is None:
            self._drop(worker)
            timeout = self.job.timeout or 0.0
            reason = f"still running after {timeout:g} s; its process was killed"
            return Outcome(failure=Failure(kind="timeout", reason=reason)), timeout
        try:
            if answer["model"]:
                self._keep(worker, proposal, run_id, answer["value"])
        except ChannelClosedError:  # the trial has its result all the same
            self._drop(worker)
        else:
            self._idle.put(worker)
        failure = answer["failure"]
        outcome = Outcome(
            value=answer["value"],
            failure=Failure(**failure) if failure else None,
            metrics=answer["metrics"],
            steps=answer["steps"],
        )
        return outcome, answer["duration_s"]

    def _ask(
        self,
        worker: _Worker,
        proposal: Proposal,
        run_id: str | None,
        output: Path,
        reporter: Reporter | None,
    ) -> dict[str, Any] | None:
        dialogue = Dialogue(worker.channel, worker.is_gone, reporter)
        try:
            worker.await_ready(self._start_output)
            answer = dialogue.hold(
                {
                    "params": dict(proposal.params),
                    "seed": proposal.seed,
                    "number": proposal.number,
                    "run_id": run_id,
                    "metric": self.job.metric,
                    "output": str(output),
                },
                self.job.timeout,
            )
        except (ChannelClosedError, ObjectiveError) as error:
            if self._cancelled or dialogue.told:
                raise CancelledError from None
            said = str(error).splitlines()[0] if isinstance(error, ObjectiveError) else ""
            raise WorkerDiedError(said or f"its process ended: {worker.epitaph()}") from None
        if dialogue.told:
            raise CancelledError
        return answer

    def _keep(self, worker: _Worker, proposal: Proposal, run_id: str | None, value: float) -> None:
        """Have the model that the worker has just returned kept, if it is among the best."""
        if self.models is None or not self.models.wants(value, proposal.number):
            return
        file = self._folder / f"model{proposal.number}.pkl"
        worker.channel.send({"keep": str(file), "run_id": run_id or None})
        problem = (worker.channel.receive(is_gone=worker.is_gone) or {})["problem"]
        self.models.cannot(problem)
        if file.exists():
            self.models.keep(proposal.number, kept(file))
            file.unlink()

    @property
    def _start_output(self) -> Path:
        return self._folder / "start.txt"

    def _start(self) -> _Worker:
        with self._lock:
            if self._cancelled:
                raise CancelledError
            worker = _Worker(self.job, self._start_output, self._reaper, self._packed)
            self._workers.add(worker)
            return worker

    def _restart(self) -> _Worker:
        try:
            return self._start()
        except BaseException:
            self._idle.put(None)  # the place stays free, for whoever waits for it
            raise

    def _drop(self, worker: _Worker) -> None:
        """Kill a worker; its place is filled when it is next needed."""
        with self._lock:
            known = worker in self._workers
            self._workers.discard(worker)
        if known:
            worker.kill()
        self._idle.put(None)

    def cancel(self) -> None:
        """Kill every worker now; trials under way raise CancelledError, as do later ones."""
        with self._lock:
            self._cancelled = True
            workers = list(self._workers)
        for worker in workers:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill every worker and wait until it is gone."""
        self.cancel()
        with self._lock:
            workers, self._workers = self._workers, set()
        for worker in workers:
            worker.kill()


@contextmanager
def working(job: Job, workers: int, models: Models | None = None) -> Iterator[WorkerPool]:
    """Workers for as long as the body runs, and a reaper that sees to it if this process dies."""
    reaper = Reaper()
    try:
        pool = WorkerPool(job, workers, reaper, models)
        try:
            yield pool
        finally:
            pool.close()
    finally:
        reaper.close()
