"""Commands in processes of their own: second drivers, signals, the UI's server."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from beside import run_beside, wait_for_line

SLOW = "import time\ndef objective(trial):\n    time.sleep(0.4)\n    return trial['x']\n"


def test_a_second_driver_leaves_at_once_and_cancel_stops_the_first(
    sweep_folder, lepton, lepton_json, prefect_api
):
    Path("objective.py").write_text(SLOW)
    sweep_folder.write(budget={"trials": 400}, workers=1)
    first = run_beside("run", "sweep.yaml", PREFECT_API_URL=prefect_api, LEPTON_LEASE_SECONDS="6")
    wait_for_line(first, "new sweep")
    started = time.monotonic()
    code, shown = lepton("run", "sweep.yaml")
    assert code == 4
    assert f"process {first.pid}" in shown
    assert "--take-over" in shown
    assert time.monotonic() - started < 10
    assert lepton_json("status", "demo")[1]["state"] == "driven"
    code, answer = lepton_json("cancel", "demo")
    assert (code, answer["stopped"]) == (0, True)
    rest = first.communicate(timeout=120)[0]
    assert first.returncode == 143
    assert "interrupted (cancelled by 'lepton cancel')" in rest
    assert lepton_json("status", "demo")[1]["state"] == "stopped"


@pytest.mark.parametrize(
    ("signals", "code", "said"),
    [
        ([signal.SIGINT], 130, "finishing the running trials"),
        ([signal.SIGINT, signal.SIGINT], 130, "stopping now"),
        ([signal.SIGTERM], 143, "stopping now"),
    ],
)
def test_a_signal_ends_a_sweep_cleanly_and_says_how_to_go_on(
    sweep_folder, lepton, lepton_json, prefect_api, store, signals, code, said
):
    Path("objective.py").write_text(SLOW.replace("0.4", "2"))
    sweep_folder.write(budget={"trials": 400})
    process = run_beside("run", "sweep.yaml", PREFECT_API_URL=prefect_api)
    wait_for_line(process, "generation   0")
    process.send_signal(signals[0])
    # Two signals that come before the first is handled are one.
    rest = wait_for_line(process, "finishing the running trials") if signals[1:] else ""
    for number in signals[1:]:
        process.send_signal(number)
    rest += process.communicate(timeout=120)[0]
    assert process.returncode == code
    assert said in rest
    assert "resume demo" in rest
    assert "Traceback" not in rest
    statuses = {run.info.status for run in store.client.search_runs([store.experiment_id])}
    assert "RUNNING" not in statuses
    assert "SCHEDULED" not in statuses
    assert lepton("verify", "demo")[0] == 0


def test_the_ui_serves_the_store_on_loopback_only(driven):
    process = run_beside("ui", "--port", "5350")
    shown = wait_for_line(process, "MLflow UI: http://127.0.0.1:")
    address = shown.split("MLflow UI: ")[1].split("/#/")[0]
    with urllib.request.urlopen(address, timeout=30) as page:
        assert b"<title>MLflow</title>" in page.read()
    port = address.rpartition(":")[2]
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=False).stdout
    if listening:
        assert [line for line in listening.splitlines() if f":{port} " in line]
        assert all("127.0.0.1" in li for li in listening.splitlines() if f":{port} " in li)
    process.kill()  # nothing outlives it, not even killed
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) != 0:
                break
        time.sleep(0.1)
    else:
        pytest.fail("the MLflow server outlived 'lepton ui'")
    process.communicate()
