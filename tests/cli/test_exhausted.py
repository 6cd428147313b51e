"""A space with fewer configurations than the budget, on a real store: every command tells it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lepton_core.events import GenerationSealed, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_tasks import register
from lepton_tasks.lease import acquire
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.objective import Outcome
from lepton_tasks.store import connect
from lepton_tasks.sweep_record import SweepRecord, open_record
from lepton_tasks.sweep_yaml import read

OBJECTIVE = """
def objective(trial):
    if trial["kind"] == "bad":
        raise ValueError("bad")
    return {"loss": (trial["n"] - 3.2) ** 2}
"""
SPACE = {
    "kind": {"type": "choice", "choices": ["good", "bad"]},
    "n": {"type": "int", "low": 1, "high": 5, "when": {"kind": "good"}},
}
SAID = "6 of 64 trials: the space has no other configurations"


@pytest.fixture
def small(sweep_folder):
    """A sweep of 6 configurations with a budget of 64 trials."""
    Path("objective.py").write_text(OBJECTIVE)
    start = [{"kind": "good", "n": 1}]
    return sweep_folder.write(space=SPACE, budget={"trials": 64}, start_from=start)


def test_every_command_says_how_such_a_sweep_stands(small, lepton, lepton_json, edit_sweep_file):
    code, shown = lepton("validate", "sweep.yaml")
    assert code == 0
    assert "6 configurations, fewer than the budget" in " ".join(shown.split())
    assert lepton_json("validate", "sweep.yaml")[1]["configurations"] == 6

    code, shown = lepton("run", "sweep.yaml")
    assert code == 0
    assert "generation   1  6/6 trials" in shown
    assert f"finished: {SAID}" in shown
    assert "raise the budget" not in shown

    for command in (["run", "sweep.yaml"], ["resume", "demo"]):
        code, shown = lepton(*command)
        assert (code, f"nothing to do: {SAID}" in shown) == (0, True)
    edit_sweep_file(budget={"trials": 640})
    code, again = lepton_json("run", "sweep.yaml")
    assert (code, again["ending"], again["exhausted"]) == (0, "nothing to do", True)
    assert (again["trials"], again["best"]["value"]) == (6, pytest.approx(0.04))

    status = lepton_json("status", "demo")[1]
    assert (status["state"], status["trials"], status["failed"]) == ("finished", 6, 1)
    assert (status["exhausted"], status["target"]["trials"], status["open"]) == (True, 64, 0)
    assert SAID in " ".join(lepton("status", "demo")[1].split())
    assert "finished: all tried" in lepton("list")[1]
    assert lepton_json("best", "demo")[1]["lowest"]["params"] == {"kind": "good", "n": 3}
    for command in ("verify", "doctor"):
        code, shown = lepton(command, "demo")
        assert code == 0, shown
    store = connect()
    assert store.client.get_run(status["run_id"]).info.status == "FINISHED"


def test_a_target_that_is_all_of_the_space_is_met_like_any_other(small, edit_sweep_file, lepton):
    edit_sweep_file(budget={"trials": 6})
    assert "configurations" not in lepton("validate", "sweep.yaml")[1]
    code, shown = lepton("run", "sweep.yaml")
    assert (code, "finished: 6 of 6 trials\n" in shown) == (0, True)
    assert "raise the budget" not in shown
    assert "at its target already, 6 of 6 trials" in lepton("run", "sweep.yaml")[1]


def test_a_seal_that_is_gone_is_missed_as_in_any_finished_sweep(small, lepton, lepton_json):
    assert lepton("run", "sweep.yaml")[0] == 0
    with sqlite3.connect("mlruns/mlflow.db") as store:
        gone = "key like 'seal/00000001/%' or key like 'snapshot%'"
        assert store.execute(f"delete from params where {gone}").rowcount
        for table in ("metrics", "latest_metrics"):  # which would tell it, too
            store.execute(f"delete from {table} where step > 4 or key like 'share_%'")
    code, answer = lepton_json("verify", "demo")
    assert code == 5
    assert "the seal of generation 1" in [one["what"] for one in answer["alterations"]]


def test_all_failed_and_nothing_left_says_that_no_budget_helps(small, lepton, edit_sweep_file):
    Path("objective.py").write_text("def objective(trial):\n    raise OSError(str(dict(trial)))\n")
    for _ in range(2):
        code, shown = lepton("run", "sweep.yaml")
        assert code == 3
        assert "none of the 6 trials" in shown
        assert "no other configurations: mend the objective, then declare a new sweep" in shown


def test_a_generation_that_an_older_release_planned_beyond_the_space_is_finished(
    small, lepton, lepton_json
):
    """It gave every generation its full size, and repeated configurations to fill it."""
    declaration, settings = read(small).parse()
    store = connect()
    entry = register.enter(store, declaration)
    record = SweepRecord(store, entry)
    lease = acquire(store.client, entry.ledger, name="demo", from_generation=lambda _: 0)
    ledger = MlflowLedger(record, lease)
    ledger.start(settings)
    state = replay(record.events)
    for generation in range(2):
        proposals, trials = plan(state, 4), []
        for proposal in proposals[: 4 - generation]:  # of the second one, three
            run_id = ledger.begin(proposal, 0)
            trials.append(TrialRecord(proposal=proposal, value=1.0))
            ledger.finish(run_id, trials[-1], Outcome())
        if generation == 0:
            event = GenerationSealed(generation=0, trials=tuple(trials))
            state = evolve(state, event)
            ledger.seal(event, state)
    ledger.end("KILLED")
    lease.release()

    status = lepton_json("status", "demo")[1]
    assert (status["state"], status["trials"], status["open"]) == ("stopped", 4, 3)
    code, told = lepton_json("run", "sweep.yaml")
    assert (code, told["ending"], told["trials"], told["exhausted"]) == (0, "finished", 8, True)
    sealed = [t.proposal for t in open_record("demo").seals[1].event.trials]
    assert sealed == list(proposals)
    assert lepton_json("status", "demo")[1]["state"] == "finished"
    assert lepton("verify", "demo")[0] == 0
    assert "nothing to do: 8 of 64 trials: the space has no other" in lepton("run", "sweep.yaml")[1]
