"""A run that may be long is driven in flow runs of so many task runs, which Prefect can record."""

from __future__ import annotations

import os
import subprocess
import sys

from drivers import wait_until
from histories import assert_sound, full_list, trials
from ports import free_port
from scheduled import Api, slowly

from lepton_flows import sweep as flows
from lepton_tasks.prefect_server import scheduling_server

LONG = {"nightly": {"hours": 5}}
TWO_GENERATIONS = 8
PROGRAM = """\
import os
from lepton_flows import sweep as flows

flows.MAX_TASK_RUNS = 8
try:
    flows.sweep("sweep.yaml", nightly=True)
except Exception as error:  # when it tells Prefect of its end
    print(type(error).__name__, flush=True)
os._exit(0)  # Prefect would try for minutes to send its log
"""


def test_each_flow_run_has_no_more_task_runs_than_allowed(
    prefect_api, sweep_folder, monkeypatch, undisturbed
):
    monkeypatch.setattr(flows, "MAX_TASK_RUNS", TWO_GENERATIONS)
    budget = {"trials": 2 * TWO_GENERATIONS}
    sweep_folder.write(**LONG, budget=budget)
    told = flows.sweep("sweep.yaml", nightly=True)
    assert (told["ending"], told["trials"]) == ("finished", 16)
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed(budget=budget)[0]
    api = Api(prefect_api)

    def shown():
        runs = api.ask("/flow_runs/filter", {"flows": {"name": {"any_": ["lepton-generations"]}}})
        counts = {}
        for run in runs:
            asked = {"flow_runs": {"id": {"any_": [run["id"]]}}}
            counts[run["name"]] = api.ask("/task_runs/count", asked)
        return counts if sum(counts.values()) == 16 else None

    shown = wait_until(slowly(shown), "Prefect to have noted all task runs")
    assert shown == {"generations 0 to 1": 8, "generations 2 to 3": 8}, "no empty one at the end"


def test_where_the_server_is_gone_the_sweep_goes_on_without_it(sweep_folder, undisturbed):
    sweep_folder.write(**LONG)
    held = sweep_folder.path / "held"
    held.touch()
    sweep_folder.let_objective_begin_with(
        "    import pathlib\n"
        "    while trial.number == 6 and pathlib.Path(__file__).with_name('held').exists():\n"
        "        time.sleep(0.05)\n"
    )
    (sweep_folder.path / "program.py").write_text(PROGRAM)
    port = free_port()
    environment = {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_LOGGING_LEVEL": "INFO",
    }
    with (sweep_folder.path / "said.txt").open("wb") as said, scheduling_server(port):
        program = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=sweep_folder.path,
            env={**os.environ, **environment},
            stdout=said,
            stderr=said,
        )
        wait_until(lambda: len(trials(sweep_folder.path)) > 6, "the second generation")
    held.unlink()
    assert program.wait(120) == 0
    said = (sweep_folder.path / "said.txt").read_text()
    assert said.count("Prefect's server does not answer") == 1, said
    assert "ConnectError" in said.splitlines()[-1]
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]
