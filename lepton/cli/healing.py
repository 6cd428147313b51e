"""``lepton doctor``: what is wrong with a sweep's record, what that means, and mending it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lepton.cli.checking import check_installation
from lepton.cli.output import console, generations_text, print_json, program
from lepton.cli.verifying import ALTERED, brief
from lepton_core.errors import DeclarationError

if TYPE_CHECKING:
    from lepton_tasks.doctor.examination import Examination
    from lepton_tasks.doctor.findings import Finding
    from lepton_tasks.doctor.repairs import Done

SHOWN = 20


def doctor(arguments: argparse.Namespace) -> int:
    """Examine a sweep; with --repair, make the repairs and examine it again.

    Without a name it is the installation that is examined.
    """
    from lepton_tasks.doctor.examination import examine  # noqa: PLC0415  (each loads what it needs)
    from lepton_tasks.doctor.repairs import heal  # noqa: PLC0415

    if arguments.reopen and not arguments.repair:
        raise DeclarationError("--reopen changes the record; expected --repair beside it")
    if arguments.name is None:
        if arguments.repair:
            raise DeclarationError("--repair mends a sweep's record; expected the sweep's name")
        return check_installation(arguments)
    out = console(stderr=arguments.json)
    done: list[Done] = []
    if arguments.repair:
        done = heal(arguments.name, reopen=arguments.reopen, say=out.print)
    examined = examine(arguments.name)
    code = ALTERED if examined.findings else 0
    if arguments.json:
        print_json(
            {
                "name": arguments.name,
                "trials": _trials(examined),
                "generations": len(examined.record.seals) if examined.record else None,
                "findings": [_in_full(finding) for finding in examined.findings],
                "notes": [_in_full(note) for note in examined.notes],
                "reopens": examined.reopens,
                "repaired": [
                    {
                        "what": one.finding.what,
                        "trial": one.finding.trial,
                        "done": str(one.repair),
                        "run_id": one.repair.target,
                    }
                    for one in done
                ],
                "exit_code": code,
            }
        )
        return code
    _show_done(done)
    _show(arguments.name, examined, repaired=arguments.repair)
    return code


def _trials(examined: Examination) -> int | None:
    record = examined.record
    return None if record is None else record.seals.trials


def _in_full(finding: Finding) -> dict[str, Any]:
    from lepton_tasks.doctor.findings import MEANINGS  # noqa: PLC0415

    return {
        **brief(finding),
        "meaning": finding.meaning,
        "means": MEANINGS[finding.meaning],
        "repairs": [str(repair) for repair in finding.repairs],
        "by_hand": finding.remedy,
    }


def _show_done(done: list[Done]) -> None:
    from lepton_tasks.doctor.findings import printable  # noqa: PLC0415

    out = console()
    for one in done[:SHOWN]:
        where = "" if one.finding.trial is None else f"trial {one.finding.trial}: "
        out.print(printable(f"done: {where}{one.finding.what}: {one.repair}"))
    if len(done) > SHOWN:
        out.print(f"  and {len(done) - SHOWN} more repairs (--json shows all)")


def _show(name: str, examined: Examination, *, repaired: bool) -> None:
    from lepton_tasks.doctor.findings import MEANINGS, printable  # noqa: PLC0415

    out, record = console(), examined.record
    if record is not None:
        out.print(f"{name}: {_trials(examined)} trials in {generations_text(len(record.seals))}")
    for finding in examined.findings[:SHOWN]:
        out.print(f"- {finding}", style="bold")
        out.print(f"    means: {MEANINGS[finding.meaning]}")
        for repair in dict.fromkeys(map(str, finding.repairs)):
            out.print(f"    --repair: {repair}")
        if finding.remedy:
            out.print(f"    by hand: {printable(finding.remedy)}", soft_wrap=True)  # to be copied
    if len(examined.findings) > SHOWN:
        out.print(f"  and {len(examined.findings) - SHOWN} more (--json shows all)")
    for note in examined.notes[:SHOWN]:
        out.print(f"note: {note}")
    out.print(_advice(name, examined, repaired=repaired))


def _advice(name: str, examined: Examination, *, repaired: bool) -> str:
    command = f"{program()} doctor {name} --repair"
    if not examined.findings:
        return f"nothing is wrong with {name}"
    if examined.reopens is not None:
        return (
            "no repair is made while seals are missing or altered; with a backup, restore it.\n"
            f"Without one: {command} --reopen goes on from generation {examined.reopens}"
        )
    if any(finding.repairs for finding in examined.findings) and not repaired:
        return f"to mend what can be mended: {command}"
    return "what is left can only be mended by hand"
