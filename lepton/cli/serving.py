"""``lepton ui`` and ``lepton cancel``."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time

from lepton.cli.output import console, print_json
from lepton_core.errors import UnknownSweepError
from lepton_tasks.sweep_record import SweepRecord, open_record

TRIED_PORTS = 20
CANCEL_SECONDS = 90.0


def ui(arguments: argparse.Namespace) -> int:
    """Serve the MLflow UI on the store until Ctrl-C, on loopback only."""
    from lepton_tasks import store  # noqa: PLC0415
    from lepton_tasks.reaper import Reaper  # noqa: PLC0415
    from lepton_tasks.redaction import without_secrets  # noqa: PLC0415

    where = store.address()
    if where.tracking_uri.startswith(("http://", "https://")):
        url = without_secrets(where.tracking_uri)
        if arguments.json:
            print_json({"url": url})
        else:
            console().print(f"the store has a server of its own: {url}", soft_wrap=True)
        return 0
    if not store.exists(where):
        raise UnknownSweepError(f"there is no store at {where.place} yet; run a sweep first")
    opened = store.connect(where)
    port = free_port(arguments.port)
    # The bare experiment opens on an overview of traces, in which no run is to be seen.
    runs = f"experiments/{opened.experiment_id}/runs?workflowType=machine_learning"
    url = f"http://127.0.0.1:{port}/#/{runs}"
    reaper = Reaper()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "ui"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        env={
            **os.environ,
            # Not an argument: everybody on the machine sees those, and it may hold a password.
            "MLFLOW_BACKEND_STORE_URI": where.tracking_uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    reaper.watch(process.pid)
    try:
        _await_port(port, process)
        if arguments.json:
            print_json({"url": url, "port": port})
        else:
            console().print(f"MLflow UI: {url}\nCtrl-C ends it", soft_wrap=True)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        reaper.close()


def free_port(wanted: int) -> int:
    """A free port of the loopback, the wanted one or one of the next.

    Raises:
        UnknownSweepError: There is none.
    """
    for port in range(wanted, wanted + TRIED_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return port
    raise UnknownSweepError(
        f"no free port from {wanted} to {wanted + TRIED_PORTS - 1}; choose another with --port"
    )


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def cancel(arguments: argparse.Namespace) -> int:
    """Ask a sweep's driver to stop, and wait until it has."""
    from lepton_tasks.store import reachable  # noqa: PLC0415

    record = open_record(arguments.name)
    with reachable(record.store.address.place):
        return _cancel(arguments, record)


def _cancel(arguments: argparse.Namespace, record: SweepRecord) -> int:
    from lepton_tasks.lease import holder, is_driven, request_cancel  # noqa: PLC0415

    held = holder(record.params, record.tags)
    if held is None or not is_driven(record.params, record.tags):
        return _say_cancelled(arguments, f"sweep {arguments.name} is not being driven")
    request_cancel(record.store.client, record.entry.ledger, held.claim.epoch)
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline:
        record.refresh()
        if not is_driven(record.params, record.tags):
            return _say_cancelled(arguments, f"sweep {arguments.name} was stopped", stopped=True)
        time.sleep(0.5)
    text = f"asked the driver of {arguments.name} to stop; it has not answered yet"
    return _say_cancelled(arguments, text)


def _say_cancelled(arguments: argparse.Namespace, text: str, *, stopped: bool = False) -> int:
    if arguments.json:
        print_json({"name": arguments.name, "stopped": stopped, "message": text})
    else:
        console().print(text)
    return 0
