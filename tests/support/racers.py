"""What the fork server's children do when they are not drivers: race for a record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lepton_core.declaration import Declaration
from lepton_tasks import register
from lepton_tasks.doctor.repairs import heal
from lepton_tasks.lease import request_cancel
from lepton_tasks.records import claims
from lepton_tasks.store import connect
from lepton_tasks.sweep_record import open_record
from lepton_tasks.sweep_yaml import read
from lepton_tasks.write_once import write_once
from lepton_tasks.write_points import NAME


def await_start(ready: str, go: str) -> None:
    """Say that this racer is ready, then wait for the start, spinning so as to start together."""
    Path(ready).touch()
    while not Path(go).exists():
        time.sleep(0.0005)


def write(*, ready: str, go: str, run_id: str, keys: int, value: str) -> None:
    """Write each of many registers; print what each holds."""
    client = connect().client
    await_start(ready, go)
    held = [write_once(client, NAME, run_id, f"key/{key}", value) for key in range(keys)]
    print("held", json.dumps(held), flush=True)


def declare(*, ready: str, go: str) -> None:
    """Open the store, perhaps the first to do so, and declare the sweep of the current folder."""
    declaration: Declaration = read(Path("sweep.yaml")).parse()[0]
    await_start(ready, go)
    entry = register.enter(connect(), declaration)
    print("entry", json.dumps([entry.ledger, entry.digest]), flush=True)


def cancel(*, name: str) -> None:
    """Ask the sweep's driver to stop."""
    record = open_record(name)
    request_cancel(record.store.client, record.entry.ledger, claims(record.params)[-1].epoch)


def doctor(*, name: str) -> None:
    """Mend all that can be mended; print how much that was."""
    done = heal(name, reopen=True, say=lambda message: print("say", message, flush=True))
    print("mended", len(done), flush=True)


RACERS: dict[str, Callable[..., Any]] = {
    "write": write,
    "declare": declare,
    "cancel": cancel,
    "doctor": doctor,
}
