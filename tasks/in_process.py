"""Evaluating trials in this very process: for notebooks, closures, tests and benchmarks.

Nothing can be stopped at a timeout here, and an objective that ends the process ends the driver.
"""

from __future__ import annotations

import time
from pathlib import Path

from lepton_core.events import Proposal
from lepton_core.reporting import Reporter
from lepton_core.trial import Trial
from lepton_tasks.objective import Objective, Outcome, call
from lepton_tasks.pool import CancelledError


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
    """

    def __init__(self, objective: Objective, metric: str = "loss") -> None:
        self.objective, self.metric = objective, metric

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """The outcome of one call, and the seconds it took.

        Raises:
            CancelledError: The trial asked whether it should stop, and was told so.
        """
        del run_id, key  # Unused: there is no process to tell.
        port = None if reporter is None else Telling(reporter)
        trial = Trial(proposal.params, seed=proposal.seed, number=proposal.number, _reporter=port)
        started = time.perf_counter()
        outcome = call(self.objective, trial, self.metric)
        if port is not None and port.told:
            raise CancelledError
        return outcome, time.perf_counter() - started

    def output_of(self, key: str) -> Path:
        """A file that does not exist: the output went where the caller's goes."""
        return Path(key, "no output is kept in-process")

    def cancel(self) -> None:
        """Nothing to stop: the objective runs in the thread that asks."""
