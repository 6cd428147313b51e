"""Worker processes that an Optimizer's objective is sent to."""

from __future__ import annotations

import os
import sys
import threading

import pytest

import lepton
from lepton_core.errors import InputError, NothingUsableError, ObjectiveError

SPACE = {"x": lepton.Float(0, 1), "n": lepton.Int(1, 9)}


def test_a_closure_runs_in_processes_of_its_own_and_gives_what_one_worker_gives():
    table = {n: 10.0 - n for n in range(1, 10)}

    def objective(trial):
        return {"loss": table[trial["n"]] + trial["x"], "pid": os.getpid()}

    two = lepton.Optimizer(SPACE, generation=4).minimize(objective, trials=12, workers=2)
    one = lepton.Optimizer(SPACE, generation=4).minimize(objective, trials=12)
    columns = ["number", "proposer", "value", "params.x", "params.n"]
    assert two.trials[columns].equals(one.trials[columns])
    pids = set(two.trials["metrics.pid"])
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert set(one.trials["metrics.pid"]) == {os.getpid()}


def test_a_module_that_only_this_process_can_find_is_found_by_workers(tmp_path, monkeypatch):
    (tmp_path / "of_mine.py").write_text("def objective(trial):\n    return trial['x']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_mine", raising=False)
    import of_mine

    found = lepton.Optimizer(SPACE).minimize(of_mine.objective, trials=4, workers=2)
    assert len(found.trials) == 4


def test_what_cannot_be_sent_is_named_before_any_trial():
    lock, fine = threading.Lock(), 3
    untouched = lepton.Optimizer(SPACE)

    def objective(trial):
        with lock:
            return trial["x"] + fine

    with pytest.raises(InputError, match=r"cannot be sent .* its variable 'lock'.*\n.*workers=1"):
        untouched.minimize(objective, trials=4, workers=2)
    assert len(untouched.trials) == 0
    assert len(untouched.minimize(objective, trials=4).trials) == 4


def test_an_objective_that_a_worker_cannot_set_up_is_an_error_before_any_trial():
    class Stubborn:
        def __call__(self, trial):
            return 1.0

        def __reduce__(self):
            return (os.listdir, ("/no such folder",))

    untouched = lepton.Optimizer(SPACE)
    with pytest.raises(
        ObjectiveError, match=r"cannot be set up in a worker process:\n(.|\n)*no such"
    ):
        untouched.minimize(Stubborn(), trials=4, workers=2)
    assert len(untouched.trials) == 0


def test_a_worker_that_dies_is_replaced_and_its_trial_tried_again(tmp_path):
    def objective(trial):
        mark = tmp_path / str(trial.number)
        if trial.number == 2 and not mark.exists():
            mark.touch()
            os._exit(3)
        if trial.number == 3:
            os._exit(4)
        return trial["x"]

    found = lepton.Optimizer(SPACE, generation=4).minimize(objective, trials=4, workers=2)
    failures = list(found.trials["failure"])
    assert failures[:3] == [None, None, None]
    assert failures[3] == "crashed: its process ended: exit code 4, 3 times"


def test_an_exception_in_a_worker_is_a_failure_and_a_broken_objective_stops_early():
    def objective(trial):
        raise ValueError("no data")

    with pytest.raises(
        NothingUsableError, match=r"all trials of generation 0 .* ValueError: no data"
    ):
        lepton.Optimizer(SPACE, generation=4).minimize(objective, trials=40, workers=2)


def test_an_objective_of_a_thread_runs_too():
    found = []

    def run(workers):
        optimizer = lepton.Optimizer(SPACE, generation=4)
        found.append(optimizer.minimize(lambda t: t["x"], trials=6, workers=workers).best_loss)

    for workers in (1, 2):
        thread = threading.Thread(target=run, args=(workers,))
        thread.start()
        thread.join()
    assert found[0] == found[1]
