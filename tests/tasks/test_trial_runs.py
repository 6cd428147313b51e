"""What a whole sweep leaves in MLflow, of objectives that use MLflow themselves and fail."""

from __future__ import annotations

import json
import math

import pytest
from histories import all_runs, assert_sound, counted, of_kind, trials

from tests.conftest import SweepFolder

# -- a whole sweep, by a driver with real workers, of objectives that use MLflow ---------------

# MLflow is imported in the midst of a trial, and is there already in the trials after it.
ZOO = """
import math, os
from pathlib import Path

def logs(trial):
    import mlflow
    mlflow.log_metric("on_the_way", 0.5, step=1)
    mlflow.log_metric("on_the_way", 0.25, step=2)
    mlflow.log_param("my_param", "mine")
    mlflow.set_tag("my_tag", "mine")
    Path("note.txt").write_text("a note")
    mlflow.log_artifact("note.txt")
    print(mlflow.active_run().info.run_id)
    return {"loss": 0.5, "acc": 0.75, "nan": math.nan}

def autologs(trial):
    import mlflow
    from sklearn.linear_model import LogisticRegression
    mlflow.autolog(log_models=False, log_datasets=False, silent=True)
    LogisticRegression(C=2.0).fit([[0.0], [1.0]], [0, 1])
    mlflow.autolog(disable=True, silent=True)
    return 0.5

def ends(trial):
    import mlflow
    mlflow.end_run("KILLED")
    return 0.5

def logs_the_metric_too(trial):
    import mlflow
    for epoch in range(5):
        mlflow.log_metric("loss", 9.0 - epoch, step=epoch)
        mlflow.log_metric("acc", 0.1, step=epoch)
    return {"loss": 0.5, "acc": 0.75}

def deletes_its_run(trial):
    import mlflow
    mlflow.delete_run(mlflow.active_run().info.run_id)
    return 0.5

def nests(trial):
    import mlflow
    mlflow.start_run(nested=True, run_name="child")
    mlflow.log_metric("inner", 1.0)
    return 0.5

def starts(trial):
    import mlflow
    mlflow.start_run()

def raises(trial): raise ValueError("bad " * 5000 + "\\udcff")
def not_a_number(trial): return math.nan
def dies(trial): os._exit(7)
def odd_metric(trial): return {"loss": 0.5, "a=b": 1.0}
def fine(trial): return 2.5

def objective(trial):
    return globals()[trial["what"]](trial)
"""
WHATS = (
    *("logs", "logs_the_metric_too", "autologs", "ends", "deletes_its_run", "nests", "starts"),
    "raises",
    *("not_a_number", "dies", "odd_metric", "fine"),
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, migrated, drivers):
    folder = SweepFolder(tmp_path_factory.mktemp("zoo") / "sweep", migrated, ZOO)
    folder.write(
        space={
            "what": {"type": "choice", "choices": list(WHATS)},
            "rate": {"type": "float", "low": 1e-7, "high": 0.5, "log": True},
            "depth": {"type": "int", "low": 1, "high": 9},
            "flag": True,
        },
        start_from=[{"what": what, "rate": 1e-5, "depth": 3} for what in WHATS],
        budget={"trials": len(WHATS)},
        generation=len(WHATS),
    )
    drivers.run(folder.path)
    return folder


@pytest.fixture
def trial_of(zoo):
    return {run.params["what"]: run for run in counted(zoo.path)}


def test_every_slot_has_one_counted_attempt_and_nothing_runs(zoo):
    assert_sound(zoo.path)
    assert [run.params["what"] for run in counted(zoo.path)] == list(WHATS)


def test_params_are_canonical_strings(trial_of):
    assert trial_of["fine"].params == {
        "what": "fine",
        "rate": "1e-05",
        "depth": "3",
        "flag": "true",
    }


def test_tags_are_those_of_the_contract(trial_of, zoo):
    (parent,) = of_kind(zoo.path, "sweep")
    tags = trial_of["fine"].tags
    assert {key: tags[key] for key in tags if key != "lepton.proposal"}.items() >= {
        "lepton.kind": "trial",
        "lepton.sweep": "demo",
        "lepton.generation": "0",
        "lepton.slot": str(len(WHATS) - 1),
        "lepton.attempt": "0",
        "lepton.proposer": "start",
        "mlflow.parentRunId": parent.run_id,
    }.items()
    assert json.loads(tags["lepton.proposal"])["params"]["rate"] == 1e-5
    assert parent.status == "FINISHED"
    assert parent.experiment == "lepton"
    assert {run.experiment for run in of_kind(zoo.path, "ledger")} == {"lepton-ledger"}


@pytest.mark.parametrize(
    ("what", "status"),
    [
        *((what, "FINISHED") for what in ("logs", "autologs", "ends", "nests", "fine")),
        *((what, "FAILED") for what in ("starts", "raises", "not_a_number", "dies")),
        ("odd_metric", "FAILED"),
    ],
)
def test_the_status_is_the_drivers_whatever_the_objective_did_to_its_run(trial_of, what, status):
    assert trial_of[what].status == status


def test_the_loss_is_written_once_in_the_users_sign_and_only_for_usable_results(trial_of):
    for run in trial_of.values():
        expected = [2.5 if run.params["what"] == "fine" else 0.5]
        if run.params["what"] == "logs_the_metric_too":
            expected = [9.0, 8.0, 7.0, 6.0, 5.0, 0.5]
        assert run.history.get("loss", []) == (expected if run.status == "FINISHED" else [])


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("raises", "exception", "ValueError: bad bad"),
        ("not_a_number", "nan", "returned nan"),
        ("dies", "crashed", "exit code 7, 3 times"),
        ("starts", "exception", "is already active"),
        ("odd_metric", "type", "a metric 'a=b'"),
    ],
)
def test_a_failed_trial_has_its_reason(trial_of, what, kind, said):
    failure = json.loads(trial_of[what].tags["lepton.result"])["failure"]
    assert failure["kind"] == kind
    assert said in failure["reason"]


def test_a_trial_past_its_timeout_has_failed_and_the_sweep_goes_on(sweep_folder, drivers):
    (sweep_folder.path / "objective.py").write_text(
        "import time\n"
        "def objective(trial):\n"
        "    time.sleep(600 if trial.number == 1 else 0)\n"
        "    return trial['x']\n"
    )
    sweep_folder.write(timeout=1, budget={"trials": 4})
    drivers.run(sweep_folder.path)
    runs = counted(sweep_folder.path)
    assert [run.status for run in runs] == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    assert json.loads(runs[1].tags["lepton.result"])["failure"] == {
        "kind": "timeout",
        "reason": "still running after 1 s; its process was killed",
    }


def test_a_process_that_died_was_given_three_attempts_with_the_same_proposal(zoo):
    died = [run for run in trials(zoo.path) if run.params["what"] == "dies"]
    assert sorted(run.tags["lepton.attempt"] for run in died) == ["0", "1", "2"]
    assert sorted(run.status for run in died) == ["FAILED", "KILLED", "KILLED"]
    assert len({run.tags["lepton.proposal"] for run in died}) == 1
    for run in died:
        if run.status == "KILLED":
            assert run.tags["lepton.killed"] == "died: its process ended: exit code 7"


def artifact(zoo, run, name):
    return zoo.path / "mlruns" / "artifacts" / "lepton" / run.run_id / "artifacts" / name


def test_what_the_objective_logs_lands_on_its_trial(trial_of, zoo):
    run = trial_of["logs"]
    assert run.history["on_the_way"] == [0.5, 0.25]
    assert (run.metrics["acc"], run.tags["my_tag"]) == (0.75, "mine")
    assert math.isnan(run.metrics["nan"])
    assert run.params["my_param"] == "mine"
    assert artifact(zoo, run, "note.txt").read_text() == "a note"
    assert artifact(zoo, run, "output.txt").read_text().strip() == run.run_id


def test_autologging_lands_on_the_trial(trial_of):
    run = trial_of["autologs"]
    assert run.params["C"] == "2.0"
    assert "training_accuracy_score" in run.metrics


def test_a_nested_run_that_was_left_open_is_ended(zoo, trial_of):
    (child,) = [run for run in all_runs(zoo.path) if run.name == "child"]
    assert child.tags["mlflow.parentRunId"] == trial_of["nests"].run_id
    assert (child.status, child.metrics) == ("FINISHED", {"inner": 1.0})


def test_a_traceback_is_kept_whole_as_an_artifact(zoo, trial_of):
    said = artifact(zoo, trial_of["raises"], "output.txt").read_text()
    assert said.count("bad ") >= 5000
    assert 'objective.py", line' in said


def test_a_metric_that_the_objective_logged_under_its_name_ends_with_what_it_returned(
    zoo, trial_of
):
    run = trial_of["logs_the_metric_too"]
    assert (run.metrics["loss"], run.metrics["acc"]) == (0.5, 0.75)


def test_a_run_that_the_objective_deleted_is_there_again(trial_of):
    run = trial_of["deletes_its_run"]
    assert (run.status, run.metrics["loss"]) == ("FINISHED", 0.5)


def test_the_sweeps_own_run_shows_its_best_and_the_shares_of_its_proposers(sweep_folder, drivers):
    best = drivers.run(sweep_folder.path, in_process=True).ending()["best"]
    (parent,) = of_kind(sweep_folder.path, "sweep")
    members = ("ga", "pso", "rl", "local", "random")
    assert set(parent.history) == {"best_loss", *(f"share_{name}" for name in members)}
    assert parent.history["best_loss"][-1] == best["value"]
    for shares in zip(*(parent.history[f"share_{name}"] for name in members), strict=True):
        assert sum(shares) == pytest.approx(1)
    assert len(parent.history["share_ga"]) == 3
