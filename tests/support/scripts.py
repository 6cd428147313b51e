"""Programs as a user runs them: in a process and a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def printed(script: str, folder: Path, **environment: str) -> list[str]:
    """The lines that a program prints, which must end well. Keras's backend is not the tests'."""
    file = folder / "program.py"
    file.write_text(script)
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=folder,
        env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
