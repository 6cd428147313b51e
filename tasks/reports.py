"""What a trial reports on its way, from the evaluator to the ledger: gathered, then written.

The evaluator must watch the trial's process and its timeout, so it hands reports over and waits for
nothing. A thread of the trial's own writes what has come together, about once a second; the last
ones are written before the trial's result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

EVERY_S = 1.0  # between two writes of one trial


@dataclass(frozen=True, slots=True)
class Point:
    """One report.

    Attributes:
        at: When it came, in milliseconds since 1970; for people only.
    """

    step: int
    value: float
    at: int


class ReportLedger(Protocol):
    """What writing reports needs of a ledger."""

    def report(self, run_id: str, points: Sequence[Point]) -> None:
        """Record reports of an attempt. It may be called again with the same ones."""
        ...


class Stopping(Protocol):
    """What is asked whether the driver is to stop."""

    @property
    def draining(self) -> bool:
        """Whether no further trial is to be begun."""
        ...


class Reports:
    """A `lepton_core.reporting.Reporter` that writes to a ledger. See `reporting_to`."""

    def __init__(self, ledger: ReportLedger, run_id: str, stop: Stopping) -> None:
        self._ledger, self._run_id, self._stop = ledger, run_id, stop
        self._waiting: list[Point] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._writer: threading.Thread | None = None

    def report(self, step: int, value: float) -> None:
        """Take a report, to be written soon."""
        with self._lock:
            self._waiting.append(Point(step, value, time.time_ns() // 1_000_000))
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._write_now_and_then, name="lepton-reports", daemon=True
                )
                self._writer.start()

    def should_stop(self) -> bool:
        """Whether the driver is to stop, in whatever way."""
        return self._stop.draining

    def close(self) -> None:
        """Write what is left."""
        self._ended.set()
        if self._writer is not None:
            self._writer.join()
            self._write()

    def _write_now_and_then(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._write()

    def _write(self) -> None:
        with self._lock:
            points = tuple(self._waiting)
        try:
            if points:
                self._ledger.report(self._run_id, points)
        except Exception:  # noqa: BLE001  (the store is away, or the lease lost)
            return  # Tried again; what writes the trial's end tells of it, if it lasts so long.
        with self._lock:
            del self._waiting[: len(points)]


@contextmanager
def reporting_to(ledger: ReportLedger, run_id: str, stop: Stopping) -> Iterator[Reports]:
    """What an attempt reports to while the body evaluates it; all is written when that ends.

    Args:
        ledger: Where the reports go.
        run_id: The attempt's run.
        stop: Whether the driver is to stop.
    """
    reports = Reports(ledger, run_id, stop)
    try:
        yield reports
    finally:
        reports.close()
