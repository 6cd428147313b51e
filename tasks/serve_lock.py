"""One process of a machine serves a sweep: a second would take the schedule from the first.

The lock is a file's, which the system lets go however its process ends. The nights that it serves
read there that it was asked to end: Prefect would tell them through its server, which may be away.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_core.canonical import digest
from lepton_core.errors import DrivenElsewhereError

STOPPING = "stopping"


@contextmanager
def served_alone(sweep: str, home: Path, api: str | None) -> Iterator[Path]:
    """Hold a sweep's lock while the body runs; its file is for `tell_to_stop`.

    Args:
        sweep: The sweep's name.
        home: Where the processes that share a Prefect server of their own keep its database.
        api: Prefect's API, where one is configured; its server's sweeps are others.

    Raises:
        DrivenElsewhereError: Another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"lepton-serve-{digest(repr((sweep, api)))[:16]}.lock"
    with file.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            process = held.read().strip() or "unknown"
            raise DrivenElsewhereError(
                f"sweep {sweep!r} is served already, by process {process} of this machine, whose "
                f"schedule a second one would take over; end that one first ('kill {process}')",
                name=sweep,
            ) from None
        except OSError:  # a file system without locks
            pass
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield file


def tell_to_stop(file: Path) -> None:
    """Have the nights that are served stop."""
    file.write_text(STOPPING)


def is_told_to_stop(file: Path) -> bool:
    """Whether whoever holds this lock was asked to end."""
    try:
        return file.read_text() == STOPPING
    except OSError:
        return False
