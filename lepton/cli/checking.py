"""``lepton doctor`` without a name: what is wrong with this installation, and what to do."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lepton.cli.output import WIDTH, console, print_json

if TYPE_CHECKING:
    from lepton_tasks.installation.check import Check
    from lepton_tasks.installation.examination import Installation

AWAY, OURS = 7, 1
NAMES = 16  # characters of the longest name, and a space
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}
STATES = 8  # characters of the longest state, and a space


def check_installation(arguments: argparse.Namespace) -> int:
    """Look at what a sweep will need here, and say what is missing.

    Returns:
        0 if there is no problem, warnings or not; 7 if the store is away or cannot be written as
        sweeps need it; 1 for any other problem.
    """
    from lepton_tasks.installation.examination import (  # noqa: PLC0415  (loads what it needs)
        OF_THE_STORE,
        examine_installation,
    )

    found = examine_installation()
    code = AWAY if found.problems(*OF_THE_STORE) else OURS if found.problems() else 0
    if arguments.json:
        print_json(
            {
                "store": found.store,
                "checks": [
                    {
                        "name": one.name,
                        "state": one.state,
                        "found": one.found,
                        "expected": one.expected,
                        "advice": one.advice,
                    }
                    for one in found.checks
                ],
                "left": found.left,
                "problems": len(found.problems()),
                "warnings": _warnings(found),
                "exit_code": code,
            }
        )
    else:
        _show(found)
    return code


def _warnings(found: Installation) -> int:
    return sum(one.state == "warning" for one in found.checks)


def _show(found: Installation) -> None:
    out = console()
    for one in found.checks:
        for line in lines(one):
            out.print(line, style=STYLES[one.state], soft_wrap=True)
    for left in found.left:
        out.print(textwrap.fill(f"left there: {left}", WIDTH, subsequent_indent="  "))
    problems, warnings = len(found.problems()), _warnings(found)
    if not problems and not warnings:
        out.print("nothing is wrong with this installation")
    else:
        counts = [(problems, "problem"), (warnings, "warning")]
        told = [f"{count} {what}{'s'[: count > 1]}" for count, what in counts if count]
        out.print(", ".join(told))


def lines(one: Check) -> Iterator[str]:
    r"""A check for people, in 80 columns: what was found; if it is not well, what to do.

    Example:
        >>> from lepton_tasks.installation.check import Check
        >>> print(*lines(Check("python", "ok", "3.11.9", ">=3.11")), sep="\n")
        ok       python          3.11.9
    """
    rows = [(f"{one.state:{STATES}} {one.name:{NAMES}}", one.found)]
    if one.state in ("warning", "problem"):
        rows += [("expected", one.expected)] if one.expected else []
        rows += [("do", one.advice)] if one.advice else []
    indent = STATES + 1 + NAMES
    for number, (label, text) in enumerate(rows):
        shown = label if number == 0 else f"{'':{STATES}} {label:{NAMES}}"
        yield from textwrap.wrap(
            " ".join(text.split()),
            WIDTH,
            initial_indent=shown,
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        ) or [shown.rstrip()]
