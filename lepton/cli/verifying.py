"""``lepton verify``: the proof that a history is intact and its proposals recompute."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lepton.cli.output import console, generations_text, print_json, program
from lepton_core.verification import Divergence, first_divergence
from lepton_tasks.sweep_record import SweepRecord, open_record

if TYPE_CHECKING:
    from lepton_tasks.doctor.findings import Finding

ALTERED, DIVERGED = 5, 6
SHOWN_ALTERATIONS = 20


def verify(arguments: argparse.Namespace) -> int:
    """Prove that the history is intact, and that recomputing gives the same proposals."""
    from lepton_tasks.doctor.audit import audit, notes  # noqa: PLC0415
    from lepton_tasks.doctor.snapshot_check import SnapshotCheck  # noqa: PLC0415
    from lepton_tasks.store import reachable  # noqa: PLC0415

    record = open_record(arguments.name)
    with reachable(record.store.address.place):
        alterations, remarks = audit(record), notes(record)
        divergence = None
        if not alterations:
            check = SnapshotCheck(record)
            divergence = first_divergence(record.events, look=check)
            alterations.extend(check.findings)
    versions = _versions_that_differ(record, divergence)
    code = ALTERED if alterations else DIVERGED if divergence else 0
    trials = record.seals.trials
    if arguments.json:
        print_json(
            {
                "name": arguments.name,
                "intact": not alterations,
                "same_proposals": None if alterations else divergence is None,
                "trials": trials,
                "generations": len(record.seals),
                "alterations": [brief(alteration) for alteration in alterations],
                "notes": [brief(remark) for remark in remarks],
                "divergence": _divergence(divergence, versions),
                "exit_code": code,
            }
        )
        return code
    checked = f"{trials} trials in {generations_text(len(record.seals))}"
    if alterations:
        _show_alterations(arguments.name, checked, alterations)
    elif divergence:
        _show_divergence(checked, divergence, versions)
    else:
        console().print(f"intact: {checked}, hash chain and runs agree", style="green")
        console().print("recomputed: every proposal comes out the same", style="green")
    for remark in remarks[:SHOWN_ALTERATIONS]:
        console().print(f"note: {remark}")
    return code


def brief(finding: Finding) -> dict[str, Any]:
    """A finding for scripts: what is wrong, without what can be done."""
    return {
        "trial": finding.trial,
        "what": finding.what,
        "found": finding.found,
        "recorded": finding.recorded,
        "run_id": finding.run_id,
    }


def _show_alterations(name: str, checked: str, alterations: list[Finding]) -> None:
    out = console()
    out.print(f"ALTERED: {checked} checked, {len(alterations)} differences:", style="bold red")
    for alteration in alterations[:SHOWN_ALTERATIONS]:
        out.print(f"  {alteration}")
    if len(alterations) > SHOWN_ALTERATIONS:
        out.print(f"  and {len(alterations) - SHOWN_ALTERATIONS} more (--json shows all)")
    out.print(f"what can be done: {program()} doctor {name}")


def _show_divergence(
    checked: str, divergence: Divergence, versions: dict[str, tuple[str, str]]
) -> None:
    out = console()
    was, now = divergence.recorded, divergence.recomputed
    changed = ", ".join(f"{n} {a} -> {b}" for n, (a, b) in versions.items())
    out.print(f"intact: {checked}; but recomputing differs from trial {was.number} on:")
    out.print(f"  recorded:   {was.proposer} {dict(was.params)}")
    out.print(f"  recomputed: {now.proposer} {dict(now.params)}")
    out.print(f"  versions that differ: {changed or 'none'}")
    out.print("The record stands; only new generations come out otherwise.")


def _divergence(
    divergence: Divergence | None, versions: dict[str, tuple[str, str]]
) -> dict[str, Any] | None:
    if divergence is None:
        return None
    was, now = divergence.recorded, divergence.recomputed
    return {
        "trial": was.number,
        "generation": was.generation,
        "slot": was.slot,
        "recorded": {"proposer": was.proposer, "params": dict(was.params)},
        "recomputed": {"proposer": now.proposer, "params": dict(now.params)},
        "versions": {name: list(pair) for name, pair in versions.items()},
    }


def _versions_that_differ(
    record: SweepRecord, divergence: Divergence | None
) -> dict[str, tuple[str, str]]:
    """What the driver that made a proposal ran on, against what this process runs on."""
    from lepton_tasks.environment import environment  # noqa: PLC0415
    from lepton_tasks.records import claims  # noqa: PLC0415

    if divergence is None:
        return {}
    epoch = record.seals[divergence.recorded.generation].epoch
    then = next((c.environment for c in claims(record.params) if c.epoch == epoch), {})
    here = environment()
    return {
        name: (then.get(name, "absent"), here.get(name, "absent"))
        for name in sorted({*then, *here})
        if then.get(name) != here.get(name)
    }
