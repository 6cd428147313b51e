"""An Optimizer's progress bar: in a notebook, at a terminal, or none."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING, Any, Self

from lepton.progress_text import done_text, progress_text, seconds_left
from lepton_core.asking import Asking

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY_S = 0.1  # between two drawings of a bar


class Bar:
    """A bar that is not shown, and what those that are have in common."""

    where = ""  # of the record, a line to be shown first

    def __init__(self, target: int) -> None:
        self.target, self._before = target, -1
        self._started = self._drawn = time.monotonic()
        self._last: Asking | None = None

    def __enter__(self) -> Self:
        """Put it up."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave its last state."""
        self._draw_last()

    def show(self, at: Asking) -> None:
        """Show where the sweep is."""
        if self._before < 0:
            self._before = at.trials_told
        now = time.monotonic()
        if now - self._drawn >= EVERY_S or at.trials_told in (self._before, self.target):
            self._drawn = now
            self.draw(at.trials_told, self._text(at, now))
        self._last = at

    def _draw_last(self) -> None:
        """Draw the last state, which may have come too soon after the one before."""
        if self._last is not None:
            self.draw(self._last.trials_told, self._text(self._last, time.monotonic()))

    def draw(self, done: int, text: str) -> None:
        """Draw it anew."""

    def _text(self, at: Asking, now: float) -> str:
        done = at.trials_told
        left = seconds_left(now - self._started, done - self._before, done, self.target)
        what = done_text(at, self.target) if at.state.declaration.training else ""
        return progress_text(done, self.target, at.best, failed=at.failed, left_s=left, what=what)


class TerminalBar(Bar):
    """A line at the terminal that moves; on standard error, as bars are."""

    def __init__(self, target: int) -> None:
        from rich.console import Console  # noqa: PLC0415  (only where one is shown)
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        super().__init__(target)
        columns = BarColumn(bar_width=16), TextColumn("{task.fields[text]}", markup=False)
        self._progress: Progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", total=target, text="")

    def __enter__(self) -> Self:
        """Put it up."""
        if self.where:
            self._progress.console.print(self.where, soft_wrap=True, highlight=False, markup=False)
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave its last state."""
        self._draw_last()
        self._progress.stop()

    def draw(self, done: int, text: str) -> None:
        """Draw it anew."""
        self._progress.update(self._task, completed=done, text=text)


class NotebookBar(Bar):
    """A bar in a notebook's output: plain HTML, which needs no widgets and stays when saved."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._handle: Any = None

    def draw(self, done: int, text: str) -> None:
        """Draw it anew."""
        from IPython.display import HTML, display  # noqa: PLC0415  (only where there is one)

        shown = HTML(  # type: ignore[no-untyped-call]
            f'<progress value="{done}" max="{self.target}" style="width:16em"></progress> '
            f"{escape(text)}{f'<br>{escape(self.where)}' if self.where else ''}"
        )
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)


def bar(wanted: bool | None, target: int) -> Bar:  # noqa: FBT001  (handed on)
    """The bar for where this runs.

    Args:
        wanted: Whether to show one; None: in a notebook and at a terminal.
        target: How many trials there are to be.
    """
    if wanted is False:
        return Bar(target)
    if is_notebook():
        return NotebookBar(target)
    at_terminal = False
    with suppress(AttributeError, ValueError):  # there may be no standard error
        at_terminal = sys.stderr.isatty()
    return TerminalBar(target) if wanted or at_terminal else Bar(target)


def is_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython  # noqa: PLC0415

    shell: Any = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
