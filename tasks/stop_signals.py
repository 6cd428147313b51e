"""What Ctrl-C and SIGTERM mean to a driver, and Ctrl-C to one in a process that is not its own."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from queue import SimpleQueue
from types import FrameType
from typing import Any, Self

from lepton_tasks.trial import StopSignal

TELLING_S = 5.0  # of a log that does not take what is told


@contextmanager
def stopping_on_signals(stop: StopSignal, tell: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C finish the running trials, and a second one or SIGTERM stop them.

    Outside the main thread, where Python has no signals, it does nothing.

    Args:
        stop: Asked to stop.
        tell: Told what that means, in a thread of its own: a log's lock may be the one that the
            main thread held when the signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: Any) -> None:
        if stop.draining:
            stop.now("stopped by a second Ctrl-C", number)
            texts.put("stopping now")
        else:
            stop.drain("stopped by Ctrl-C", number)
            texts.put("finishing the running trials; Ctrl-C again stops them")

    def terminate(number: int, _frame: Any) -> None:
        stop.now("stopped by SIGTERM", number)
        texts.put("stopping now")

    texts: SimpleQueue[str | None] = SimpleQueue()  # whose put, alone of the queues', may reenter

    def tell_all() -> None:
        for text in iter(texts.get, None):
            with suppress(Exception):  # a log that fails must not keep the next from being told
                tell(text)

    teller = threading.Thread(
        target=copy_context().run,
        args=(tell_all,),
        name="lepton-stopping",
        daemon=True,
    )
    teller.start()

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        texts.put(None)
        teller.join(TELLING_S)


PATIENCE_S = 2.0  # of somebody who presses Ctrl-C again


class Interrupts:
    """Ctrl-C in a notebook or a script: it waits for a moment at which nothing is half written.

    Within `allowed`, which is around the user's own code, it is raised at once. Elsewhere it asks
    the driver to stop, and is raised when the body is done. One that comes a while after the first
    is raised at once too: then something waits that nobody wants to wait for, such as a store that
    is away, and what is half written counts for as much as after a kill.

    Outside the main thread, where Python has no signals, and where Ctrl-C is ignored or handled
    outside Python, it does nothing.
    """

    def __init__(self, stop: StopSignal | None = None) -> None:
        self.stop = stop or StopSignal()
        self.interrupted = False
        self._allowed, self._since = False, 0.0
        self._before: Any = None

    def __enter__(self) -> Self:
        """Take Ctrl-C over."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Give it back, and raise what waited: an error that it led to is its context."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self.interrupted and kind is not KeyboardInterrupt:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        self._since = self._since if self.interrupted else now
        self.note(number)
        if self._allowed or now - self._since > PATIENCE_S:
            raise KeyboardInterrupt

    def watch(self, stop: StopSignal) -> StopSignal:
        """Ask this driver to stop; returns it."""
        self.stop = stop
        if self.interrupted:
            self.note()
        return stop

    def note(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C came, or the user's code raised what it raises."""
        self.interrupted = True
        self.stop.now("stopped by Ctrl-C", number)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Around what may be interrupted at any moment.

        Raises:
            KeyboardInterrupt: In the body, or before it, where one waits.
        """
        self._allowed = True
        try:
            if self.interrupted:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False
