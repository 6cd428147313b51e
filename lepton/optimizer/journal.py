"""What an Optimizer writes down as it goes: nothing, unless `MlflowJournal` does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_core import asking
from lepton_core.asking import Asking
from lepton_core.declaration import Settings
from lepton_core.errors import SweepError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.reporting import Reporter
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.checkpoints import Checkpoints, folder_of
from lepton_tasks.models import Models, no_model
from lepton_tasks.objective import Outcome
from lepton_tasks.reports import Point
from lepton_tasks.trial import StopSignal, TrialLedger

if TYPE_CHECKING:
    from lepton_tasks.store import Store

say: Callable[[str], None] = logging.getLogger("lepton").warning
"""For what is worth a line: Python shows warnings of a logger that nobody set up."""
Metrics = Mapping[str, float]


class NoLedger:
    """A trial's ledger for a sweep that nobody records."""

    def reporter(self, proposal: Proposal) -> Reporter | None:
        """What a trial that is handed out reports to."""
        del proposal
        return None

    def begin(self, proposal: Proposal, attempt: int) -> str:
        """No run."""
        del proposal, attempt
        return ""

    def report(self, run_id: str, points: Sequence[Point]) -> None:
        """Nothing."""

    def finish(self, run_id: str, record: TrialRecord, outcome: Outcome) -> None:
        """Nothing."""

    def kill(self, run_id: str, reason: str) -> None:
        """Nothing."""

    def keep_output(self, run_id: str, output: Path) -> None:
        """Nothing."""


class Journal:
    """A journal that keeps nothing: the sweep is in the optimizer itself.

    Attributes:
        ledger: What attempts are recorded in, between `open` and `leave`.
        stop: How others ask for an end, between `open` and `leave`.
        records: Whether anything outlives the process.
        busy: Held while the optimizer is at work.
        is_driven: Whether that is because objectives are evaluated.
        is_at_rest: Whether there is nothing to tidy up after an earlier driver.
    """

    ledger: TrialLedger
    records = False
    is_at_rest = True

    def __init__(self) -> None:
        self.ledger, self.stop = NoLedger(), StopSignal()
        self.busy, self.is_driven = threading.RLock(), False
        self._asked_at: dict[int, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: a copy begins anew."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew."""
        Journal.__init__(self)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """While objectives are evaluated."""
        with self.busy:
            self.is_driven = True
            try:
                yield
            finally:
                self.is_driven = False

    def check_idle(self) -> None:
        """Do nothing, unless objectives are being evaluated.

        Raises:
            SweepError: They are: an objective, or another thread, wants to use their optimizer.
        """
        if self.is_driven:
            raise SweepError(
                "this optimizer is evaluating an objective; ask, tell, minimize or close it when "
                "that has ended, not from within the objective or from another thread"
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around whatever writes: Ctrl-C waits, and what failed halfway is read anew."""
        yield

    @property
    def where(self) -> str:
        """Where the record is, for people; nothing, where there is none."""
        return ""

    @property
    def told_before(self) -> Mapping[int, Metrics]:
        """The other metrics of trials told to earlier optimizers, by number."""
        return {}

    def open(self, at: Asking, settings: Settings) -> Asking:
        """Begin to write, if that is not begun.

        Args:
            at: The sweep as it is known.
            settings: How it is driven.

        Returns:
            The sweep as it is recorded.
        """
        del settings
        if self.stop.draining:
            self.stop = StopSignal()
        return at

    def slot(self, proposal: Proposal) -> OpenSlot:
        """What is on record for a slot of the open generation."""
        return OpenSlot(proposal=proposal)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Around what uses the store: its client's errors become one of ours."""
        yield

    def connect(self) -> Store | None:
        """The open store, or None where nothing is recorded."""
        return None

    def keep(self, models: Models, proposal: Proposal, outcome: Outcome) -> None:
        """Keep a trial's model, if the trial is among the best by now."""
        if outcome.value is not None and models.wants(outcome.value, proposal.number):
            models.keep(proposal.number, outcome.model)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """What a population goes on from: a folder that goes with this journal."""
        return Checkpoints(folder_of(self))

    def keep_best(self, models: Models, best: Mapping[int, Any], at: Asking) -> None:
        """Keep the model of a population's best trial, by the trial's number."""
        del models, best, at

    def model(self, proposal: Proposal) -> Any:
        """A trial's recorded model.

        Raises:
            NothingUsableError: There is none.
        """
        raise no_model(proposal.number)

    def reporter(self, proposal: Proposal) -> Reporter | None:
        """What a trial that is handed out reports to."""
        del proposal
        return None

    def begin(self, proposal: Proposal) -> None:
        """A trial is handed out."""
        self._asked_at[proposal.number] = time.monotonic()

    def finish(self, proposal: Proposal, outcome: Outcome) -> TrialRecord:
        """A trial that was handed out is told."""
        asked_at = self._asked_at.get(proposal.number)
        return TrialRecord(
            proposal=proposal,
            value=outcome.value,
            failure=outcome.failure,
            duration_s=0.0 if asked_at is None else time.monotonic() - asked_at,
        )

    def check(self) -> None:
        """Do nothing, if the sweep is still this journal's."""

    def take(self, at: Asking, record: TrialRecord) -> Asking:
        """The sweep with a trial told; the last one of a generation seals it."""
        at = asking.take(at, record, driven_s=self.driven_s(at))
        if not at.proposals:
            self.sealed(at)
        return at

    def driven_s(self, at: Asking) -> float:
        """Seconds of driving up to now, over all drivers."""
        return at.state.driven_s

    def sealed(self, at: Asking) -> None:
        """The last event of the sweep seals a generation."""

    def leave(self, status: str) -> None:
        """Let others go on with it. The status is the parent run's."""


def stopped(stop: StopSignal) -> SweepError:
    """The error that somebody asked for an end."""
    return SweepError(
        f"the sweep was stopped: {stop.reason}. What was told before is kept; ask, tell or "
        "minimize again to go on.",
        reason=stop.reason,
    )
