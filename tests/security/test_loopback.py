"""Servers that Lepton starts are reached from this machine alone, and show no secret to it."""

from __future__ import annotations

import os
import signal
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from beside import run_beside, wait_for_line
from drivers import MARK, await_no_process, marked_processes
from sockets import listening

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def addresses(mark: str) -> set[str]:
    return listening([int(line.split()[0]) for line in marked_processes(mark)])


@linux
def test_the_listening_sockets_of_a_process_are_seen():
    """Else the tests below would prove nothing."""
    import socket

    with socket.create_server(("0.0.0.0", 0)), socket.create_server(("127.0.0.1", 0)):
        assert {"0.0.0.0", "127.0.0.1"} <= listening([os.getpid()])


@linux
def test_the_ui_listens_on_loopback_and_its_command_line_names_no_store(sweep_folder, store):
    mark = sweep_folder.mark
    process = run_beside("ui", "--port", "5310", **{MARK: mark})
    try:
        wait_for_line(process, "MLflow UI: http://127.0.0.1")
        found = addresses(mark)
        assert found
        assert all(ip_address(address).is_loopback for address in found), found
        assert not [line for line in marked_processes(mark) if "sqlite:" in line]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
    await_no_process(mark, 20.0)


@linux
def test_the_prefect_server_of_a_run_listens_on_loopback(sweep_folder):
    mark = sweep_folder.mark
    process = run_beside("run", "sweep.yaml", **{MARK: mark, "PAUSE": "60"})
    try:
        wait_for_line(process, "new sweep demo")
        found = addresses(mark)
        assert found
        assert all(ip_address(address).is_loopback for address in found), found
        assert any("prefect.server" in line for line in marked_processes(mark))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        process.stdout.close()
    await_no_process(mark, 20.0)
    assert Path("mlruns/mlflow.db").exists()
