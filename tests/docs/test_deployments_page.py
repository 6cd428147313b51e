"""docs/deployments.md is true: the example, the hooks, the commands, the variables."""

from __future__ import annotations

import http.server
import json
import re
import shlex
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from lepton.cli.parser import build_parser
from lepton_core.declaration import Budget
from lepton_core.errors import SweepError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.hooks import OCCASIONS
from lepton_flows.hooks import Hooks, load_hooks
from lepton_tasks.sweep_yaml import parse_bytes, read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deployments.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


EXAMPLE, HOOKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_valid():
    _, settings = parse_bytes(EXAMPLE.encode(), Path("sweep.yaml")).parse()
    assert settings.nightly == Budget(trials=40, hours=2.0)


def test_the_hooks_of_the_example_send_a_message(tmp_path):
    came = []

    class Receive(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "sweep.yaml").write_text(EXAMPLE + HOOKS)
    source = read(tmp_path / "sweep.yaml")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        (tmp_path / "hooks.py").write_text(code.replace("127.0.0.1:8080", address))
        found = load_hooks(source)
        hooks = Hooks(found, source.parse()[0], print)
        hooks.broken(SweepError("the disk is full"))
        hooks.close()
        server.shutdown()
    assert set(found) == set(OCCASIONS)
    assert came == [{"text": "sweep churn-xgb failed: the disk is full"}]


def test_the_table_of_hooks_has_every_key_that_they_are_told():
    table = PAGE.split("What it is told is")[1].split("\n\n")[1]
    keys = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    told = {}
    hooks = Hooks(
        dict.fromkeys(OCCASIONS, told.update),
        parse_bytes(EXAMPLE.encode(), Path("sweep.yaml")).parse()[0],
        print,
    )
    number = Proposal(generation=0, slot=0, slots=1, number=0, params={}, proposer="random", seed=0)
    hooks.trial_finished(TrialRecord(proposal=number, value=1.0))
    hooks.broken(SweepError("the disk is full"))
    target = {"trials": 1, "hours": None}
    summary = {
        "ending": "finished",
        "reason": "",
        "trials": 1,
        "open": 0,
        "added": 1,
        "target": target,
    }
    hooks.concluded(summary)
    hooks.close()
    assert keys == set(told)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("lepton ")])
def test_each_command_of_lepton_is_one(command):
    build_parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.startswith("prefect ")], ids=lambda one: one[:30]
)
def test_each_command_of_prefect_is_one(command):
    words = shlex.split(command)[1:]
    options = [word for word in words if word.startswith("--")]
    plain = words[: words.index(options[0])] if options else words
    plain = [word for word in plain if word != "tuning"]
    asked = [sys.executable, "-m", "prefect", *plain, "--help"]
    shown = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert all(option in shown for option in options)


def test_the_variables_have_prefect_remove_what_is_older_than_a_month(monkeypatch):
    from prefect.settings.models.server.services import ServerServicesDBVacuumSettings

    for line in COMMANDS:
        if line.startswith("export PREFECT_SERVER"):
            (assigned, *_) = shlex.split(line, comments=True)[1:]
            monkeypatch.setenv(*assigned.split("=", 1))
    found = ServerServicesDBVacuumSettings()
    assert found.enabled_vacuum_types >= {"events", "flow_runs"}
    assert found.retention_period == timedelta(days=30)
