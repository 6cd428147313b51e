"""A deployment's nights, run by a real Prefect server and a process worker somewhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deployed import MARKED, POOL, api, deployed, pool
from drivers import wait_until
from histories import assert_sound, full_list
from scheduled import processes_of_runs, slowly, worker

from lepton.cli import main
from lepton_core.errors import SweepFileError
from lepton_tasks.sweep_yaml import read

ROOT = Path(__file__).parents[2]

__all__ = ["api", "deployed", "pool"]  # fixtures


def test_runs_of_a_deployment_go_on_with_the_sweeps_own_history(
    deployed, api, sweep_folder, undisturbed
):
    name = deployed(nightly={"trials": 5})
    told = api.await_final(api.run(name))
    assert (told["type"], told["message"].partition("; best")[0]) == (
        "COMPLETED",
        "5 trials tonight; 5 of 12; goes on with the next run",
    )
    told = api.await_final(api.run(name, trials=100, workers=1))
    assert told["message"].startswith("finished: 12 of 12 trials; best 0.")
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]
    told = api.await_final(api.run(name))
    assert (told["type"], told["message"].partition(",")[0]) == (
        "COMPLETED",
        "nothing to do: the sweep is at its target",
    )


def test_what_needs_a_person_fails_with_a_message_and_no_traceback(
    deployed, api, pool, sweep_folder
):
    name = deployed(nightly={"trials": 2})
    sweep_folder.write(generation=0)
    told = api.await_final(api.run(name))
    assert (told["type"], "generation: found 0" in told["message"]) == ("FAILED", True)
    assert str(sweep_folder.path) in told["message"]


def test_the_scheduler_plans_the_nights_at_the_times_of_the_schedule(deployed, api):
    name = deployed(nightly={"trials": 2})
    assert (
        main(
            [
                "deploy",
                "sweep.yaml",
                "--cron",
                "30 3 * * *",
                "--timezone",
                "Asia/Tokyo",
                "--pool",
                POOL,
            ]
        )
        == 0
    )

    def planned():
        asked = {"deployments": {"name": {"any_": [name]}}, "limit": 5}
        return self_times(api.ask("/flow_runs/filter", asked))

    def self_times(runs):
        times = {run["expected_start_time"][11:16] for run in runs}
        return times if times == {"18:30"} else None

    wait_until(slowly(planned), "runs planned for 3:30 in Tokyo")


def test_the_flow_may_be_called_and_raises_what_is_wrong(api, sweep_folder):
    from lepton_flows.nightly import nightly

    sweep_folder.write(nightly={"trials": 3})
    told = nightly(str(Path("sweep.yaml").absolute()))
    assert (told["ending"], told["added"]) == ("night over", 3)
    sweep_folder.write(generation=0)
    with pytest.raises(SweepFileError, match="generation: found 0"):
        nightly("sweep.yaml")


def test_a_worker_runs_the_deployment_of_prefect_yaml(api, tmp_path):
    for name in ("prefect.yaml", "examples/breast_cancer"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    api.ask("/work_pools/", {"name": "lepton", "type": "process"})
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=tmp_path,
        env={**os.environ, "PREFECT_API_URL": api.url, "PWD": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = api.deployment("breast-cancer")
    assert read(tmp_path / found["parameters"]["sweep_file"]).name == found["name"]
    with worker(api.url, "lepton", tmp_path / "worker", MARKED):
        told = api.await_final(api.run("breast-cancer"))
    assert (told["type"], told["message"].partition("; best")[0]) == (
        "COMPLETED",
        "16 trials tonight; 16 of 64; goes on with the next run",
    )
    assert (tmp_path / "mlruns" / "mlflow.db").exists()


def test_nothing_is_left_when_runs_have_ended(pool):
    wait_until(lambda: not processes_of_runs(MARKED), "flow runs to end")
    del pool
