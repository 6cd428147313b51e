"""``lepton run`` and ``lepton resume``: the Prefect flows with a live view."""

from __future__ import annotations

import argparse
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from lepton.cli.output import (
    best_text,
    console,
    param_rows,
    print_json,
    program,
    resume_command,
    trials_text,
    two_columns,
)
from lepton_core.declaration import Budget
from lepton_core.night import night_text
from lepton_tasks.sweep_record import find_to_resume

if TYPE_CHECKING:
    from lepton_tasks.sweep_yaml import SweepSource

SIGNALLED = 128


def run(arguments: argparse.Namespace) -> int:
    """Drive a sweep file to its target, or go on with it."""
    from lepton_tasks.sweep_yaml import read  # noqa: PLC0415  (each command loads what it needs)

    return _drive(arguments, read(Path(arguments.file)), {"source": arguments.file})


def resume(arguments: argparse.Namespace) -> int:
    """Go on with a sweep by its name."""
    from lepton_tasks.sweep_yaml import find_or_read  # noqa: PLC0415

    find_to_resume(arguments.name)  # an unknown name is said at once
    source = find_or_read(arguments.name, arguments.file)
    return _drive(arguments, source, {"name": arguments.name, "file": arguments.file})


def _drive(arguments: argparse.Namespace, source: SweepSource, parameters: dict[str, Any]) -> int:
    from lepton_flows.driver import look_first  # noqa: PLC0415

    nightly = Budget() if arguments.nightly else None
    done = look_first(source, take_over=arguments.take_over, nightly=nightly)
    summary = done.summary() if done else _flow(arguments, parameters)
    signal = summary.pop("signal", None)
    again = resume_command(str(summary["name"]), source.file)
    again += " --nightly" if arguments.nightly else ""
    if arguments.json:
        print_json({**summary, "resume": again})
    else:
        _report(summary, again)
    if summary["ending"] != "interrupted":
        return 0
    return SIGNALLED + int(signal or SIGTERM)


def _flow(arguments: argparse.Namespace, parameters: dict[str, Any]) -> dict[str, Any]:
    from prefect.exceptions import CancelledRun  # noqa: PLC0415

    from lepton.live import LiveObserver  # noqa: PLC0415
    from lepton_flows import sweep as flows  # noqa: PLC0415
    from lepton_flows.observer import observer  # noqa: PLC0415

    live = LiveObserver(console(stderr=arguments.json), quiet=arguments.json)
    if not arguments.json:
        live.say("starting Prefect and the workers, which takes some seconds ...")
    token = observer.set(live)
    flow = flows.sweep if "source" in parameters else flows.resume
    try:
        flow(
            **parameters,
            workers=arguments.workers,
            take_over=arguments.take_over,
            nightly=arguments.nightly,
        )
    except (CancelledRun, KeyboardInterrupt):
        if live.summary is None:  # interrupted before there was anything to sum up
            raise KeyboardInterrupt from None
    finally:
        observer.reset(token)
    return live.summary or {}


def _report(summary: dict[str, Any], again: str) -> None:
    out = console()
    best, target = summary["best"], summary["target"]["trials"]
    sealed = trials_text(summary["trials"], target, exhausted=False)
    done = trials_text(summary["trials"], target, exhausted=summary["exhausted"])
    headline = {
        "finished": f"finished: {done}",
        "nothing to do": f"nothing to do: the sweep is at its target already, {done}"
        if done == sealed
        else f"nothing to do: {done}",
        "night over": night_text(summary["added"], summary["trials"] + summary["open"], target),
        "interrupted": f"interrupted ({summary['reason']}): {sealed} sealed",
    }[summary["ending"]]
    out.print(f"\n{headline}", style="bold")
    if best is not None:
        out.print(two_columns({"best": best_text(best), **param_rows(best["params"])}))
    advised = summary["recommended"]
    if best is not None and advised != best["number"]:
        out.print(
            f"The losses look noisy: trial {advised} is recommended; "
            f"{program()} best {summary['name']} shows it.",
            soft_wrap=True,
        )
    commands = {"history": summary["store"], "see it": f"{program()} ui"}
    if summary["ending"] in ("interrupted", "night over"):
        commands["go on"] = again
    else:
        commands["more"] = (
            "every configuration was tried; for others, a wider space under another name"
            if summary["exhausted"]
            else f"raise the budget, then {again}"
        )
        commands["prove it"] = f"{program()} verify {summary['name']}"
    for label, text in commands.items():
        out.print(f"{label + ':':10}{text}", soft_wrap=True)
