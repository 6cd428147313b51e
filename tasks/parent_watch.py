"""A flow run that `lepton serve` started ends with it, or as soon as it is asked to end.

Killed, a serving process takes its Prefect server with it, and leaves its flow runs to themselves:
they would drive on, and hold the sweep, where nobody sees them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from lepton_tasks.serve_lock import is_told_to_stop

TERMINATED = 128 + signal.SIGTERM
SERVED_BY, SERVE_LOCK = "LEPTON_SERVED_BY", "LEPTON_SERVE_LOCK"
POLL_SECONDS = 0.5
GRACE_SECONDS = 30.0  # for the sweep to be left; Prefect would try for minutes to tell its server


def stop_with_server() -> None:
    """Stop this process, as SIGTERM does, when the process that serves it ends, or is to end.

    It leaves the terminal's process group, too: Ctrl-C there is for the process that serves, which
    passes it on. Without such a process it does nothing.
    """
    server = os.environ.get(SERVED_BY, "")
    if server.isdecimal() and int(server) != os.getpid():
        with suppress(OSError):  # it leads a session already
            os.setpgid(0, 0)
        lock = Path(os.environ.get(SERVE_LOCK, ""))
        threading.Thread(
            target=_watch, args=(int(server), lock), name="lepton-parent-watch", daemon=True
        ).start()


def _watch(server: int, lock: Path) -> None:
    while os.getppid() == server and not is_told_to_stop(lock):
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(TERMINATED)
