"""Kills what a dead driver leaves behind. Run as a script, alone, with the standard library only.

It reads lines from a pipe whose other end only the driver holds: ``+PID`` and ``-PID`` for process
groups, ``~PATH`` for a folder. When the pipe closes, the driver has ended, however it ended: the
groups still listed are killed, the folders removed.
"""

import os
import shutil
import signal
import sys


def main(fd: int) -> None:
    """Listen until the pipe closes, then clear up."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    groups: set[int] = set()
    folders: list[str] = []
    with os.fdopen(fd) as pipe:
        for line in pipe:
            kind, rest = line[0], line[1:].rstrip("\n")
            if kind == "+":
                groups.add(int(rest))
            elif kind == "-":
                groups.discard(int(rest))
            else:
                folders.append(rest)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
