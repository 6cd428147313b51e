"""What is said between the driver and a worker about one trial, as the driver hears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lepton_core.reporting import Reporter
from lepton_tasks.channel import Channel

MAX_LATE = 3000  # messages: a full pipe of them, sent in time, may be read after the timeout


class Dialogue:
    """Hands over a trial, passes its reports on, tells it to stop, gets its answer.

    Args:
        channel: To the worker.
        is_gone: Whether the worker's process has ended.
        reporter: Who hears the reports, and knows whether the trial is to stop; may be nobody.

    Attributes:
        told: Whether the trial knows that it is to stop.
    """

    def __init__(
        self, channel: Channel, is_gone: Callable[[], bool], reporter: Reporter | None
    ) -> None:
        self.channel, self.is_gone, self.reporter = channel, is_gone, reporter
        self.told = self._stop_sent = False

    def hold(self, trial: dict[str, Any], timeout: float | None) -> dict[str, Any] | None:
        """Hand over the trial and listen until its answer.

        Args:
            trial: What the worker is told of it.
            timeout: Seconds for the trial as a whole, however often it reports.

        Returns:
            The answer, or None at the timeout.

        Raises:
            ChannelClosedError: The worker is gone.
        """
        self.channel.send(trial)
        started, late = time.monotonic(), 0
        while late <= MAX_LATE:
            left = None
            if timeout is not None:
                left = max(0.0, timeout - (time.monotonic() - started))
                late += left == 0
            message = self.channel.receive(left, is_gone=self._look)
            if message is None:
                return None
            if "told" in message:
                self.told = True
            elif "report" not in message:
                return message
            elif self.reporter is not None:
                self.reporter.report(*message["report"])
        return None

    def _look(self) -> bool:
        """Whether the worker is gone; asked now and then, as is whether the trial is to stop."""
        if not self._stop_sent and self.reporter is not None and self.reporter.should_stop():
            self._stop_sent = True
            self.channel.send({"stop": True})
        return self.is_gone()
