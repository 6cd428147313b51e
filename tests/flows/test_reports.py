"""Trials that report while they train, in real sweeps: what MLflow then holds, whatever befalls."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest
from drivers import await_no_process, wait_until
from histories import assert_sound, counted, full_list, of_kind, trials

from lepton_tasks.doctor.audit import audit
from lepton_tasks.sweep_record import open_record

TRAINS = """
    for epoch in range(int(os.environ.get("EPOCHS", "5"))):
        trial.report(epoch, trial["x"] / (1 + epoch))
        time.sleep(float(os.environ.get("PAUSE", "0")))
        if trial.should_stop():
            raise RuntimeError("cut short")
"""


@pytest.fixture
def training(sweep_folder):
    sweep_folder.let_objective_begin_with(TRAINS)
    return sweep_folder


@pytest.fixture
def as_undisturbed(another_folder, drivers):
    """Compares a sweep with the same one elsewhere that nobody disturbed."""

    def compare(folder, best):
        another_folder.let_objective_begin_with(TRAINS)
        expected = drivers.run(another_folder.path, in_process=True).ending()["best"]
        assert best == expected
        assert_sound(folder.path)
        assert full_list(folder.path) == full_list(another_folder.path)
        assert [run.history for run in counted(folder.path)] == [
            run.history for run in counted(another_folder.path)
        ]

    return compare


def reported(where="1"):
    """The points on record, as run id, step, value and time, in their order."""
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store:
        return store.execute(
            "select m.run_uuid, step, value, timestamp from metrics m join runs r using (run_uuid)"
            f"where key = 'reported_loss' and {where} order by 1, 2, 4"
        ).fetchall()


@pytest.mark.parametrize("in_process", [False, True])
def test_reports_are_a_stepped_metric_of_the_trials_run(training, drivers, in_process):
    training.write(budget={"trials": 4}, space={"x": {"type": "float", "low": 0.0, "high": 0.8}})
    (training.path / "objective.py").write_text(
        "import os, time\ndef objective(trial):\n" + TRAINS + "    return trial['x']\n"
    )
    before = time.time()
    drivers.run(training.path, training.mark, in_process=in_process)
    for run in counted(training.path):
        x = float(run.params["x"])
        points = [(step, value) for run_id, step, value, _ in reported() if run_id == run.run_id]
        assert points == [(epoch, x / (1 + epoch)) for epoch in range(5)]
        assert run.metrics == {"reported_loss": x / 5, "loss": x}
    assert all(before - 1 < at / 1000 < time.time() + 1 for *_, at in reported())
    assert audit(open_record("demo")) == []


def test_reports_are_on_record_while_the_trial_runs(training, drivers):
    driver = drivers.start(training.path, training.mark, env={"PAUSE": "0.2", "EPOCHS": "600"})
    wait_until(lambda: reported("status = 'RUNNING'"), "a report")
    driver.kill_group()
    await_no_process(training.mark)
    assert {step for _, step, *_ in reported()} >= {0, 1}


def test_killed_in_the_midst_of_reporting_and_resumed(training, drivers, as_undisturbed):
    slow = {"PAUSE": "0.5"}
    driver = drivers.start(training.path, training.mark, env=slow)
    wait_until(lambda: reported("status = 'RUNNING'"), "a report")
    driver.kill_group()
    assert any(run.status == "RUNNING" for run in trials(training.path))
    best = drivers.run(training.path, training.mark).ending()["best"]
    as_undisturbed(training, best)
    killed = [run for run in trials(training.path) if run.status == "KILLED"]
    assert killed
    assert all(run.tags["lepton.killed"].startswith("orphaned:") for run in killed)
    assert audit(open_record("demo")) == []


@pytest.mark.parametrize("in_process", [False, True])
def test_one_ctrl_c_ends_trials_that_ask_and_they_are_begun_again(
    training, drivers, as_undisturbed, in_process
):
    endless = {"PAUSE": "0.1", "EPOCHS": "6000"}
    driver = drivers.start(training.path, training.mark, env=endless, in_process=in_process)
    wait_until(lambda: len({run for run, *_ in reported()}) == 2, "reports of two trials")
    driver.signal(signal.SIGINT)
    asked = time.monotonic()
    assert driver.wait() == 130, driver.said()
    assert time.monotonic() - asked < 10
    runs = trials(training.path)
    assert [run.status for run in runs] == ["KILLED", "KILLED"]
    assert {run.tags["lepton.killed"] for run in runs} == {"cancelled: stopped by Ctrl-C"}
    assert [run.status for run in of_kind(training.path, "sweep")] == ["KILLED"]
    assert audit(open_record("demo")) == []
    best = drivers.run(training.path, training.mark).ending()["best"]
    as_undisturbed(training, best)
    assert [run.name for run in trials(training.path) if run.status == "KILLED"] == [
        run.name for run in runs
    ]
    assert audit(open_record("demo")) == []


def test_nan_may_be_reported_and_a_step_again(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 2}, generation=2)
    sweep_folder.let_objective_begin_with("""
    trial.report(0, math.nan)
    trial.report(0, 0.5)
    trial.report(3, -math.inf)
    return 1.0
""")
    drivers.run(sweep_folder.path, sweep_folder.mark)
    for run in counted(sweep_folder.path):
        assert (run.status, run.metrics["loss"]) == ("FINISHED", 1.0)
        first = sorted(run.history["reported_loss"][:2], key=str)
        assert str(first) == "[0.5, nan]"
        assert run.history["reported_loss"][2] < -1e300


def test_a_metric_of_that_name_that_the_objective_returns_comes_after_its_reports(
    sweep_folder, drivers
):
    sweep_folder.write(budget={"trials": 2}, generation=2)
    sweep_folder.let_objective_begin_with("""
    if trial.number == 0:
        trial.report(0, 0.5)
        trial.report(7, 0.25)
    return {"loss": 1.0, "reported_loss": 9.0}
""")
    drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True)
    with_reports, without = counted(sweep_folder.path)
    assert with_reports.history["reported_loss"] == [0.5, 0.25, 9.0]
    assert without.history["reported_loss"] == [9.0]
    steps = [step for run_id, step, *_ in reported() if run_id == with_reports.run_id]
    assert steps == [0, 7, 8]
    assert audit(open_record("demo")) == []


def test_thousands_of_reports_are_written(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 1}, generation=1)
    sweep_folder.let_objective_begin_with("""
    for step in range(2500):
        trial.report(step, step / 2)
    return 1.0
""")
    drivers.run(sweep_folder.path, sweep_folder.mark)
    (run,) = counted(sweep_folder.path)
    assert run.history["reported_loss"] == [step / 2 for step in range(2500)]


def test_a_store_that_refuses_reports_is_told_of_once_and_the_trials_count(sweep_folder, drivers):
    metric = "a" * 240 + "/bbbb"  # cut where MLflow's limit is, no metric's name
    sweep_folder.write(budget={"trials": 4}, metric=metric, workers=1)
    sweep_folder.let_objective_begin_with(f"""
    trial.report(0, 0.5)
    return {{"{metric}": 1.0}}
""")
    driver = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True)
    assert driver.said().count("the store does not take the metric reported_aaa") == 1
    assert [run.status for run in counted(sweep_folder.path)] == ["FINISHED"] * 4
    assert {tuple(run.metrics) for run in counted(sweep_folder.path)} == {(metric,)}


def test_a_run_that_its_objective_deleted_before_it_reported_is_brought_back(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 1}, generation=1)
    sweep_folder.let_objective_begin_with("""
    import mlflow
    mlflow.delete_run(mlflow.active_run().info.run_id)
    trial.report(0, 0.5)
    return 1.0
""")
    drivers.run(sweep_folder.path, sweep_folder.mark)
    (run,) = counted(sweep_folder.path)
    assert (run.status, run.metrics) == ("FINISHED", {"reported_loss": 0.5, "loss": 1.0})
