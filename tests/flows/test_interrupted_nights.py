"""Nights that are cancelled, killed, suspended or doubled, by a real Prefect server and worker."""

from __future__ import annotations

import os
import signal

from deployed import MARKED, api, deployed, pool
from drivers import wait_until
from histories import assert_sound, full_list, trials
from scheduled import processes_of_runs

__all__ = ["api", "deployed", "pool"]  # fixtures


def pausing(folder, seconds, since=0):
    """Let each trial from that one on take so long, as a file says that tests may change."""
    (folder.path / "pause").write_text(str(seconds))
    folder.let_objective_begin_with(
        "    import pathlib\n"
        f"    if trial.number >= {since}:\n"
        "        time.sleep(float(pathlib.Path(__file__).with_name('pause').read_text()))\n"
    )


def under_way(folder):
    return [run for run in trials(folder.path) if run.status == "RUNNING"]


def test_a_second_run_leaves_at_once_and_a_cancelled_one_stops_its_trials_and_keeps_its_seals(
    deployed, api, sweep_folder, undisturbed
):
    name = deployed(nightly={"trials": 12})
    pausing(sweep_folder, 100, since=6)
    run = api.run(name)
    wait_until(lambda: len(trials(sweep_folder.path)) > 6, "a seal, and a trial that takes long")
    told = api.await_final(api.run(name))
    assert (told["type"], told["name"]) == ("COMPLETED", "Skipped")
    assert "is being driven by process" in told["message"]
    assert api.set_state(run, "CANCELLING", "Cancelling") == "ACCEPT"
    assert api.await_final(run)["type"] == "CANCELLED"
    wait_until(lambda: not processes_of_runs(MARKED), "its process to end")
    killed = [r for r in trials(sweep_folder.path) if r.status == "KILLED"]
    assert killed
    assert {r.tags["lepton.killed"] for r in killed} == {"cancelled: stopped by SIGTERM"}
    assert under_way(sweep_folder) == []
    (sweep_folder.path / "pause").write_text("0")
    assert api.await_final(api.run(name))["message"].startswith("finished: 12 of 12")
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]


def test_a_killed_run_is_picked_up_by_the_next(deployed, api, sweep_folder, undisturbed):
    name = deployed(nightly={"trials": 12})
    pausing(sweep_folder, 100)
    first = api.run(name)
    wait_until(lambda: under_way(sweep_folder), "a trial under way")
    (process,) = processes_of_runs(MARKED)
    os.kill(process, signal.SIGKILL)
    assert api.await_final(first)["type"] == "CRASHED"
    (sweep_folder.path / "pause").write_text("0")
    assert api.await_final(api.run(name))["message"].startswith("finished: 12 of 12")
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]


def test_a_run_whose_sweep_another_driver_takes_over_leaves_it_and_says_so(
    deployed, api, sweep_folder, drivers, undisturbed
):
    name = deployed(nightly={"trials": 12})
    pausing(sweep_folder, 100, since=1)
    run = api.run(name)
    wait_until(lambda: len(under_way(sweep_folder)) == 2, "trials that take long")
    (sweep_folder.path / "pause").write_text("0")
    drivers.run(sweep_folder.path, in_process=True, take_over=True)
    told = api.await_final(run)
    assert (told["type"], told["name"]) == ("COMPLETED", "TakenOver"), told
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]


def test_a_suspended_run_finishes_its_trials_and_resumed_it_goes_on(
    deployed, api, sweep_folder, undisturbed
):
    name = deployed(nightly={"trials": 12}, workers=1)
    pausing(sweep_folder, 1, since=1)
    run = api.run(name)
    wait_until(lambda: len(trials(sweep_folder.path)) > 1, "trials")
    later = "2100-01-01T00:00:00Z"
    details = {"pause_timeout": later, "pause_key": "a test", "pause_reschedule": True}
    assert api.set_state(run, "PAUSED", "Suspended", **details) == "ACCEPT"
    wait_until(lambda: not processes_of_runs(MARKED), "its process to end")
    assert {r.status for r in trials(sweep_folder.path)} <= {"FINISHED", "FAILED"}
    assert len(trials(sweep_folder.path)) < 12
    (sweep_folder.path / "pause").write_text("0")
    assert api.ask(f"/flow_runs/{run}/resume", {})["status"] == "ACCEPT"
    assert api.await_final(run)["message"].startswith("finished: 12 of 12")
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]
