"""A flow run that `lepton serve` started ends with it.

Killed, a serving process takes its Prefect server with it, and leaves its flow runs to themselves:
they would drive on, and hold the sweep, where nobody sees them.
"""

from __future__ import annotations

import os
import signal
import threading
import time

TERMINATED = 128 + signal.SIGTERM
SERVED_BY = "LEPTON_SERVED_BY"
POLL_SECONDS = 0.5
GRACE_SECONDS = 30.0  # for the sweep to be left; Prefect would try for minutes to tell its server


def stop_with_server() -> None:
    """Stop this process, as SIGTERM does, when the process that serves it ends.

    Without such a process it does nothing.
    """
    server = os.environ.get(SERVED_BY, "")
    if server.isdecimal() and int(server) != os.getpid():
        threading.Thread(
            target=_watch, args=(int(server),), name="lepton-parent-watch", daemon=True
        ).start()


def _watch(server: int) -> None:
    while os.getppid() == server:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(TERMINATED)
