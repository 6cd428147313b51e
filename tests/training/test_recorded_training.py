"""A population that trains, recorded in MLflow: what is there, and how it goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import trainings
from drivers import wait_until
from histories import all_runs, of_kind, trials
from kill_points import fail_once_at, kill_at
from sklearn.linear_model import SGDClassifier

import lepton
from lepton.cli import main
from lepton_core.errors import (
    CheckpointError,
    DrivenElsewhereError,
    IdentityError,
    InputError,
    NothingUsableError,
    SweepError,
)
from lepton_tasks.doctor.audit import audit
from lepton_tasks.sweep_record import open_record

SEED = int(os.environ.get("LEPTON_TEST_SEED", "0"))
KILLED = -signal.SIGKILL


@pytest.fixture
def folder(sweep_folder):
    return sweep_folder.path


@pytest.fixture(scope="session")
def undisturbed(new_sweep_folder, tmp_path_factory):
    """The state of a training that nobody disturbed."""
    place = new_sweep_folder(tmp_path_factory.mktemp("undisturbed") / "sweep").path

    def work():
        os.chdir(place)
        trainings.train()

    assert trainings.forked(work, place / "out") == 0, (place / "out").read_text()
    return trainings.state(place)


def run(folder, *, code=0, seed=0, before=lambda: None, **changes):
    """Train in a process of its own, which must end with this code; returns what it said."""

    def work():
        before()
        print(trainings.train(seed, **changes).best_loss)

    found = trainings.forked(work, folder / "out")
    said = (folder / "out").read_text()
    assert found == code, said
    return said


# -- what is there ------------------------------------------------------------------------------


def test_each_member_is_a_run_with_its_curves_and_its_trials_below(folder):
    run(folder)
    (parent,) = of_kind(folder, "sweep")
    members = {member.name: member for member in of_kind(folder, "member")}
    assert sorted(members) == ["member-00", "member-01", "member-02"]
    for member in members.values():
        assert member.tags["mlflow.parentRunId"] == parent.run_id
    for trial in trials(folder):
        above = members[f"member-{int(trial.tags['lepton.slot']):02d}"]
        assert trial.tags["mlflow.parentRunId"] == above.run_id
    losses = {(int(t.tags["lepton.slot"]), t.metrics["loss"]) for t in trials(folder)}
    curves = trainings.curves(folder)
    for name, found in curves.items():
        for key in ("loss", "train_loss", *members[name].metrics.keys() - {"copied_from"}):
            assert [step for step, _ in found[key]] == [4, 8, 12], (name, key)
        assert {(int(name[-2:]), loss) for _, loss in found["loss"]} <= losses
        for step, other in found.get("copied_from", []):
            assert step in (4, 8)
            assert other != int(name[-2:])
    assert any("copied_from" in found for found in curves.values())


def test_it_is_sound_for_verify_and_the_doctor_and_shown_by_all_commands(folder, capsys):
    run(folder)
    assert audit(open_record("demo")) == []
    for command in ("verify", "doctor", "status", "best"):
        assert main([command, "demo", "--json"]) == 0, command
    assert main(["list"]) == 0
    capsys.readouterr()
    assert main(["status", "demo"]) == 0
    assert "12 of 12 steps by each of 3 members, in 3 rounds" in capsys.readouterr().out
    assert main(["best", "demo"]) == 0
    assert "steps" in capsys.readouterr().out
    for command in (["resume", "demo"], ["run", "sweep.yaml"]):
        assert main(command) == 2
        assert "trains a population" in capsys.readouterr().err


def test_what_it_found_is_a_file_of_the_parent_run(folder):
    run(folder)
    found = lepton.Optimizer(name="demo")
    (place,) = folder.rglob("artifacts/schedule.json")
    (parent,) = of_kind(folder, "sweep")
    assert place.parent.parent.name == parent.run_id
    rows = json.loads(place.read_text())["schedule"]
    assert [row["trial"] for row in rows] == list(found.schedule["trial"])
    assert rows[-1]["loss"] == found.best_loss


def test_the_best_model_is_there_in_another_process_and_logged_once(folder):
    import numpy as np
    from sklearn.datasets import load_digits

    run(folder)
    found = lepton.Optimizer(name="demo")
    x = load_digits().data[:50] / 16
    here = found.best_model.predict_proba(x)
    run(folder)  # there is nothing to do
    (folder / "again").write_text("")
    assert len(list((folder / "mlruns").rglob("MLmodel"))) == 1
    assert np.array_equal(here, trainings.train(5).best_model.predict_proba(x))


def test_only_checkpoints_that_one_can_go_on_from_are_kept(folder, undisturbed):
    run(folder, steps=40)
    numbers = trainings.state(folder)["checkpoints"]
    assert len(numbers) <= 2 * trainings.MEMBERS + 2
    assert numbers[0] == -1
    assert set(range(27, 30)) <= set(numbers), "training cannot go on from the last round"


def test_an_export_is_imported_with_its_members_but_goes_on_nowhere(folder, another_folder):
    run(folder)
    file = folder / "demo.jsonl"
    assert main(["export", "demo", "-o", str(file)]) == 0
    before = trainings.curves(folder)
    os.chdir(another_folder.path)
    assert main(["import", str(file)]) == 0
    assert main(["verify", "demo", "--json"]) == 0
    assert trainings.curves(another_folder.path) == before
    assert [m.status for m in of_kind(another_folder.path, "member")] == ["FINISHED"] * 3
    with pytest.raises(CheckpointError, match="is not there"):
        trainings.train(steps=16)


# -- it goes on ---------------------------------------------------------------------------------


def test_killed_at_random_moments_it_goes_on_to_the_same_end(folder, undisturbed):
    """Each process hands other weights over than the first did: those count for nothing."""
    chance = random.Random(SEED)
    kills = 0
    for attempt in range(40):
        # The start's weights count until they are recorded, as they are when a member's are kept.
        seed = attempt if len(trainings.kept(folder)) > 1 else 0

        def work(seed=seed):
            trainings.train(seed)

        pid = os.fork()
        if not pid:
            os.setsid()
            os._exit(trainings.forked(work, folder / f"out{attempt}"))
        if not kills:  # on a fast machine it would be at its end
            wait_until(lambda: len(trainings.kept(folder)) > 1, "a member's checkpoint")
        else:  # on a slow one it gets there
            time.sleep(chance.uniform(0.2, 1.2) * (1 + attempt / 10))
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, (folder / f"out{attempt}").read_text()
            break
        kill_descendants(pid)
        kills += 1
    assert kills >= 1
    assert trainings.state(folder) == undisturbed
    assert main(["verify", "demo", "--json"]) == 0


def kill_descendants(pid):
    import psutil

    found = psutil.Process(pid).children(recursive=True)
    for process in found:
        process.kill()
    os.waitpid(pid, 0)


def test_two_workers_come_to_the_same(folder, undisturbed):
    run(folder, workers=2)
    assert trainings.state(folder) == undisturbed


def test_killed_with_two_workers_it_goes_on_to_the_same_end(folder, undisturbed):
    run(folder, code=KILLED, workers=2, before=lambda: kill_at("trial.result", "before", 5))
    run(folder, workers=2, seed=3)
    assert trainings.state(folder) == undisturbed


def test_killed_before_the_start_is_kept_it_begins_anew(folder, undisturbed):
    run(folder, code=KILLED, seed=7, before=lambda: kill_at("training.start_known", "before", 1))
    run(folder)
    assert trainings.state(folder) == undisturbed


def test_training_goes_on_to_more_steps_from_what_is_kept(folder):
    run(folder)
    first = trainings.curves(folder)
    run(folder, steps=20, seed=4)
    assert main(["verify", "demo", "--json"]) == 0
    for name, found in trainings.curves(folder).items():
        assert [step for step, _ in found["loss"]] == [4, 8, 12, 16, 20]
        assert found["loss"][:3] == first[name]["loss"]


@pytest.mark.parametrize("point", ["training.checkpoint", "training.curves", "training.start"])
def test_a_store_that_is_away_for_a_moment_is_waited_for(folder, undisturbed, point):
    run(folder, before=lambda: fail_once_at(point))
    assert trainings.state(folder) == undisturbed


def test_after_ctrl_c_nothing_runs_and_it_goes_on(folder, undisturbed):
    def interrupt():
        import threading

        from lepton_tasks.store_client import StoreClient

        original, seen = StoreClient._write, []

        def write(self, point, call):
            seen.append(point.name)
            if seen.count("trial.result") == 5 and point.name == "trial.result":
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, point, call)

        StoreClient._write = write
        assert threading.current_thread() is threading.main_thread()

    said = run(folder, code=1, before=interrupt)
    assert "KeyboardInterrupt: stopped after" in said
    assert "steps, which are kept" in said
    assert {r.status for r in all_runs(folder)} <= {"FINISHED", "KILLED"}
    assert [r.status for r in of_kind(folder, "member")] == ["KILLED"] * 3
    run(folder, seed=9)
    assert trainings.state(folder)["trials"] == undisturbed["trials"]
    assert trainings.state(folder)["curves"] == undisturbed["curves"]


def test_of_two_processes_at_once_the_second_leaves(folder, undisturbed):
    pid = os.fork()
    if not pid:
        os._exit(trainings.forked(lambda: trainings.train(steps=400), folder / "first"))
    try:
        deadline = time.monotonic() + 30
        while len(trials(folder)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        said = run(folder, code=1)
        assert f"{DrivenElsewhereError.__name__}: " in said
    finally:
        kill_descendants(pid)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"model": SGDClassifier(loss="log_loss")}, InputError, "which SGDClassifier does not"),
        ({"width": 9}, CheckpointError, "hidden_layer_sizes of MLPClassifier is (9,)"),
        ({"rows": 150}, CheckpointError, "this training began with"),
        ({"interval": 3}, IdentityError, "interval is 3"),
        ({"population": 5}, IdentityError, "population is 5"),
    ],
    ids=["model", "its size", "data", "interval", "population"],
)
def test_what_is_not_the_same_training_is_refused_before_any_trial(folder, changes, error, text):
    from sklearn.datasets import load_digits

    run(folder, code=KILLED, before=lambda: kill_at("trial.result", "after", 4))
    before = len(trials(folder))
    if rows := changes.pop("rows", None):
        x, y = load_digits(return_X_y=True)
        changes["data"] = (x[:rows] / 16, y[:rows])
    with pytest.raises(error) as raised:
        trainings.train(**changes)
    assert text in raised.value.message
    assert len(trials(folder)) == before
    assert (
        "RUNNING" not in {r.status for r in of_kind(folder, "member")}
        or error is not CheckpointError
    )


# -- a store is not trusted ---------------------------------------------------------------------


def a_checkpoint(folder):
    """The folder of one that the next round goes on from."""
    numbers = {r.run_id: int(r.tags["lepton.number"]) for r in trials(folder)}
    found = {numbers.get(run_id, -1): run_id for run_id in trainings.kept(folder)}
    (place,) = folder.rglob(f"{found[max(found)]}/artifacts/checkpoint")
    return place


def altered(place):
    file = max(place.iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def cut(place):
    file = max(place.iterdir())
    file.write_bytes(file.read_bytes()[:-1])


def a_pipe(place):
    file = max(place.iterdir())
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [altered, cut, a_pipe, shutil.rmtree])
def test_a_checkpoint_that_is_not_what_was_kept_is_not_gone_on_from(folder, damage):
    run(folder)
    for place in folder.rglob("artifacts/checkpoint"):
        (parent,) = of_kind(folder, "sweep")
        if place.parent.parent.name != parent.run_id:
            damage(place)
    before = len(trials(folder))
    with pytest.raises(CheckpointError, match="is not what was kept"):
        trainings.train(steps=16)
    assert len([r for r in trials(folder)[before:] if r.status != "KILLED"]) == 0
    assert "RUNNING" not in {r.status for r in all_runs(folder)}


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped", "", "."])
def test_names_from_the_store_do_not_leave_the_folder(folder, name):
    from lepton_core.canonical import canonical_json
    from lepton_tasks import records
    from lepton_tasks.checkpoint_artifacts import CHECKPOINT, digests
    from lepton_tasks.store import connect

    run(folder)
    (folder / "escaped").write_text("theirs")
    text = canonical_json({"files": {name: digests(folder / "escaped")}})
    client = connect().client.plain
    (parent,) = of_kind(folder, "sweep")
    for key, value in records.long_tag(CHECKPOINT, text).items():
        client.set_tag(parent.run_id, key, value)
    with pytest.raises(CheckpointError, match="torn or was altered"):
        trainings.train(steps=16)


# -- members' runs are for people ---------------------------------------------------------------


def test_a_members_run_that_was_deleted_is_made_anew_with_all_its_curves(folder, undisturbed):
    from lepton_tasks.store import connect

    run(folder, code=KILLED, before=lambda: kill_at("trial.result", "after", 7))
    member = of_kind(folder, "member")[0]

    def delete():
        connect().client.plain.delete_run(member.run_id)

    assert trainings.forked(delete, folder / "out") == 0
    run(folder, seed=2)
    assert main(["verify", "demo", "--json"]) == 0
    names = [m.name for m in of_kind(folder, "member")]
    assert names.count(member.name) == 2
    latest = of_kind(folder, "member")[-1]
    found = {key: len(values) for key, values in latest.history.items() if key != "copied_from"}
    assert set(found.values()) == {3}


def test_the_best_model_of_a_training_without_one_is_said_to_be_missing(folder):
    run(folder, code=KILLED, before=lambda: kill_at("trial.result", "after", 4))
    with pytest.raises(NothingUsableError, match="no model of trial"):
        _ = lepton.Optimizer(name="demo").best_model


def test_it_is_neither_asked_nor_given_an_objective(folder):
    run(folder)
    found = lepton.Optimizer(name="demo")
    with pytest.raises(SweepError, match="trains a population"):
        found.ask()
    with pytest.raises(SweepError, match="trains a population"):
        found.minimize(lambda trial: 0.0, trials=20)


def test_the_files_on_disk_are_not_pickled(folder):
    run(folder)
    suffixes = {
        Path(place).suffix for place in folder.rglob("artifacts/checkpoint/*") if place.is_file()
    }
    assert not suffixes & {".pkl", ".pickle", ".pt", ".joblib"}
