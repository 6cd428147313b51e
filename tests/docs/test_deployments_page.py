"""docs/deployments.md and prefect.yaml are true: the example, the commands, the deployment."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from scheduled import Api

from lepton.cli.parser import build_parser
from lepton_core.declaration import Budget
from lepton_tasks.sweep_yaml import parse_bytes, read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deployments.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


def test_the_example_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    _, settings = parse_bytes(block.encode(), Path("sweep.yaml")).parse()
    assert settings.nightly == Budget(trials=40, hours=2.0)


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


def test_prefect_deploys_the_demo_from_prefect_yaml(prefect_api):
    api = Api(prefect_api)
    if "lepton" not in {pool["name"] for pool in api.ask("/work_pools/filter", {})}:
        api.ask("/work_pools/", {"name": "lepton", "type": "process"})
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": prefect_api, "PWD": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = api.deployment("breast-cancer")
    assert found["entrypoint"] == "lepton_flows.nightly.nightly"
    schema = found["parameter_openapi_schema"]
    assert set(found["parameters"]) <= set(schema["properties"])
    assert set(schema["required"]) <= set(found["parameters"])
    ((step, options),) = found["pull_steps"][0].items()
    assert (step.rpartition(".")[2], options) == ("set_working_directory", {"directory": str(ROOT)})
    name = read(ROOT / found["parameters"]["sweep_file"]).name
    assert name == found["name"]
