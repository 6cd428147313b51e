"""What the store says of code and places is not followed: objectives, files, artifact locations."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from civil import check_civil, outside
from hostile import FIELDS, RECORDS, connect

from lepton.cli import main
from lepton_core.errors import RecordError
from lepton_tasks.artifact_place import own_place
from lepton_tasks.store import Address, quieten
from lepton_tasks.store import connect as open_store

RUN = "0" * 32
LOUD = "\ndef loud(trial):\n    print('heard')\n    return trial['x']\n"


def plant_settings(**changes: str) -> None:
    with closing(connect()) as db, db:
        settings = json.loads(RECORDS["the settings"][0](db))
        FIELDS["the settings"](db, json.dumps({**settings, **changes}))


@pytest.mark.parametrize(
    ("objective", "file"),
    [
        ("../../evil.py:f", "/etc/passwd"),
        ("../evil.py:f", "../evil.py"),
        ("evil:f", "file:///etc/passwd"),
        ("os:system", "\x1b[31m"),
    ],
)
def test_resume_takes_the_objective_from_the_users_own_file_alone(
    planted, prefect_api, capsys, objective, file
):
    before = outside(planted)
    plant_settings(objective=objective, file=file)
    assert main(["resume", "demo"]) == 0
    check_civil(capsys.readouterr().out)
    with closing(connect()) as db:
        (latest,) = db.execute("select value from params where key = 'settings/000002'").fetchone()
    assert json.loads(latest)["objective"] == "objective.py:objective"
    assert outside(planted) == before


def test_resume_without_a_sweep_file_imports_nothing(planted, capsys):
    Path("sweep.yaml").unlink()
    plant_settings(objective="../evil.py:f", file="../evil.py")
    before = outside(planted)
    assert main(["resume", "demo"]) == 2
    assert "the objective is never taken from the store" in capsys.readouterr().err
    assert outside(planted) == before


def test_what_trials_print_stays_in_the_stores_folder_wherever_the_store_sends_it(
    planted, prefect_api, capsys
):
    with Path("objective.py").open("a") as code:
        code.write(LOUD)
    content = json.loads(Path("sweep.yaml").read_text())
    content |= {"objective": "objective.py:loud", "budget": {"trials": 16}}
    Path("sweep.yaml").write_text(json.dumps(content))
    before = outside(planted)
    with closing(connect()) as db, db:
        FIELDS["the experiment's artifacts"](db, f"file://{planted.parent / 'elsewhere'}")
    assert main(["run", "sweep.yaml"]) == 0, capsys.readouterr()
    kept = list(Path("mlruns/artifacts/moved").rglob("output.txt"))
    assert len(kept) == 4
    assert {file.read_text() for file in kept} == {"heard\n"}
    assert outside(planted) == before


@pytest.mark.parametrize(
    "location",
    [
        "{folder}/artifacts/../../evil",
        "file://{folder}/artifacts/%2e%2e/%2e%2e/evil",
        "/etc",
        "file:///etc/cron.d",
        "../../evil",
        "s3://bucket/evil",
        "http://evil/x",
        "mlflow-artifacts://evil/x",
        "ftp://user:pass@evil/",
        "{folder}/artifacts/link/evil",
        "\0",
        "x" * 100_000,
        "http://[",
    ],
)
def test_the_embedded_stores_artifacts_stay_in_its_folder(tmp_path, location):
    folder = tmp_path / "mlruns"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "artifacts" / "link").symlink_to(tmp_path)
    where = Address("sqlite:///x", "lepton", folder)
    place = own_place(location.format(folder=folder), RUN, where)
    assert place == folder / "artifacts" / "moved" / RUN / "artifacts"


@pytest.mark.parametrize(
    "location",
    [
        "/etc/cron.d",
        "/data/../etc/" + RUN + "/artifacts",
        "/data/" + "1" * 32 + "/artifacts",
        "file:///root/.ssh",
        "mlflow-artifacts://evil/1/" + RUN + "/artifacts",
        "https://evil/1/" + RUN + "/artifacts",
    ],
)
def test_a_named_store_may_send_artifacts_to_a_folder_of_the_run_or_to_itself_alone(location):
    where = Address("http://server:5000", "lepton", None)
    with pytest.raises(RecordError, match="writes nothing on its word"):
        own_place(location, RUN, where)


@pytest.mark.parametrize(
    "location",
    [
        f"/data/mlartifacts/1/{RUN}/artifacts",
        f"file:///data/1/{RUN}/artifacts",
        f"s3://bucket/1/{RUN}/artifacts",
        f"mlflow-artifacts:/1/{RUN}/artifacts",
        f"mlflow-artifacts://server:5000/1/{RUN}/artifacts",
    ],
)
def test_where_mlflow_itself_puts_artifacts_is_followed(location):
    assert own_place(location, RUN, Address("http://server:5000", "lepton", None)) is None


def test_mlflow_is_told_to_unpickle_nothing(planted, monkeypatch):
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)
    quieten()
    open_store()
    assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
