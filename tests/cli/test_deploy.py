"""``lepton deploy``: what it checks before it tells Prefect anything, and what it tells."""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from pathlib import Path

import pytest
from scheduled import Api

from lepton_flows import scheduled
from lepton_tasks.sweep_yaml import read

DEPLOY = ("deploy", "sweep.yaml", "--cron", "0 2 * * *", "--pool", "some")


@pytest.fixture
def nightly(sweep_folder):
    """A sweep that a schedule may drive, under a name of its own."""
    name = f"night-{uuid.uuid4().hex[:8]}"
    sweep_folder.write(name=name, nightly={"trials": 12})
    return name


@pytest.fixture
def api(prefect_api):
    """The server with two work pools, which go with the test: others count what is there."""
    found = Api(prefect_api)
    pools = {"some": "process", "ships": "docker"}
    for name, kind in pools.items():
        found.ask("/work_pools/", {"name": name, "type": kind})
    yield found
    for name in pools:
        found.ask(f"/work_pools/{name}", method="DELETE")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"generation": 0}, (), "generation: found 0"),
        ({"nightly": None}, (), "no nightly limits"),
        ({}, ("--cron", "0 2 * *"), "found '0 2 * *'; expected a cron schedule of five fields"),
        ({}, ("--cron", "0 25 * * *"), "expected a cron schedule"),
        ({}, ("--cron", "@hourly"), "expected a cron schedule"),
        ({}, ("--cron", "0 2 31 2 *"), "found '0 2 31 2 *', which never comes"),
        ({}, ("--timezone", "Mars"), "found the timezone 'Mars'; expected a name such as"),
        ({}, ("--timezone", "../etc"), "found the timezone '../etc'"),
        ({}, ("--pool", "none"), "make one with 'prefect work-pool create none --type process'"),
        ({}, ("--pool", "ships"), "the work pool 'ships' is of type docker; expected process"),
    ],
)
def test_what_is_wrong_is_said_before_prefect_is_told(
    nightly, sweep_folder, api, lepton, change, options, message
):
    sweep_folder.write(**change)
    code, shown = lepton(*DEPLOY, *options)
    assert (code, message in shown) == (2, True), shown
    asked = {"deployments": {"name": {"any_": [nightly]}}}
    assert api.ask("/deployments/filter", asked) == []


def test_without_a_server_deploy_says_how_to_start_one(nightly, lepton):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        code, shown = lepton(*DEPLOY)
    assert (code, "no Prefect server is configured" in shown, "lepton serve" in shown) == (
        2,
        True,
        True,
    )
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        code, shown = lepton(*DEPLOY)
    assert (code, "the Prefect server http://127.0.0.1:9/api failed" in shown) == (1, True)
    with temporary_settings({PREFECT_API_URL: "http://me:hush/ed@127.0.0.1/api"}):
        code, shown = lepton(*DEPLOY)
    assert (code, "which is no URL; expected one such as" in shown) == (1, True)
    assert "hush" not in shown


def test_a_server_that_takes_a_call_and_never_answers_is_given_up(nightly, lepton, monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(scheduled, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        api = f"http://127.0.0.1:{mute.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: api}):
            code, shown = lepton(*DEPLOY)
    assert (code, f"the Prefect server {api} failed: 'timed out'" in shown) == (1, True), shown


def test_an_address_without_api_is_not_taken_for_prefects(nightly, lepton, prefect_api):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_api.removesuffix("/api")}):
        code, shown = lepton(*DEPLOY)
    assert (code, "Check PREFECT_API_URL (it ends in /api)" in shown) == (1, True), shown


def test_what_the_server_refuses_is_told_without_a_traceback(nightly, api):
    source = read(Path("sweep.yaml"))
    schedule, _ = scheduled.parse_schedule("0 2 * * *", "UTC")
    made = scheduled.deployment(source, schedule, pool="taken away meanwhile")
    with pytest.raises(scheduled.PrefectError, match="failed: "), scheduled.answering():
        scheduled.apply(made)


def test_deploy_again_is_an_update(nightly, api, lepton, lepton_json):
    code, told = lepton_json(*DEPLOY, "--workers", "2")
    assert (code, told["updated"], told["pool"]) == (0, False, "some")
    assert told["store"] == str(Path("mlruns/mlflow.db").absolute())
    assert told["next_run"].endswith("T02:00:00+00:00")
    code, shown = lepton(*DEPLOY, "--cron", "30 3 * * 1", "--timezone", "Asia/Tokyo")
    assert re.search(r"next run: Mon \d{4}-\d\d-\d\d 03:30 JST", shown), shown
    assert (code, f"updated:  lepton-nightly/{nightly}" in shown) == (0, True)
    found = api.deployment(nightly)
    assert found["id"] == told["deployment_id"]
    (planned,) = found["schedules"]
    assert (planned["active"], planned["schedule"]["cron"], planned["schedule"]["timezone"]) == (
        True,
        "30 3 * * 1",
        "Asia/Tokyo",
    )
    assert found["parameters"]["sweep_file"] == str(Path("sweep.yaml").absolute())
    assert found["job_variables"] == {"working_dir": str(Path.cwd()), "env": {}}


def test_a_deployment_of_the_same_name_from_elsewhere_says_what_it_takes_over(
    nightly, api, lepton, lepton_json, sweep_folder, tmp_path, monkeypatch
):
    assert lepton(*DEPLOY)[0] == 0
    assert "warning" not in lepton(*DEPLOY)[1]
    before, file = Path.cwd(), Path("sweep.yaml").absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    other = os.path.relpath(file)
    code, shown = lepton(DEPLOY[0], other, *DEPLOY[2:])
    text = f"its runs' folder was {before}, and is {Path.cwd()}"
    assert (code, text in shown, "sweep file was" in shown) == (0, True, False), shown
    shutil.copytree(file.parent, "copy")
    code, shown = lepton(DEPLOY[0], "copy/sweep.yaml", *DEPLOY[2:])
    text = f"the sweep file was {file}, and is {Path('copy/sweep.yaml').absolute()}"
    assert (code, text in shown, "runs' folder" in shown) == (0, True, False), shown
    monkeypatch.chdir("copy")
    assert api.deployment(nightly)["parameters"]["sweep_file"] == str(Path("sweep.yaml").absolute())


def test_what_a_work_pool_has_is_not_served_here(nightly, api, lepton):
    assert lepton(*DEPLOY)[0] == 0
    before = api.deployment(nightly)
    code, shown = lepton("serve", "sweep.yaml", "--cron", "0 5 * * *")
    assert (code, "is deployed to the work pool 'some'" in shown) == (2, True), shown
    assert f"'prefect deployment delete lepton-nightly/{nightly}'" in shown
    assert api.deployment(nightly) == before


def test_the_parameters_are_typed_so_that_prefect_shows_a_form(nightly, api, lepton_json):
    lepton_json(*DEPLOY)
    schema = api.deployment(nightly)["parameter_openapi_schema"]
    assert schema["required"] == ["sweep_file"]
    kinds = {
        name: [one.get("type") for one in field.get("anyOf", [field])]
        for name, field in schema["properties"].items()
    }
    assert kinds == {
        "sweep_file": ["string"],
        "workers": ["integer", "null"],
        "trials": ["integer", "null"],
        "hours": ["number", "null"],
    }
    assert all(field["description"] for field in schema["properties"].values())


def test_the_store_is_passed_on_but_no_password(nightly, api, lepton, monkeypatch, tmp_path):
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("LEPTON_LEASE_SECONDS", "10")
    assert lepton(*DEPLOY)[0] == 0
    expected = {"MLFLOW_TRACKING_URI": uri, "LEPTON_LEASE_SECONDS": "10"}
    assert api.deployment(nightly)["job_variables"]["env"] == expected
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hush@db.example/mlflow")
    code, shown = lepton(*DEPLOY)
    assert (code, "holds a password, which is not passed on" in shown) == (0, True)
    assert "hush" not in shown
    assert "hush" not in str(api.deployment(nightly))
