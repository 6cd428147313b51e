"""The Prefect flows on a real Prefect server, real workers and a real SQLite store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drivers import MARK, await_no_process, wait_until
from histories import all_runs, assert_sound, counted, full_list, of_kind

from lepton_core.errors import (
    DeclarationError,
    InputError,
    ObjectiveError,
    SweepFileError,
    UnknownSweepError,
)


@pytest.fixture
def flows(prefect_api):
    """The flows, with a Prefect server running."""
    from lepton_flows import sweep as module

    return module


def task_runs(prefect_api, flow_name):
    """The latest flow run of that name, and its task runs' names and states."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterId,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    async def ask():
        async with get_client() as client:
            runs = await client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
                sort=FlowRunSort.START_TIME_DESC,
                limit=1,
            )
            tasks = await client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[runs[0].id]))
            )
            return runs[0], {task.name: task.state_name for task in tasks}

    return asyncio.run(ask())


def test_the_flow_drives_a_sweep_and_prefect_shows_each_trial(flows, sweep_folder, prefect_api):
    told = flows.sweep("sweep.yaml")
    assert (told["ending"], told["trials"], told["generations"]) == ("finished", 12, 3)
    json.dumps(told)
    assert_sound(sweep_folder.path)
    runs = counted(sweep_folder.path)
    assert told["best"]["value"] == min(r.metrics["loss"] for r in runs if r.metrics)

    def shown():
        flow_run, tasks = task_runs(prefect_api, "lepton-sweep")
        return (flow_run, tasks) if len(tasks) == 12 else None

    flow_run, tasks = wait_until(shown, "Prefect to have noted all task runs", 30)
    assert (flow_run.name, flow_run.state_name) == ("demo", "Completed")
    expected = {
        f"gen{r.place[0]:02d}-{r.place[1]:02d}-{r.tags['lepton.proposer']}": (
            "Completed" if r.status == "FINISHED" else "Failed"
        )
        for r in runs
    }
    assert tasks == expected
    assert set(expected.values()) == {"Completed", "Failed"}


def test_a_sweep_may_be_a_path_or_a_dict_and_a_finished_one_is_left_as_it_is(
    flows, sweep_folder, another_folder, drivers
):
    first = flows.sweep(Path("sweep.yaml"))
    before = full_list(sweep_folder.path)
    nothing = {**first, "ending": "nothing to do", "added": 0}
    assert flows.sweep(dict(sweep_folder.content)) == nothing
    assert flows.resume("demo") == nothing
    with pytest.raises(InputError, match="declares the sweep 'other', not 'demo'"):
        flows.resume("demo", file=sweep_folder.write(name="other"))
    assert full_list(sweep_folder.path) == before
    # Nor does it matter that Prefect carried the work.
    drivers.run(another_folder.path, in_process=True)
    assert before == full_list(another_folder.path)


def test_what_is_wrong_is_told_by_the_flow_before_anything_is_recorded(flows, sweep_folder):
    sweep_folder.write(generation=0)
    with pytest.raises(SweepFileError, match="generation: found 0"):
        flows.sweep("sweep.yaml")
    with pytest.raises(DeclarationError, match="generation: found 0"):
        flows.sweep(dict(sweep_folder.content))
    sweep_folder.write(generation=4, objective="objective.py:gone")
    with pytest.raises(ObjectiveError, match="has no function 'gone'"):
        flows.sweep("sweep.yaml")
    sweep_folder.write(objective="objective.py:objective")
    with pytest.raises(DeclarationError, match="workers: found -1; expected a whole number from 1"):
        flows.sweep("sweep.yaml", workers=-1)
    with pytest.raises(UnknownSweepError, match="no sweep named 'demo'"):
        flows.resume("demo")
    assert [run for run in all_runs(sweep_folder.path) if run.tags.get("lepton.sweep")] == []


# -- what holds with and without Prefect, hence without, which is faster -----------------------


def test_a_raised_budget_goes_on_with_a_new_generation(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 6})
    assert drivers.run(sweep_folder.path, in_process=True).ending()["trials"] == 6
    sweep_folder.write(budget={"trials": 10})
    told = drivers.run(sweep_folder.path, in_process=True).ending()
    assert (told["ending"], told["trials"], told["generations"]) == ("finished", 10, 3)
    places = [run.place for run in counted(sweep_folder.path)]
    assert places == [(0, s) for s in range(4)] + [(1, s) for s in range(2)] + [
        (2, s) for s in range(4)
    ]
    assert len(of_kind(sweep_folder.path, "sweep")) == 1


@pytest.mark.parametrize(
    ("changes", "differ"),
    [
        ({"seed": 8}, "seed"),
        ({"direction": "maximize"}, "direction"),
        ({"generation": 5, "metric": "acc"}, "generation, metric"),
        ({"space": {"x": {"type": "float", "low": 0.0, "high": 1.0}}}, "space.lr, space.depth"),
        ({"portfolio": {"proposers": ["random"]}}, "portfolio"),
    ],
)
def test_another_identity_under_the_same_name_is_refused_and_records_nothing(
    sweep_folder, drivers, changes, differ
):
    sweep_folder.write(budget={"trials": 4})
    drivers.run(sweep_folder.path, in_process=True)
    before = all_runs(sweep_folder.path)
    sweep_folder.write(**changes, budget={"trials": 8})
    refused = drivers.start(sweep_folder.path, in_process=True)
    assert refused.wait() == 2
    assert f"IdentityError a sweep named 'demo' exists with another {differ}" in refused.said()
    assert all_runs(sweep_folder.path) == before


def test_what_is_no_part_of_the_identity_may_change(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 4})
    drivers.run(sweep_folder.path, in_process=True)
    with (sweep_folder.path / "objective.py").open("a") as code:
        code.write("# other code\n")
    sweep_folder.write(budget={"trials": 8}, workers=1, timeout=50)
    told = drivers.run(sweep_folder.path, in_process=True).said()
    assert "warning: the objective's code has changed" in told
    assert len(counted(sweep_folder.path)) == 8


def test_start_from_comes_first_over_several_generations(sweep_folder, drivers):
    points = [{"x": n / 10, "lr": 0.5, "depth": 2, "kind": "good"} for n in range(6)]
    sweep_folder.write(start_from=points, budget={"trials": 8})
    drivers.run(sweep_folder.path, in_process=True)
    runs = counted(sweep_folder.path)
    assert [run.tags["lepton.proposer"] for run in runs][:6] == ["start"] * 6
    assert [float(run.params["x"]) for run in runs[:6]] == [n / 10 for n in range(6)]


def test_a_sweep_without_anything_usable_fails(sweep_folder, drivers):
    (sweep_folder.path / "objective.py").write_text("def objective(trial): raise OSError('gone')")
    failed = drivers.start(sweep_folder.path, in_process=True)
    assert failed.wait() == 3
    assert "all 4 trials of generation 0 failed for the same reason" in failed.said()
    (parent,) = of_kind(sweep_folder.path, "sweep")
    assert parent.status == "FAILED"
    assert [run.status for run in counted(sweep_folder.path)] == ["FAILED"] * 4
    assert_sound(sweep_folder.path)
    # Mended, it goes on.
    (sweep_folder.path / "objective.py").write_text("def objective(trial): return trial['x']")
    drivers.run(sweep_folder.path, in_process=True)
    assert [run.status for run in counted(sweep_folder.path)] == ["FAILED"] * 4 + ["FINISHED"] * 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_interrupted_leaves_cleanly_and_goes_on_as_if_it_had_not_been(
    sweep_folder, another_folder, drivers, number
):
    """Real workers: Ctrl-C lets the running trials finish, SIGTERM stops them."""
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, env={"PAUSE": "0.5"})
    driver.await_line("trial 1")
    driver.signal(number)
    assert driver.wait() == 128 + number
    await_no_process(sweep_folder.mark)
    (parent,) = of_kind(sweep_folder.path, "sweep")
    assert parent.status == "KILLED"
    left = [run.status for run in of_kind(sweep_folder.path, "trial")]
    assert "RUNNING" not in left
    assert ("KILLED" in left) == (number == signal.SIGTERM), left
    drivers.run(sweep_folder.path, in_process=True)
    drivers.run(another_folder.path, in_process=True)
    assert full_list(sweep_folder.path) == full_list(another_folder.path)
    assert_sound(sweep_folder.path)


def test_the_list_is_the_same_for_any_number_of_workers_and_any_durations(
    sweep_folder, migrated, drivers, tmp_path
):
    """Real workers; each sweep has the trials last differently long."""
    lists, bests = [], []
    for workers in (1, 2, 4):
        folder = type(sweep_folder)(
            tmp_path / f"{workers}",
            migrated,
            (sweep_folder.path / "objective.py").read_text(),
        )
        folder.write(workers=workers, budget={"trials": 16})
        env = {"SHUFFLE": str(workers), "PAUSE": "0.05"}
        bests.append(drivers.run(folder.path, env=env).ending()["best"])
        lists.append(full_list(folder.path))
        assert_sound(folder.path)
    assert len(lists[0]) == 16
    assert lists[0] == lists[1] == lists[2]
    assert bests[0] == bests[1] == bests[2]


SCRIPT = """
import sys
from lepton_flows.sweep import sweep
if __name__ == "__main__":
    state = sweep("sweep.yaml", return_state=True)
    print(state.name, state.message, flush=True)
"""


def started(sweep_folder, api, **env):
    environment = {**os.environ, MARK: sweep_folder.mark, **env}
    if api:
        environment["PREFECT_API_URL"] = api
    output = (sweep_folder.path / "flow.out").open("w")
    with output:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=sweep_folder.path,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )


def trials_begun(folder):
    return len([r for r in of_kind(folder.path, "trial") if r.status in ("FINISHED", "FAILED")])


def test_a_flow_that_is_interrupted_ends_as_cancelled(flows, sweep_folder, prefect_api):
    flow = started(sweep_folder, prefect_api, PAUSE="0.5")
    wait_until(lambda: trials_begun(sweep_folder) >= 2, "two trials")
    flow.send_signal(signal.SIGTERM)
    flow.wait(120)
    said = (sweep_folder.path / "flow.out").read_text()
    assert "Cancelled" in said, said
    await_no_process(sweep_folder.mark)
    (parent,) = of_kind(sweep_folder.path, "sweep")
    assert parent.status == "KILLED"
    assert "RUNNING" not in [run.status for run in of_kind(sweep_folder.path, "trial")]


def test_with_no_prefect_configured_the_flow_brings_its_own_server_and_takes_it_along(
    sweep_folder,
):
    """The one test that starts a Prefect server for a flow; then the flow's driver is killed."""
    sweep_folder.write(budget={"trials": 400})
    flow = started(sweep_folder, None, PAUSE="0.1")
    wait_until(lambda: trials_begun(sweep_folder) >= 1, "a trial")
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    await_no_process(sweep_folder.mark)
    sweep_folder.write(budget={"trials": 16})
    again = started(sweep_folder, None)
    assert again.wait(120) == 0
    assert "Completed" in (sweep_folder.path / "flow.out").read_text()
    await_no_process(sweep_folder.mark)
    assert_sound(sweep_folder.path)
