"""A small process that outlives its driver just long enough to kill what the driver started.

Workers notice a dead driver by themselves unless the objective never lets another thread run; a
Prefect server does not notice at all. The reaper is in a session of its own, so that what kills the
driver's group does not kill it too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Reaper:
    """Process groups that must not outlive this process, and folders that need not."""

    def __init__(self) -> None:
        read_fd, self._fd = os.pipe()
        script = Path(__file__).with_name("reaper_process.py")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script), str(read_fd)],
                pass_fds=[read_fd],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            os.close(read_fd)

    def watch(self, group: int) -> None:
        """Kill this process group when this process ends."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self._tell(f"-{group}")

    def remove(self, folder: Path) -> None:
        """Remove this folder when this process ends."""
        self._tell(f"~{folder}")

    def close(self) -> None:
        """Clear up now."""
        os.close(self._fd)
        self._process.wait()

    def _tell(self, line: str) -> None:
        os.write(self._fd, f"{line}\n".encode())
