"""What Ctrl-C and SIGTERM mean to a driver."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lepton_tasks.trial import StopSignal


@contextmanager
def stopping_on_signals(stop: StopSignal, tell: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C finish the running trials, and a second one or SIGTERM stop them.

    Outside the main thread, where Python has no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: Any) -> None:
        if stop.draining:
            stop.now("stopped by a second Ctrl-C", number)
            tell("stopping now")
        else:
            stop.drain("stopped by Ctrl-C", number)
            tell("finishing the running trials; Ctrl-C again stops them")

    def terminate(number: int, _frame: Any) -> None:
        stop.now("stopped by SIGTERM", number)
        tell("stopping now")

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
