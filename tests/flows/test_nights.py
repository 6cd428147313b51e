"""However a sweep is shared out among nights, its history is the one of an uninterrupted sweep."""

from __future__ import annotations

import pytest
from histories import assert_sound, full_list, of_kind
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Evaluates, Memory, declared, go, proposals

from lepton_core.declaration import Budget
from lepton_flows.night import Night
from lepton_tasks.objective import Outcome
from lepton_tasks.pool import CancelledError
from lepton_tasks.trial import StopSignal

UNDISTURBED = proposals(go(Memory(declared(trials=22))))


class Stopping(Evaluates):
    """Stops its driver at the n-th evaluation: that trial is cancelled."""

    def __init__(self, stop, at):
        super().__init__()
        self.stop, self.at = stop, at

    def evaluate(self, proposal, run_id, key, reporter=None):
        if len(self.asked) == self.at:
            self.stop.now("killed")
            raise CancelledError
        return super().evaluate(proposal, run_id, key, reporter)


nights = st.lists(
    st.tuples(st.integers(1, 9), st.none() | st.integers(0, 9)), min_size=1, max_size=30
)


@settings(max_examples=60, deadline=None)
@given(nights)
def test_for_any_nightly_numbers_and_kills_the_proposals_are_those_of_an_uninterrupted_sweep(plan):
    ledger = Memory(declared(trials=22))
    for trials, killed_at in plan:
        before = sum(run[2] == "finished" for run in ledger.runs.values())
        stop, night = StopSignal(), Night(Budget(trials=trials))
        evaluator = Stopping(stop, killed_at)
        go(ledger, evaluator, stop=stop, night=night)
        added = sum(run[2] == "finished" for run in ledger.runs.values()) - before
        assert added == night.added == len(evaluator.asked)
        assert added <= trials
        if killed_at is None or killed_at >= added:
            assert added == min(trials, 22 - before) or stop.draining
        open_results = ledger.open_slots(ledger.state.generations_done).values()
        assert night.open == sum(slot.result is not None for slot in open_results)
    # What was begun in the open generation is planned as it would have been, and the rest follows.
    assert proposals(go(ledger)) == UNDISTURBED


def test_a_night_of_fewer_trials_than_a_generation_leaves_it_open_and_plans_no_smaller_one():
    ledger = Memory(declared(trials=12))
    assert go(ledger, night=Night(Budget(trials=3))).generations == []
    assert {run[0].slots for run in ledger.runs.values()} == {4}
    assert [len(g) for g in go(ledger, night=Night(Budget(trials=3))).generations] == [4]
    assert len(ledger.runs) == 6


def test_a_night_that_meets_its_limit_with_a_generation_seals_it_and_begins_no_other():
    ledger = Memory(declared(trials=12))
    night = Night(Budget(trials=8))
    assert [len(g) for g in go(ledger, night=night).generations] == [4, 4]
    assert (night.added, night.open, len(ledger.runs)) == (8, 0, 8)


def test_hours_are_looked_at_before_each_trial_is_begun(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("lepton_flows.night.time.monotonic", lambda: clock[0])

    def an_hour(proposal):
        clock[0] += 3600
        return Outcome(value=proposal.params["x"])

    ledger = Memory(declared(trials=12))
    night = Night(Budget(hours=5.5))
    go(ledger, Evaluates(an_hour), night=night)
    assert (night.added, night.open, ledger.state.generations_done) == (6, 2, 1)


# -- on a real store ------------------------------------------------------------------------


@pytest.mark.parametrize("nightly", [{"trials": 5}, {"trials": 100, "hours": 1}])
def test_nights_on_a_real_store_add_up_to_the_undisturbed_sweep(
    sweep_folder, drivers, undisturbed, nightly
):
    sweep_folder.write(nightly=nightly)
    endings = []
    while not endings or endings[-1]["ending"] == "night over":
        driver = drivers.run(sweep_folder.path, in_process=True, nightly={})
        endings.append(driver.ending())
        assert of_kind(sweep_folder.path, "sweep")[0].status == (
            "KILLED" if endings[-1]["ending"] == "night over" else "FINISHED"
        )
    if "hours" not in nightly:
        assert [(e["added"], e["trials"], e["open"]) for e in endings] == [
            (5, 4, 1),
            (5, 8, 2),
            (2, 12, 0),
        ]
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]
    again = drivers.run(sweep_folder.path, in_process=True, nightly={}).ending()
    assert (again["ending"], again["added"]) == ("nothing to do", 0)


def test_a_night_that_leaves_a_generation_open_beyond_a_lowered_target_is_not_the_end(
    sweep_folder, drivers
):
    def night(trials):
        ending = drivers.run(sweep_folder.path, in_process=True, nightly={"trials": trials})
        return ending.ending()["ending"], of_kind(sweep_folder.path, "sweep")[0].status

    assert night(5) == ("night over", "KILLED")  # a generation of 4, and one of the next
    sweep_folder.write(budget={"trials": 4})
    assert night(1) == ("night over", "KILLED")
    assert night(9) == ("finished", "FINISHED")
    assert len(full_list(sweep_folder.path)) == 8


def test_a_sweep_without_a_budget_goes_on_for_ever_night_by_night(
    sweep_folder, drivers, undisturbed
):
    sweep_folder.write(budget=None, nightly={"trials": 6})
    for night in range(1, 3):
        ending = drivers.run(sweep_folder.path, in_process=True, nightly={}).ending()
        assert (ending["ending"], ending["target"]["trials"]) == ("night over", None)
        assert ending["trials"] + ending["open"] == 6 * night
    assert full_list(sweep_folder.path) == undisturbed()[0]
    refused = drivers.start(sweep_folder.path, in_process=True)
    assert refused.wait() == 2
    assert "has no budget, so this would never end" in refused.said()
