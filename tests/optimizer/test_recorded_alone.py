"""A recorded Optimizer that something else of its own process wants to use at the same time."""

from __future__ import annotations

import os
import threading

import pytest

import lepton
from lepton_core.errors import DrivenElsewhereError, IdentityError, SweepError
from lepton_tasks.sweep_record import open_record

pytestmark = pytest.mark.usefixtures("sweep_folder")
SPACE = {"x": lepton.Float(0, 1), "n": lepton.Int(1, 9)}


def loss(trial):
    return (trial["x"] - 0.3) ** 2 + trial["n"]


def recorded(**changes):
    return lepton.Optimizer(SPACE, **{"name": "demo", "generation": 4, "seed": 3, **changes})


def statuses():
    found = open_record("demo").attempts()
    return sorted((a.proposal.number, a.status) for a in found)


def verified():
    from lepton.cli import main

    return main(["verify", "demo", "--json"])


@pytest.mark.parametrize(
    "misuse",
    [
        lambda found, trial: found.ask(),
        lambda found, trial: found.tell(trial, 1.0),
        lambda found, trial: found.minimize(loss, trials=4),
        lambda found, trial: found.close(),
    ],
    ids=["ask", "tell", "minimize", "close"],
)
@pytest.mark.parametrize("name", ["demo", None], ids=["recorded", "in memory"])
def test_an_objective_that_uses_its_own_optimizer_fails_in_words(misuse, name):
    found = recorded(name=name)

    def objective(trial):
        if trial.number == 1:
            misuse(found, trial)
        return loss(trial)

    failures = list(found.minimize(objective, trials=6).trials["failure"])
    assert "this optimizer is evaluating an objective" in failures.pop(1)
    assert failures == [None] * 5
    if name:
        counted = [(n, "FAILED" if n == 1 else "FINISHED") for n in range(6)]
        assert statuses() == counted
        assert verified() == 0


def test_a_second_optimizer_does_not_take_over_from_one_that_evaluates_an_objective():
    first, refused = recorded(), []

    def take_over():
        try:
            lepton.Optimizer(name="demo").minimize(loss, trials=6)
        except DrivenElsewhereError as error:
            refused.append(error.message)

    def objective(trial):
        if trial.number == 1:
            take_over()  # around this very call
        if trial.number == 5:
            thread = threading.Thread(target=take_over)
            thread.start()
            thread.join()
        return loss(trial)

    first.minimize(objective, trials=6)
    assert len(refused) == 2
    assert "another optimizer of this process" in refused[0]
    assert statuses() == [(number, "FINISHED") for number in range(6)]
    assert verified() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_an_objective_that_sends_mlflow_elsewhere_does_so_for_itself(workers, tmp_path):
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"

    def objective(trial):
        import mlflow

        mlflow.set_tracking_uri(elsewhere)
        return loss(trial)

    found = recorded().minimize(objective, trials=2, workers=workers)
    assert list(found.trials["failure"]) == [None, None]
    assert verified() == 0


@pytest.mark.parametrize("variable", [True, False], ids=["by the variable", "by default"])
def test_where_mlflow_points_is_as_before(variable, sweep_folder, tmp_path, monkeypatch):
    import mlflow

    if variable:  # the very store of the sweep
        uri = f"sqlite:///{sweep_folder.path / 'mlruns' / 'mlflow.db'}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    def objective(trial):
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
        return loss(trial)

    before = mlflow.get_tracking_uri()
    recorded().minimize(objective, trials=2)
    assert mlflow.get_tracking_uri() == before
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///yet-another.db")
    assert mlflow.get_tracking_uri() == "sqlite:///yet-another.db", "it still goes by the variable"


def test_a_child_that_the_objective_forked_and_let_return_drives_nothing():
    def objective(trial):
        if trial.number == 1 and os.fork():
            os.wait()
        return loss(trial)

    recorded().minimize(objective, trials=4)
    assert statuses() == [(number, "FINISHED") for number in range(4)]
    assert verified() == 0


def test_a_forked_child_neither_tells_nor_gives_back_what_its_parent_drives():
    found = recorded()
    first, second = found.ask(2)
    child = os.fork()
    if not child:
        refusals = 0
        for use in (lambda: found.tell(first, 1.0), found.ask, found.close):
            try:
                use()
            except SweepError as error:
                refusals += "was forked" in error.message
        os._exit(refusals)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert statuses() == [(0, "RUNNING"), (1, "RUNNING")]
    found.tell(first, 1.0)
    found.tell(second, 1.0)
    assert statuses() == [(0, "FINISHED"), (1, "FINISHED")]


def test_a_copy_can_tell_what_its_original_was_given():
    import pickle  # noqa: TID251  (a user may)

    found = recorded()
    (trial,) = found.ask()
    copy = pickle.loads(pickle.dumps(found))
    found.close()
    assert copy.untold == [trial]
    copy.tell(trial, 1.0)
    assert len(copy.trials) == 1


def test_a_sweep_recorded_to_be_minimized_is_not_turned_by_a_call_that_is_refused():
    found = recorded()
    trials = found.ask(2)
    with pytest.raises(SweepError, match="waits for trials"):
        found.maximize(loss, trials=8)
    for trial in trials:
        found.tell(trial, loss(trial))
    unaware = recorded(name="other")
    recorded(name="other").minimize(loss, trials=4)
    with pytest.raises(IdentityError, match="direction"):
        unaware.maximize(loss, trials=8)
    assert len(unaware.minimize(loss, trials=8).trials) == 8


def test_the_time_that_a_sweep_was_driven_is_all_of_it():
    import time

    def objective(trial):
        time.sleep(0.2)
        return loss(trial)

    recorded().minimize(objective, trials=8)
    assert open_record("demo").state.driven_s > 1.6


def test_an_end_that_was_asked_for_is_not_told_of_after_it_went_on():
    from lepton.cli import main

    found = recorded()
    found.tell(found.ask()[0], 1.0)
    assert main(["cancel", "demo", "--json"]) == 0
    found.minimize(loss, trials=3)
    assert [trial.number for trial in found.ask()] == [3]


def test_ctrl_c_waits_for_what_is_half_written_but_not_for_ever():
    import signal
    import time

    from lepton_tasks.stop_signals import PATIENCE_S, Interrupts

    came_to = []

    def write(pause):
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            time.sleep(pause)
            signal.raise_signal(signal.SIGINT)
            came_to.append(pause)

    for pause in (0.0, PATIENCE_S + 0.1):
        with pytest.raises(KeyboardInterrupt):
            write(pause)
    assert came_to == [0.0], "pressed twice at once it still waits"
