"""What is done beside the driving, one thing after another, so that no trial waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue


class Aside:
    """A thread for what may take long, or fail, without harm to the sweep.

    It begins with the first thing to do, in the context of who asks for that, and never keeps the
    process alive.

    Args:
        name: The thread's.
        failed: Told what was raised, in that thread.

    Example:
        >>> done = []
        >>> aside = Aside("example", print)
        >>> aside.do(lambda: done.append("this"))
        >>> aside.close(patience_s=10.0), done
        (True, ['this'])
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None]) -> None:
        self._name, self._failed = name, failed
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given_up = False
        self._lock = threading.Lock()

    def do(self, work: Callable[[], object]) -> None:
        """Have this done after what was asked for before."""
        with self._lock:
            self._queue.put(work)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=copy_context().run, args=(self._run,), name=self._name, daemon=True
                )
                self._thread.start()

    def close(self, patience_s: float) -> bool:
        """Wait until all is done, but no longer than that; what is left is then not begun.

        Returns:
            Whether all was done.
        """
        if self._thread is None:
            return True
        self._queue.put(None)
        self._thread.join(patience_s)
        self._given_up = self._thread.is_alive()
        return not self._given_up

    def _run(self) -> None:
        while (work := self._queue.get()) is not None and not self._given_up:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  (SystemExit and the user's own too)
                self._failed(error)
