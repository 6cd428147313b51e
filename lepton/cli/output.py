"""What the commands print: 80 columns, colours only on a terminal, JSON for scripts."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_core.canonical import value_text, visible

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH = 80
DIGITS = 6
MAX_CELL = 2000  # characters


def console(*, stderr: bool = False) -> Console:
    """A console that keeps to 80 columns where it is no terminal.

    Everything that is printed on it is text: no markup in it is obeyed, no control character
    reaches the terminal but those of rich itself.
    """
    from rich.console import Console  # noqa: PLC0415  (20 ms that --json and --help need not pay)

    class PlainConsole(Console):
        """Shows strings as `visible` writes them; tables are made of `plain` texts."""

        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(visible(o) if isinstance(o, str) else o for o in objects), **options)

        def on_broken_pipe(self) -> None:
            discard(self.file)  # rich would end the process with 1, a sweep that it drives too

    made = PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on one line of standard output, in ASCII: a terminal obeys nothing in it."""
    text = json.dumps(content, allow_nan=False).replace("\x7f", "\\u007f")
    _write(sys.stdout, text)


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        discard(stream)


def discard(stream: Any) -> None:
    """Write no more to a stream whose reader, such as ``head``, has seen enough.

    The command goes on: what it came to is in its exit code, which somebody may read still.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def fail(message: str, code: int, arguments: argparse.Namespace, **more: Any) -> int:
    """Say what went wrong, and give the exit code back."""
    if arguments.json:
        print_json({"message": message, "exit_code": code, **more})
    _write(sys.stderr, f"lepton: {visible(message)}")
    return code


def plain(text: str) -> Text:
    """A text as a cell of a table: nothing in it is markup, nothing is obeyed, no line ends."""
    from rich.text import Text  # noqa: PLC0415

    return Text(visible(text).replace("\n", "\\n")[:MAX_CELL])


def program() -> str:
    """What to type for this program here."""
    found, called = shutil.which("lepton"), Path(sys.argv[0])
    if found and called.exists() and Path(found).resolve() == called.resolve():
        return "lepton"
    if called.name == "lepton" and called.exists():
        relative = os.path.relpath(called)
        return relative if not relative.startswith("..") else str(called)
    return "python -m lepton"


def resume_command(name: str, file: Path | None) -> str:
    """The command that goes on with a sweep from here."""
    words = [program(), "resume", name]
    if file is not None and file.absolute().parent != Path.cwd():
        words += ["--file", os.path.relpath(file)]
    return shlex.join(words) if program() == "lepton" else f"{program()} {shlex.join(words[1:])}"


def number_text(value: float | None) -> str:
    """A loss for people: six digits."""
    return "-" if value is None else f"{value:.{DIGITS}g}"


def param_text(value: Any) -> str:
    """A param for people: floats to six digits."""
    return number_text(value) if isinstance(value, float) else value_text(value)


def best_text(best: Mapping[str, Any]) -> str:
    """A best trial for people: its value, which it was and who proposed it."""
    return f"{number_text(best['value'])}  (trial {best['number']}, {best['proposer']})"


def trials_text(trials: int, target: int | None, *, exhausted: bool) -> str:
    """How many trials of how many, for people, and why there are no more.

    Example:
        >>> trials_text(12, 64, exhausted=True)
        '12 of 64 trials: the space has no other configurations'
    """
    done = f"{trials} of {target} trials" if target else f"{trials} trials"
    if exhausted and trials != target:
        done += ": the space has no other configurations"
    return done


def generations_text(sealed: int) -> str:
    """How many generations are sealed, for people.

    Example:
        >>> generations_text(1), generations_text(5)
        ('1 sealed generation', '5 sealed generations')
    """
    return f"{sealed} sealed generation{'' if sealed == 1 else 's'}"


def shares_text(shares: Mapping[str, float]) -> str:
    """Who gets which share of the next slots, for people, the largest first.

    Example:
        >>> shares_text({"ga": 0.25, "rl": 0.75})
        'rl 75 %, ga 25 %'
    """
    ordered = sorted(shares.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in ordered)


def param_rows(params: Mapping[str, Any]) -> dict[str, str]:
    """Params for people, as rows below a best trial."""
    return {f"  {name}": param_text(value) for name, value in params.items()}


def two_columns(rows: Mapping[str, str]) -> Table:
    """Names and values side by side, no lines."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(plain(name), plain(value))
    return table
