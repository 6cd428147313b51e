"""How far one run may go: counted while it drives."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from lepton_core.declaration import Budget
from lepton_core.night import is_over, tonight


class Night:
    """What one run adds to a sweep, and how much it may. Trials may end in any thread.

    Args:
        limits: The most that it may add; without limits it is only counted.

    Attributes:
        added: How many results this run has recorded.
        open: How many results the open generation has, this run's and earlier ones.
    """

    def __init__(self, limits: Budget | None = None) -> None:
        self.limits = limits or Budget()
        self.added = self.open = 0
        self._lock = threading.Lock()
        self._started: float | None = None

    def begin(self) -> None:
        """Start the clock, once: a run that drives in blocks begins each of them."""
        if self._started is None:
            self._started = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to be begun."""
        driven_s = 0.0 if self._started is None else time.monotonic() - self._started
        return is_over(self.limits, added=self.added, driven_s=driven_s)

    def share(self, slots: Sequence[int]) -> set[int]:
        """Which slots of a generation, of those without a result, are this night's."""
        return set(tonight(slots, self.limits, self.added))

    def count(self) -> None:
        """A result was recorded."""
        with self._lock:
            self.added += 1
            self.open += 1
