"""Evaluating trials in this very process: for notebooks, closures, tests and benchmarks.

Nothing can be stopped at a timeout here, and an objective that ends the process ends the driver.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lepton_core.events import Proposal
from lepton_core.reporting import Reporter
from lepton_core.trial import Trial
from lepton_tasks import models as kept_models
from lepton_tasks.active_run import next_steps, on_run, pointing_at
from lepton_tasks.models import Models
from lepton_tasks.objective import Objective, Outcome, judge, own_traceback, raised
from lepton_tasks.pool import CancelledError
from lepton_tasks.stop_signals import Interrupts
from lepton_tasks.store import Store


class Telling:
    """A reporter that notes whether a trial was told to stop."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.told = reporter, False

    def report(self, step: int, value: float) -> None:
        """Pass a report on."""
        self.reporter.report(step, value)

    def should_stop(self) -> bool:
        """Whether the trial is to stop; from the first time on that it is, it was told so."""
        self.told = self.told or self.reporter.should_stop()
        return self.told


class InProcessEvaluator:
    """Calls the objective where it is.

    Args:
        objective: Called with a `Trial`.
        metric: The key of its dict of metrics, if it returns one.
        interrupts: Ctrl-C, which is let through to the objective; None: as Python has it.
        models: Which models are kept; None: none.
        store: Where the trials' runs are, for the objective's own MLflow calls.

    Attributes:
        last_error: What the objective raised last.
    """

    def __init__(
        self,
        objective: Objective,
        metric: str = "loss",
        *,
        interrupts: Interrupts | None = None,
        models: Models | None = None,
        store: Store | None = None,
    ) -> None:
        self.objective, self.metric = objective, metric
        self.interrupts, self.models = interrupts, models
        self.store = store
        self._folder: TemporaryDirectory[str] | None = None  # of tracebacks, for the ledger
        self.last_error: BaseException | None = None

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """The outcome of one call, and the seconds it took.

        Raises:
            CancelledError: Ctrl-C interrupted it, or the trial asked whether it should stop, and
                was told so.
        """
        port = None if reporter is None else Telling(reporter)
        trial = Trial(proposal.params, seed=proposal.seed, number=proposal.number, _reporter=port)
        with ExitStack() as around:
            if self.store is not None and run_id:
                around.enter_context(on_run(self.store, run_id))
            started, home = time.perf_counter(), os.getpid()
            outcome = self._call(trial, key)
            duration = time.perf_counter() - started
            if os.getpid() != home:  # a child that the objective forked and let return: not ours
                sys.stdout.flush()
                os._exit(0)
            if port is not None and port.told:
                raise CancelledError
            self._keep(outcome, proposal.number)
            names = [self.metric, *outcome.metrics]
            steps = {}
            if self.store is not None:
                steps = next_steps(run_id, names, self.store.address.tracking_uri)
        return replace(outcome, model=None, steps=steps), duration

    def _call(self, trial: Trial, key: str) -> Outcome:
        try:
            with ExitStack() as around:
                if self.store is not None:  # what the objective sets holds for itself
                    around.enter_context(pointing_at(self.store))
                if self.interrupts is not None:
                    around.enter_context(self.interrupts.allowed())
                returned = self.objective(trial)
        except KeyboardInterrupt:
            if self.interrupts is None:
                raise
            self.interrupts.note()
            raise CancelledError from None
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever the user's code raises)
            self.last_error = error
            if self.store is not None:
                self._leave_traceback(error, key)
            return raised(error)
        return judge(returned, self.metric)

    def _leave_traceback(self, error: BaseException, key: str) -> None:
        self._folder = self._folder or TemporaryDirectory(prefix="lepton-")
        output = self.output_of(key)
        output.parent.mkdir(exist_ok=True)
        output.write_text(own_traceback(error), encoding="utf-8")

    def _keep(self, outcome: Outcome, number: int) -> None:
        """Keep the trial's model, if it is among the best by now; logged to the active run too."""
        if self.models is None or outcome.model is None or outcome.value is None:
            return
        if self.models.wants(outcome.value, number):
            if self.store is not None:
                self.models.cannot(kept_models.log(outcome.model))
            self.models.keep(number, outcome.model)

    def output_of(self, key: str) -> Path:
        """What is kept of a trial's output: its traceback; the rest went where the caller's goes.

        A file that does not exist, where there is none.
        """
        return Path(self._folder.name if self._folder else key, key, "output.txt")

    def close(self) -> None:
        """Remove the tracebacks that were kept for the ledger."""
        if self._folder is not None:
            self._folder.cleanup()

    def cancel(self) -> None:
        """Nothing to stop: the objective runs in the thread that asks."""
