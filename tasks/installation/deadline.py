"""A bound on what waits: a library that hangs must not hang the one who asks what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do some work in a thread that is left behind if it takes too long.

    Args:
        seconds: How long is waited for it.
        work: Its own errors are raised here.

    Raises:
        TimeoutError: It was not done in time. Its thread ends with the process.

    Example:
        >>> within(5.0, lambda: 2 + 2)
        4
    """
    done: list[T] = []
    failed: list[BaseException] = []
    context = copy_context()  # Prefect's settings may be this thread's own

    def run() -> None:
        try:
            done.append(context.run(work))
        except BaseException as error:  # noqa: BLE001  (raised again below)
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="lepton doctor")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]
