"""A flow run whose worker is killed goes on, though nobody reads what it prints any more.

A worker reads its runs' output through a pipe. Prefect prints its log by rich, which ends the
process at the first line that nobody reads: a night would be over whenever its worker dies.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

OUTPUT = (1, 2)


def outlive_reader() -> None:
    """Have Prefect's log go to nowhere, and not end this process, once nobody reads it."""
    for handler in _handlers():
        console = getattr(handler, "console", None)
        if console is not None and hasattr(console, "on_broken_pipe"):
            console.on_broken_pipe = partial(_be_quiet, console)


def _handlers() -> Iterator[logging.Handler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            yield from logger.handlers


def _be_quiet(console: Any) -> None:
    """Print to nowhere from now on, by any means."""
    console.quiet = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in OUTPUT:
        os.dup2(nowhere, output)
    os.close(nowhere)
