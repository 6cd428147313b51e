"""What befalls this process at a named write point: a signal to its group, or a failing store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from lepton_tasks import store, write_points
from lepton_tasks.store_client import StoreClient
from lepton_tasks.write_points import WritePoint


def strike(how: str) -> None:
    """Send this process's group a signal."""
    os.killpg(0, getattr(signal, how))
    time.sleep(0.1)  # the signal may reach another thread first; this one must not go on


def kill_at(name: str, when: str, number: int, how: str = "SIGKILL") -> None:
    """Send this process's group a signal before or after its `number`-th write at a point."""
    seen = 0

    def at(point: WritePoint, write: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += point.name == name
        due = point.name == name and seen == number
        if due and when == "before":
            told_strike()
        result = write()
        if due and when == "after":
            told_strike()
        return result

    def told_strike() -> None:
        print("signalled", when, name, flush=True)
        strike(how)

    original, link = StoreClient._write, os.link

    def write(self: StoreClient, point: WritePoint, call: Callable[[], Any]) -> Any:
        return at(point, lambda: original(self, point, call))

    def make(*arguments: Any, **options: Any) -> Any:
        return at(write_points.DATABASE, lambda: link(*arguments, **options))

    StoreClient._write = write  # type: ignore[method-assign]
    store.os.link = make  # type: ignore[attr-defined]


def fail_once_at(name: str) -> None:
    """Let the first write at a point fail once, as if the store were away for a moment."""
    original, pending = StoreClient._write, [ConnectionResetError("reset by a test")]

    def write(self: StoreClient, point: WritePoint, call: Callable[[], Any]) -> Any:
        def attempt() -> Any:
            if point.name == name and pending:
                raise pending.pop()
            return call()

        return original(self, point, attempt)

    StoreClient._write = write  # type: ignore[method-assign]
