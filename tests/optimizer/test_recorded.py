"""An Optimizer with a name: recorded in MLflow, and gone on with after any end."""

from __future__ import annotations

import signal
from threading import Lock

import pytest

import lepton
from lepton_core.errors import (
    DrivenElsewhereError,
    IdentityError,
    InputError,
    NothingUsableError,
    SweepError,
    UnknownSweepError,
)
from lepton_core.verification import proposal_text
from lepton_tasks.sweep_record import open_record

pytestmark = pytest.mark.usefixtures("sweep_folder")
SPACE = {"x": lepton.Float(0, 1), "n": lepton.Int(1, 9)}


def loss(trial):
    return (trial["x"] - 0.3) ** 2 + trial["n"] + (trial.seed % 97) / 1000


def recorded(**changes):
    return lepton.Optimizer(SPACE, **{"name": "demo", "generation": 4, "seed": 3, **changes})


def undisturbed(trials, **changes):
    """The proposals of a sweep in memory that nobody disturbed."""
    settings = {"generation": 4, "seed": 3, **changes}
    return proposals(lepton.Optimizer(SPACE, **settings).minimize(loss, trials=trials))


def proposals(optimizer):
    return [proposal_text(t.proposal) for t in optimizer._at.trials()]


def runs(status=None):
    """The attempts on record, as (number, status)."""
    found = open_record("demo").attempts()
    return sorted(
        (a.proposal.number, a.status) for a in found if status is None or a.status == status
    )


def parent_status():
    return open_record("demo").parent_info().status


def verified():
    from lepton.cli import main

    return main(["verify", "demo", "--json"])


def test_every_trial_is_a_run_and_the_sweep_proposes_what_one_in_memory_does(capsys):
    found = recorded().minimize(loss, trials=12)
    assert proposals(found) == undisturbed(12)
    assert runs() == [(number, "FINISHED") for number in range(12)]
    assert parent_status() == "FINISHED"
    assert verified() == 0
    assert found.name == "demo"
    assert "'demo'" in repr(found)


def test_another_optimizer_of_the_name_goes_on_and_needs_no_space():
    first = recorded().minimize(loss, trials=10)
    assert lepton.Optimizer(name="demo").best_params == first.best_params
    second = lepton.Optimizer(name="demo").minimize(loss, trials=22)
    in_memory = lepton.Optimizer(SPACE, generation=4, seed=3).minimize(loss, trials=10)
    assert proposals(second) == proposals(in_memory.minimize(loss, trials=22))
    assert len(second.trials) == 22
    assert second.minimize(loss, trials=22) is second


def test_asked_and_told_it_is_recorded_trial_by_trial():
    first = recorded(trials=8)
    a, b, c = first.ask(3)
    assert runs() == [(0, "RUNNING"), (1, "RUNNING"), (2, "RUNNING")]
    assert parent_status() == "RUNNING"
    first.tell(b, {"loss": loss(b), "accuracy": 0.5})
    first.tell(a, error="out of luck")
    assert runs() == [(0, "FAILED"), (1, "FINISHED"), (2, "RUNNING")]
    first.close()
    assert runs() == [(0, "FAILED"), (1, "FINISHED"), (2, "KILLED")]
    assert parent_status() == "KILLED"

    second = lepton.Optimizer(name="demo", trials=8)
    told = second.trials
    assert second.untold == []
    (again,) = second.ask()
    assert (again, again.seed) == (c, c.seed), "what nobody told is proposed again"
    told = second.trials
    assert list(told["number"]) == [0, 1]
    assert told["metrics.accuracy"][1] == 0.5
    second.tell(again, loss(again))
    while trials := second.ask(2):
        for trial in trials:
            second.tell(trial, loss(trial))
    assert parent_status() == "FINISHED", "at its number of trials it ends by itself"
    assert verified() == 0
    assert [number for number, status in runs("FINISHED")] == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_told_is_seen_by_others_before_its_generation_is_sealed():
    first = recorded()
    for trial in first.ask(3):
        first.tell(trial, {"loss": trial["x"], "size": 2.0})
    seen = lepton.Optimizer(name="demo")
    assert list(seen.trials["number"]) == [0, 1, 2]
    assert list(seen.trials["metrics.size"]) == [2.0] * 3
    assert seen.best_params == first.best_params
    first.close()
    assert [trial.number for trial in seen.ask(4)] == [3]


def test_a_default_is_not_given_and_another_start_is_said(caplog):
    recorded(start_from=[{"x": 0.5, "n": 2}]).minimize(loss, trials=4)
    again = lepton.Optimizer(SPACE, name="demo")
    assert (again.state.declaration.seed, again.state.declaration.generation) == (3, 4)
    assert caplog.text == ""
    lepton.Optimizer(name="demo", start_from=[{"x": 0.1, "n": 1}])
    assert "start_from is another than that of 'demo'" in caplog.text


def test_it_says_where_the_record_is_in_a_notebook_too():
    found = recorded().minimize(loss, trials=4)
    parent = open_record("demo").parent
    assert f"history in mlruns/mlflow.db, parent run {parent}" in found._repr_html_()


def test_a_trial_that_was_asked_for_reports_to_its_run(sweep_folder):
    from mlflow import MlflowClient

    found = recorded()
    (first, second) = found.ask(2)
    for step in range(3):
        first.report(step, 1.0 / (1 + step))
    assert not first.should_stop()
    found.tell(first, 0.5)
    second.report(0, 7.0)
    found.close()
    second.report(1, 8.0)  # while nobody holds the sweep: dropped
    client = MlflowClient(f"sqlite:///{sweep_folder.path / 'mlruns' / 'mlflow.db'}")

    def reported():
        attempts = sorted(open_record("demo").attempts(), key=lambda a: (a.slot, a.number))
        points = [client.get_metric_history(a.run_id, "reported_loss") for a in attempts]
        return [[(point.step, point.value) for point in one] for one in points]

    assert reported() == [[(0, 1.0), (1, 0.5), (2, 1 / 3)], [(0, 7.0)]]
    found.ask()  # which hands the second one out again, to its holder, on another run
    second.report(2, 9.0)
    found.tell(second, 0.25)
    assert reported()[1:3] == [[(0, 7.0)], [(2, 9.0)]]
    found.close()
    assert verified() == 0


def test_a_trial_that_is_out_can_be_told_after_closing():
    found = recorded()
    (trial, _) = found.ask(2)
    found.close()
    found.tell(trial, loss(trial))
    assert runs() == [(0, "FINISHED"), (0, "KILLED"), (1, "KILLED"), (1, "RUNNING")]
    with pytest.raises(SweepError, match=r"trial 0 was told already"):
        found.tell(trial, 1.0)
    found.close()
    assert verified() == 0


@pytest.mark.parametrize("trial", [0, 2, 5])
def test_killed_in_the_middle_of_a_trial_it_goes_on_with_the_same_proposals(script, trial):
    driver = script(
        "lepton.Optimizer(SPACE, name='demo', generation=4, seed=3).minimize(slowly, trials=9)",
        PAUSE="0.3",
    )
    driver.await_text(f"trial {trial}\n")
    driver.kill()
    assert (trial, "RUNNING") in runs()
    found = lepton.Optimizer(name="demo").minimize(loss, trials=9)
    assert proposals(found) == undisturbed(9)
    assert [n for n, status in runs("FINISHED")] == list(range(9))
    assert runs("KILLED") == [(trial, "KILLED")]
    assert not runs("RUNNING")
    assert verified() == 0


def test_killed_between_ask_and_tell_it_goes_on_with_the_same_proposals(script):
    driver = script(
        """
        optimizer = lepton.Optimizer(SPACE, name="demo", generation=4, seed=3)
        for number in range(6):
            (trial,) = optimizer.ask()
            optimizer.tell(trial, loss(trial))
        optimizer.ask(2)
        print("asked", flush=True)
        time.sleep(100)
        """
    )
    driver.await_text("asked")
    with pytest.raises(DrivenElsewhereError, match="is being driven by process"):
        recorded().ask()
    driver.kill()
    assert proposals(recorded().minimize(loss, trials=9)) == undisturbed(9)
    assert verified() == 0


def test_ctrl_c_in_the_objective_ends_it_cleanly_and_the_trial_is_given_again(script):
    driver = script(
        """
        optimizer = lepton.Optimizer(SPACE, name="demo", generation=4, seed=3)
        try:
            optimizer.minimize(slowly, trials=9)
        except KeyboardInterrupt as stopped:
            print("interrupted", len(optimizer.trials), optimizer.untold)
            print(stopped)
            os.environ["PAUSE"] = "0"
            print("then", len(optimizer.minimize(slowly, trials=9).trials))
        """,
        PAUSE="0.5",
    )
    driver.await_text("trial 5\n")
    driver.process.send_signal(signal.SIGINT)
    assert "interrupted 5 []" in driver.done()
    assert "stopped after 5 of 9 trials, which are kept; call it again to go on" in driver.said()
    assert driver.said().count("trial 5\n") == 2
    assert "then 9" in driver.said()
    assert proposals(lepton.Optimizer(name="demo")) == undisturbed(9)
    assert runs("KILLED") == [(5, "KILLED")]
    assert parent_status() == "FINISHED"
    assert verified() == 0


def test_ctrl_c_stops_the_workers_at_once(script):
    driver = script(
        """
        optimizer = lepton.Optimizer(SPACE, name="demo", generation=4, seed=3)
        try:
            optimizer.minimize(lambda trial: time.sleep(100), trials=9, workers=2)
        except KeyboardInterrupt:
            print("interrupted", len(optimizer.trials), optimizer.untold)
        """
    )
    from drivers import wait_until

    def both_run():
        try:
            return len(runs("RUNNING")) == 2
        except UnknownSweepError:
            return False

    wait_until(both_run, "two trials to run")
    driver.process.send_signal(signal.SIGINT)
    assert "interrupted 0 []" in driver.done()
    assert runs() == [(0, "KILLED"), (1, "KILLED")]
    assert parent_status() == "KILLED"


def test_a_process_that_just_ends_leaves_nothing_running(script):
    script(
        """
        optimizer = lepton.Optimizer(SPACE, name="demo", generation=4, seed=3)
        optimizer.ask(2)
        """
    ).done()
    assert runs() == [(0, "KILLED"), (1, "KILLED")]
    assert parent_status() == "KILLED"


def test_killed_before_a_seal_the_next_one_seals_what_was_told(script):
    driver = script(
        """
        from lepton_tasks.ledger import MlflowLedger
        MlflowLedger.seal = lambda *_: os._exit(9)
        lepton.Optimizer(SPACE, name="demo", generation=4, seed=3).minimize(loss, trials=8)
        """
    )
    assert driver.wait() == 9
    assert len(open_record("demo").seals) == 0
    (trial,) = recorded().ask()
    assert trial.number == 4
    assert len(open_record("demo").seals) == 1
    assert proposals(recorded().minimize(loss, trials=8)) == undisturbed(8)
    assert verified() == 0


def test_killed_after_its_last_seal_it_is_tidied_by_the_next_call(script):
    driver = script(
        """
        from lepton_tasks.ledger import MlflowLedger
        MlflowLedger.end = lambda *_: os._exit(9)
        lepton.Optimizer(SPACE, name="demo", generation=4, seed=3).minimize(loss, trials=8)
        """
    )
    assert driver.wait() == 9
    assert parent_status() == "RUNNING"
    assert len(recorded().minimize(loss, trials=8).trials) == 8
    assert parent_status() == "FINISHED"


def test_workers_give_the_same_proposals_as_one():
    offset = 0.25  # a closure: no file has it

    def objective(trial):
        return loss(trial) + offset

    side_by_side = recorded().minimize(objective, trials=10, workers=2)
    alone = lepton.Optimizer(SPACE, generation=4, seed=3).minimize(objective, trials=10)
    assert proposals(side_by_side) == proposals(alone)
    assert list(side_by_side.trials["value"]) == list(alone.trials["value"])
    assert verified() == 0


def test_a_second_optimizer_of_this_process_takes_the_sweep_over():
    first, second = recorded(), recorded()
    (trial,) = first.ask()
    (same,) = second.ask()
    assert same == trial
    second.tell(same, 1.0)
    second.close()
    with pytest.raises(SweepError, match="trial 0 was told already"):
        first.tell(trial, 2.0)
    assert len(first.trials) == 1
    first.close()
    assert runs() == [(0, "FINISHED"), (0, "KILLED")], "what was told is not begun again"


def test_what_is_wrong_is_said_before_anything_is_recorded(sweep_folder):
    from mlflow import MlflowClient

    with pytest.raises(UnknownSweepError, match=r"no sweep named 'demo' in .* give its space"):
        lepton.Optimizer(name="demo").ask()
    with pytest.raises(InputError, match="name: found 'no/name'"):
        lepton.Optimizer(SPACE, name="no/name")
    with pytest.raises(InputError, match="cannot be sent to worker processes"):
        recorded().minimize(Lock().acquire, trials=9, workers=2)
    client = MlflowClient(f"sqlite:///{sweep_folder.path / 'mlruns' / 'mlflow.db'}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert client.search_runs(ids) == []


def test_another_space_seed_or_portfolio_under_the_name_is_refused_at_once():
    recorded().minimize(loss, trials=4)
    for changes in ({"seed": 4}, {"generation": 5}, {"portfolio": {"judge": False}}):
        with pytest.raises(IdentityError, match="exists with another"):
            recorded(**changes)
    with pytest.raises(IdentityError, match=r"exists with another space\.x"):
        lepton.Optimizer({**SPACE, "x": lepton.Float(0, 2)}, name="demo", generation=4, seed=3)
    with pytest.raises(IdentityError, match="exists with another seed"):
        lepton.Optimizer(name="demo", seed=5)
    assert lepton.Optimizer(name="demo", seed=3, generation=4).best_loss


def test_a_sweep_that_is_maximized_is_gone_on_with_in_its_direction():
    best = recorded().maximize(loss, trials=6).best_loss
    again = recorded()
    assert again.best_loss == best
    with pytest.raises(InputError, match="the direction is maximize"):
        again.minimize(loss, trials=8)
    assert again.maximize(loss, trials=8).best_loss >= best


def test_it_reads_and_goes_on_with_a_sweep_of_the_command_line(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 8})
    drivers.run(sweep_folder.path)
    seen = lepton.Optimizer(name="demo")
    assert len(seen.trials) == 8
    assert seen.trials["metrics.seed"].notna().sum() == seen.trials["value"].notna().sum()
    assert len(seen.minimize(lambda trial: trial["x"], trials=12).trials) == 12
    assert verified() == 0


def test_a_sweep_that_is_cancelled_stops_and_can_go_on():
    from lepton.cli import main

    found = recorded()
    (trial,) = found.ask()
    found.tell(trial, 1.0)
    (other,) = found.ask()
    assert not other.should_stop()
    assert main(["cancel", "demo", "--json"]) == 0, "it is given back though nobody asks for more"
    assert other.should_stop()
    with pytest.raises(SweepError, match="stopped: cancelled by 'lepton cancel'"):
        found.ask()
    assert parent_status() == "KILLED"
    assert len(found.ask(3)) == 2, "the other one is still out"


def test_a_failure_keeps_its_traceback_and_the_store_all_reasons(sweep_folder):
    def broken(trial):
        raise ValueError("no data")

    with pytest.raises(NothingUsableError, match="no data") as error:
        recorded().minimize(broken, trials=12)
    assert isinstance(error.value.__cause__, ValueError)
    assert parent_status() == "FAILED"
    assert [status for _, status in runs()] == ["FAILED"] * 4
    kept = list((sweep_folder.path / "mlruns" / "artifacts").rglob("output.txt"))
    assert len(kept) == 4
    assert "in broken" in kept[0].read_text()


def test_the_objectives_mlflow_calls_land_on_its_run_and_the_users_own_run_stays(sweep_folder):
    import mlflow

    other = f"sqlite:///{sweep_folder.path / 'other.db'}"
    mlflow.set_tracking_uri(other)
    import os

    os.environ.pop("MLFLOW_TRACKING_URI")

    def objective(trial):
        mlflow.log_metric("epochs", 3)
        mlflow.start_run(nested=True)  # and left open
        return loss(trial)

    try:
        with mlflow.start_run() as mine:
            recorded().minimize(objective, trials=4)
            assert mlflow.active_run().info.run_id == mine.info.run_id
            assert mlflow.get_tracking_uri() == other
            mlflow.log_metric("after", 1)
        assert mlflow.get_run(mine.info.run_id).data.metrics == {"after": 1}
    finally:
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert list(lepton.Optimizer(name="demo").trials["metrics.epochs"]) == [3.0] * 4


def test_another_objective_is_told_of_and_the_same_one_is_not(caplog):
    recorded().minimize(loss, trials=4)
    recorded().minimize(loss, trials=8)
    recorded().minimize(lambda trial: loss(trial) * 1.0, trials=12)
    assert caplog.text == ""

    def otherwise(trial):
        return loss(trial) + 1

    recorded().minimize(otherwise, trials=16)
    assert caplog.text.count("the objective's code has changed since the last driver") == 1


def test_no_prefect_is_loaded_for_it(script):
    said = script(
        """
        lepton.Optimizer(SPACE, name="demo", generation=4).minimize(loss, trials=4)
        print("prefect" in sys.modules, lepton.Optimizer(name="demo"))
        """
    ).done()
    assert "False Optimizer('demo', 2 params, 4 trials" in said


def test_pickled_it_reads_anew():
    import pickle  # noqa: TID251  (a user may)

    found = recorded()
    (trial,) = found.ask()
    found.tell(trial, 1.0)
    found.close()
    copy = pickle.loads(pickle.dumps(found))
    assert proposals(copy.minimize(loss, trials=4)) == undisturbed(4)
