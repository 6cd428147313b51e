"""The command line: ``lepton run sweep.yaml`` and its companions."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from lepton.cli.output import discard, fail, print_json
from lepton.cli.parser import build_parser
from lepton_core.errors import LeptonError
from lepton_core.version import __version__
from lepton_tasks.store_client import NO_ROOM

QUIET = {
    # Prefect's log repeats what the live view shows; set the variable to see it.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
INTERRUPTED, TERMINATED = 130, 143


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name; the process's own if None.

    Returns:
        The exit code: 0 done, 1 our fault, 2 input wrong, 3 nothing usable, 4 driven by another,
        5 history was altered, 6 recomputing gives other proposals, 7 store unreachable,
        130 or 143 interrupted.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    _open_closed_streams()
    if sorted(sys.argv[1:] if argv is None else argv) == ["--json", "--version"]:
        print_json({"version": __version__})
        return 0
    arguments = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(arguments.command(arguments))
    except LeptonError as error:
        return fail(error.message, error.exit_code, arguments, error=type(error).__name__)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED, arguments)
    except BrokenPipeError:  # of an export
        discard(sys.stdout)
        return 0
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        discard(sys.stdout)
        return fail(
            f"what this command prints cannot be written: {error.strerror}; free some space, or "
            "send it elsewhere",
            1,
            arguments,
        )


def _open_closed_streams() -> None:
    """Where a standard stream was closed (``>&-``), what is written to it goes nowhere.

    Else the first file that is opened, the store's perhaps, takes its number, and is printed into.
    """
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:
            mode = "r" if stream == "stdin" else "w"
            setattr(sys, stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _terminate(number: int, frame: Any) -> None:
    del number, frame  # Unused: SIGTERM outside a sweep simply ends the command.
    raise SystemExit(TERMINATED)
