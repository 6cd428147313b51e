"""One slot from proposal to result: begin an attempt, evaluate it, record what came of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from lepton_core.events import Failure, Proposal, TrialRecord
from lepton_core.reporting import Reporter
from lepton_tasks.attempts import DIED, OpenSlot
from lepton_tasks.objective import Outcome
from lepton_tasks.pool import CancelledError, WorkerDiedError
from lepton_tasks.reports import ReportLedger, reporting_to

MAX_DEATHS = 3


class TrialLedger(ReportLedger, Protocol):
    """What evaluating a trial needs of a ledger."""

    def begin(self, proposal: Proposal, attempt: int) -> str:
        """Record a proposal before it is evaluated; returns the run's id."""
        ...

    def finish(self, run_id: str, record: TrialRecord, outcome: Outcome) -> None:
        """Record an attempt's result, which came of this outcome."""
        ...

    def kill(self, run_id: str, reason: str) -> None:
        """Mark an attempt as counting for nothing."""
        ...

    def keep_output(self, run_id: str, output: Path) -> None:
        """Keep what an attempt printed."""
        ...


class Evaluator(Protocol):
    """What turns a proposal into an outcome."""

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """The outcome of one attempt, and the seconds it took.

        Args:
            proposal: The trial.
            run_id: The MLflow run that is to be active meanwhile.
            key: A name for the attempt's output.
            reporter: What the trial reports to, and what says whether it should stop.

        Raises:
            WorkerDiedError: The attempt's process ended before it answered.
            CancelledError: The driver is to stop now, or the trial asked whether it should stop
                and was told so.
        """
        ...

    def output_of(self, key: str) -> Path:
        """Where an attempt's output is."""
        ...

    def cancel(self) -> None:
        """Stop every attempt under way."""
        ...


class AroundEvaluator:
    """An evaluator around another one, which does whatever is not done here."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """As the inner one does."""
        return self.evaluator.evaluate(proposal, run_id, key, reporter)

    @property
    def last_error(self) -> BaseException | None:
        """What the user's code raised last, if it did so in this process."""
        return getattr(self.evaluator, "last_error", None)

    def output_of(self, key: str) -> Path:
        """As the inner one does."""
        return self.evaluator.output_of(key)

    def cancel(self) -> None:
        """As the inner one does."""
        self.evaluator.cancel()


class StopSignal:
    """How a driver is asked to stop: finish what is running, or stop at once.

    Setting it is safe in a signal handler.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.reason = ""
        self._draining = False
        self._now = False
        self.wake = threading.Event()

    @property
    def draining(self) -> bool:
        """Whether no further trial is to be begun."""
        return self._draining

    @property
    def immediate(self) -> bool:
        """Whether the running trials are to be stopped too."""
        return self._now

    def drain(self, reason: str, signal: int | None = None) -> None:
        """Begin no further trial."""
        self.reason, self.signal = self.reason or reason, self.signal or signal
        self._draining = True

    def now(self, reason: str, signal: int | None = None) -> None:
        """Stop the running trials too."""
        self.drain(reason, signal)
        self._now = True
        self.wake.set()


def run_slot(
    ledger: TrialLedger,
    evaluator: Evaluator,
    proposal: Proposal,
    slot: OpenSlot,
    stop: StopSignal,
) -> TrialRecord | None:
    """Evaluate one slot until an attempt at it counts.

    An attempt whose process died is issued again, with the same params and seed; after
    `MAX_DEATHS` of them the trial has failed.

    Returns:
        The trial's record, or None if the driver was asked to stop first.
    """
    attempt, deaths = slot.attempts, slot.deaths
    while not stop.draining:
        key = f"{proposal.number}.{attempt}"
        run_id = ledger.begin(proposal, attempt)
        try:
            with reporting_to(ledger, run_id, stop) as reporter:
                outcome, duration = evaluator.evaluate(proposal, run_id, key, reporter)
        except CancelledError:
            ledger.kill(run_id, f"cancelled: {stop.reason or 'its driver was stopped'}")
            return None
        except WorkerDiedError as death:
            deaths += 1
            ledger.keep_output(run_id, evaluator.output_of(key))
            if deaths < MAX_DEATHS:
                ledger.kill(run_id, f"{DIED}: {death}")
                attempt += 1
                continue
            reason = f"{death}, {MAX_DEATHS} times"
            outcome, duration = Outcome(failure=Failure(kind="crashed", reason=reason)), 0.0
        else:
            ledger.keep_output(run_id, evaluator.output_of(key))
        record = TrialRecord(
            proposal=proposal,
            attempt=attempt,
            value=outcome.value,
            failure=outcome.failure,
            duration_s=duration,
        )
        ledger.finish(run_id, record, outcome)
        return record
    return None
