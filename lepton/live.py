"""The live view of a sweep at a terminal, and its plain lines where there is none."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn

from lepton.cli.output import shares_text
from lepton.progress_text import progress_text, seconds_left
from lepton_core.declaration import to_loss
from lepton_core.plan import trials_at_end
from lepton_core.portfolio import shares
from lepton_flows.observer import Driving, Observer

if TYPE_CHECKING:
    from rich.console import Console

    from lepton_core.events import TrialRecord
    from lepton_core.fold import SweepState


class LiveObserver(Observer):
    """Shows trials done, best so far and who found it, and the time left.

    Args:
        console: Where; a bar on a terminal, else a line a generation.
        quiet: Only warnings, on the console given.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self.summary: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._driving: Driving | None = None
        self._finished: set[int] = set()
        self._before = 0
        self._failed = 0
        self._best: TrialRecord | None = None
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._leader: str | None = None
        self._target: int | None = None

    def say(self, message: str) -> None:
        """Print a line, above the bar."""
        self.console.print(message, style="yellow" if "warning" in message else None)

    def stopping(self, message: str) -> None:
        """Print a line, above the bar."""
        self.console.print(message, style="yellow")

    def began(self, driving: Driving) -> None:
        """Say what was found, and start the view."""
        self._driving, self._started = driving, time.monotonic()
        state = driving.state
        self._target = trials_at_end(state, driving.settings.budget)
        self._best, self._before = state.best, state.trials_done
        self._finished = set(range(state.trials_done))
        self._failed = state.failed
        if self.quiet:
            return
        name = state.declaration.name
        if driving.resumed:
            self.console.print(f"resuming sweep {name}: {state.trials_done} trials done")
        else:
            self.console.print(f"new sweep {name}")
        self.console.print(f"history in {driving.place}, parent run {driving.parent}")
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[text]}", markup=False),
                console=self.console,
            )
            self._bar.add_task(name[:16], total=self._target, text=self._text())
            self._bar.start()

    def trial_finished(self, record: TrialRecord) -> None:
        """Count it."""
        with self._lock:
            number = record.proposal.number
            if number in self._finished:
                return
            self._finished.add(number)
            self._failed += record.failure is not None
            if self._is_better(record):
                self._best = record
            if self._bar is not None:
                self._bar.update(
                    self._bar.task_ids[0], completed=len(self._finished), text=self._text()
                )

    def sealed(self, state: SweepState) -> None:
        """A line a generation, where there is no bar; and one when another proposer leads."""
        if self._driving is not None:
            self._target = trials_at_end(state, self._driving.settings.budget)
        if self.quiet:
            return
        if self._bar is None:
            generation = state.generations_done - 1
            self.console.print(f"generation {generation:3d}  {self._text()}")
        else:
            self._bar.update(self._bar.task_ids[0], total=self._target, text=self._text())
        if state.declaration.portfolio.judge:
            return  # it owes nobody a slot
        found = shares(state.portfolio, state.declaration)
        leader = max(found, key=lambda name: found[name])
        if leader != self._leader and len(set(found.values())) > 1:
            self._leader = leader
            self.console.print(
                f"{leader} earns most; next slots: {shares_text(found)}", style="dim"
            )

    def ended(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.stop()

    def concluded(self, summary: dict[str, Any]) -> None:
        """Keep the summary for the command."""
        self.summary = summary

    def _is_better(self, record: TrialRecord) -> bool:
        if record.value is None or self._driving is None:
            return False
        direction = self._driving.state.declaration.direction
        if self._best is None or self._best.value is None:
            return True
        new, old = to_loss(record.value, direction), to_loss(self._best.value, direction)
        return (new, record.proposal.number) < (old, self._best.proposal.number)

    def _text(self) -> str:
        done = len(self._finished)
        seconds = time.monotonic() - self._started
        left = seconds_left(seconds, done - self._before, done, self._target)
        return progress_text(done, self._target, self._best, failed=self._failed, left_s=left)
