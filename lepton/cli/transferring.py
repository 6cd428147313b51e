"""``lepton export`` and ``lepton import``: a sweep as a file, from one store to another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.cli.output import console, discard, print_json, program, two_columns
from lepton_core.errors import ExportFileError
from lepton_tasks.sweep_record import SweepRecord, open_record

if TYPE_CHECKING:
    from lepton_tasks.transfer.export import Exported


def export(arguments: argparse.Namespace) -> int:
    """Write a sweep as JSON lines, to a file or to standard output."""
    from lepton_tasks.transfer.export import export_sweep  # noqa: PLC0415  (each loads what it needs)
    from lepton_tasks.transfer.export_file import new_file  # noqa: PLC0415

    if arguments.json and arguments.output is None:
        raise ExportFileError(
            "--json needs -o FILE: without it standard output holds the export itself, "
            "which is JSON already, a line at a time"
        )
    record = open_record(arguments.name)
    if arguments.output is None:
        _export_to_stdout(record)
        return 0
    with new_file(Path(arguments.output)) as stream:
        exported = export_sweep(record, stream)
    _report_export(arguments, exported)
    return 0


def _export_to_stdout(record: SweepRecord) -> None:
    from lepton_tasks.transfer.export import export_sweep  # noqa: PLC0415

    try:
        export_sweep(record, sys.stdout.buffer)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)  # or the end fails again
        raise ExportFileError(f"cannot write to standard output: {error.strerror}") from None


def _report_export(arguments: argparse.Namespace, exported: Exported) -> None:
    file, end = Path(arguments.output), exported.end
    content = {
        "name": arguments.name,
        "file": str(file),
        "bytes": file.stat().st_size,
        "trials": exported.trials,
        "generations": end.seals,
        "runs": end.runs,
        "drivers": end.drivers,
        "head": exported.head,
        "digest": end.digest,
    }
    if arguments.json:
        print_json(content)
        return
    out = console()
    out.print(
        f"exported {arguments.name}: {_counted(content)}, {content['bytes']} bytes", style="green"
    )
    out.print("artifacts are not in it", style="dim")
    out.print(f"elsewhere: {program()} import {file}", soft_wrap=True)


def _counted(content: dict[str, Any]) -> str:
    return (
        f"{content['trials']} trials in {content['generations']} sealed generations, "
        f"{content['runs']} runs"
    )


def import_(arguments: argparse.Namespace) -> int:
    """Bring an exported sweep into this store."""
    from lepton_tasks.transfer.import_sweep import NOTHING_TO_DO, import_sweep  # noqa: PLC0415

    messages = console(stderr=True)
    imported = import_sweep(
        Path(arguments.file),
        arguments.as_name,
        say=lambda message: messages.print(f"importing: {message}", style="dim"),
    )
    record, checked = imported.record, imported.checked
    content: dict[str, Any] = {
        "name": record.entry.name,
        "ending": imported.ending,
        "trials": checked.state.trials_done,
        "generations": checked.end.seals,
        "runs": checked.end.runs,
        "drivers": checked.end.drivers,
        "origin": {
            "name": checked.state.declaration.name,
            "head": checked.header.head,
            "digest": checked.end.digest,
            "lepton": checked.header.lepton,
        },
        "store": record.store.address.place,
        "run_id": record.parent,
    }
    if arguments.json:
        print_json(content)
        return 0
    before = ", which had been imported before" if imported.ending == NOTHING_TO_DO else ""
    out = console()
    out.print(f"imported {content['name']}: {_counted(content)}{before}", style="green")
    out.print(
        two_columns(
            {
                "history": content["store"],
                "prove it": f"{program()} verify {content['name']}",
                "go on": f"{program()} resume {content['name']}, beside its sweep file",
            }
        )
    )
    return 0
