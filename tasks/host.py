"""Which machine and which process this is, so that a dead driver is told from a live one.

A pid alone says little: it is reused, and it means nothing in another container. So a process is
named by host, boot, pid namespace, pid and start time.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Life = Literal["dead", "running", "stopped", "unknown"]


@dataclass(frozen=True, slots=True)
class Process:
    """A process, for ever.

    Attributes:
        host: The host's name.
        boot: The boot that it lives in (and on Linux the pid namespace).
        pid: Its number there.
        started: When it started, in the system's own terms; "" where that cannot be told.
    """

    host: str
    boot: str
    pid: int
    started: str


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(socket.gethostname(), _boot(), pid, _started(pid))


def life(process: Process) -> Life:
    """Whether a process still lives, as far as this machine can tell.

    Returns:
        "unknown" if it belongs to another host, boot or container.
    """
    if (process.host, process.boot) != (socket.gethostname(), _boot()):
        return "unknown"
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return "dead"
    except PermissionError:
        pass  # it lives, as another user
    if _started(process.pid) != process.started:
        return "dead"
    return {"T": "stopped", "t": "stopped", "Z": "dead", "X": "dead"}.get(  # type: ignore[return-value]
        _state(process.pid), "running"
    )


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return _ask("sysctl", "-n", "kern.bootsessionuuid") or platform.node()


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else _ask("ps", "-o", "lstart=", "-p", str(pid))


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else _ask("ps", "-o", "state=", "-p", str(pid))[:1]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (the second may hold spaces)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
