"""The generation loop alone, with a ledger in memory and nothing beneath it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from in_memory import Evaluates, Memory, declared, go, proposals

from lepton_core.declaration import Budget, Settings
from lepton_core.errors import NothingUsableError
from lepton_core.events import (
    Failure,
    SettingsAmended,
    SweepDeclared,
)
from lepton_core.fold import replay
from lepton_core.plan import plan
from lepton_core.space import Int, Space
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.objective import Outcome
from lepton_tasks.pool import CancelledError, WorkerDiedError
from lepton_tasks.trial import StopSignal


def failing(kind="exception", reason="broken"):
    return Evaluates(lambda _: Outcome(failure=Failure(kind=kind, reason=reason)))


def test_a_sweep_is_driven_to_its_target_and_no_further():
    state = go(Memory(declared(trials=10)))
    assert [len(generation) for generation in state.generations] == [4, 4, 2]
    assert [p.number for p in proposals(state)] == list(range(10))


def test_a_sweep_at_its_target_is_left_as_it_is():
    ledger = Memory(declared())
    go(ledger)
    evaluator, events = Evaluates(), list(ledger.events)
    assert go(ledger, evaluator).trials_done == 12
    assert (evaluator.asked, ledger.events) == ([], events)


def test_the_finishing_order_does_not_matter():
    def shuffled(work, todo):
        order = random.sample(range(len(todo)), len(todo))
        done = {i: work(todo[i]) for i in order}
        return [done[i] for i in range(len(todo))]

    expected = go(Memory(declared()))
    for _ in range(5):
        assert proposals(go(Memory(declared()), mapper=shuffled)) == proposals(expected)


def test_a_raised_budget_starts_a_new_generation():
    ledger = Memory(declared(trials=6))
    assert [len(g) for g in go(ledger).generations] == [4, 2]
    ledger.events.append(SettingsAmended(settings=Settings(budget=Budget(trials=12))))
    assert [len(g) for g in go(ledger).generations] == [4, 2, 4, 2]


def few(*, trials=64, size=6):
    """A sweep of fewer configurations than the budget."""
    events = declared(trials)
    smaller = replace(events[0].declaration, space=Space({"x": Int(1, size)}))
    return [SweepDeclared(declaration=smaller), *events[1:]]


def test_a_space_that_was_tried_whole_ends_the_sweep():
    ledger = Memory(few())
    assert [len(g) for g in go(ledger).generations] == [4, 2]
    assert len(ledger.state.seen) == 6
    ledger.events.append(SettingsAmended(settings=Settings(budget=Budget(trials=1000))))
    assert go(ledger).trials_done == 6


def test_an_open_generation_of_more_slots_than_are_left_is_finished_as_it_was_planned():
    """An older release planned it: it repeats configurations, and its record stands."""
    ledger = Memory(few())
    go(ledger, generations=1)
    older = list(plan(ledger.state, 4))
    ledger.begin(older[2], 0)
    state = go(ledger)
    assert [len(g) for g in state.generations] == [4, 4]
    assert proposals(state)[4:] == older
    assert len(ledger.state.seen) == 6


def test_a_space_of_which_all_failed_for_one_reason_ends_without_advice_to_run_it_again():
    ledger = Memory(few(size=4))
    assert go(ledger, failing()).trials_done == 4
    with pytest.raises(NothingUsableError, match="run the same command again"):
        go(Memory(few(size=5)), failing())


def test_a_budget_of_hours_is_checked_at_seals_only():
    ledger = Memory(declared())
    hours = Settings(budget=Budget(hours=1e-9))
    ledger.events.append(SettingsAmended(settings=hours))
    state = go(ledger)
    assert [len(g) for g in state.generations] == [4]
    assert state.driven_s > 0
    assert len(go(ledger).generations) == 1


def test_no_more_generations_are_sealed_than_asked_for():
    ledger = Memory(declared())
    assert len(go(ledger, generations=2).generations) == 2
    assert len(go(ledger, generations=1).generations) == 3


def test_asked_to_drain_it_finishes_what_runs_and_begins_nothing():
    stop, ledger = StopSignal(), Memory(declared())

    def same(proposal):
        return Outcome(value=1.0)

    def stopping(proposal):
        if proposal.number == 5:
            stop.drain("enough")
        return same(proposal)

    state = go(ledger, Evaluates(stopping), stop=stop)
    assert state.trials_done == 4
    assert [run for run in ledger.runs if ledger.runs[run][2] == "finished"] == [
        f"{n}.0" for n in range(6)
    ]
    assert len(ledger.runs) == 6
    evaluator = Evaluates(same)
    undisturbed = go(Memory(declared()), Evaluates(same))
    assert proposals(go(ledger, evaluator)) == proposals(undisturbed)
    assert [p.number for p in evaluator.asked] == list(range(6, 12))


def test_asked_to_stop_now_the_running_trial_is_cancelled_and_issued_again():
    stop, ledger = StopSignal(), Memory(declared())

    def cancelled(proposal):
        if proposal.number == 2:
            stop.now("stopped by SIGTERM")
            raise CancelledError
        return same(proposal)

    def same(proposal):
        return Outcome(value=1.0)

    assert go(ledger, Evaluates(cancelled), stop=stop).trials_done == 0
    assert ledger.runs["2.0"][2] == "cancelled: stopped by SIGTERM"
    assert proposals(go(ledger, Evaluates(same))) == proposals(
        go(Memory(declared()), Evaluates(same))
    )
    assert ledger.runs["2.1"][2] == "finished"


def test_stopped_before_it_begins_it_does_nothing():
    stop, ledger = StopSignal(), Memory(declared())
    stop.drain("at once")
    assert go(ledger, stop=stop).trials_done == 0
    assert ledger.runs == {}


def test_an_error_of_the_ledger_goes_to_the_caller_and_nothing_is_sealed():
    class Broken(Memory):
        def finish(self, run_id, record, outcome):
            if record.proposal.number == 6:
                raise OSError("the disk is full")
            super().finish(run_id, record, outcome)

    ledger = Broken(declared())
    with pytest.raises(OSError, match="disk is full"):
        go(ledger)
    assert ledger.state.trials_done == 4


def test_recorded_proposals_stand_even_where_others_would_be_made_today():
    """Recorded, never resampled: another version may propose otherwise."""
    ledger = Memory(declared())
    ours = [replace(p, params={"x": p.slot / 10}, seed=p.slot) for p in plan(ledger.state, 4)]
    ledger.open = {(0, 1): OpenSlot(proposal=ours[1], attempts=1)}
    ledger.runs["1.0"] = "an orphan"
    evaluator = Evaluates()
    state = go(ledger, evaluator, generations=1)
    assert evaluator.asked[1] == ours[1]
    assert [p for p in proposals(state) if p.slot != 1] == [
        p for p in plan(replay(declared()), 4) if p.slot != 1
    ]
    assert ledger.runs["1.1"][2] == "finished"


def test_a_recorded_result_stands_and_is_not_measured_again():
    ledger = Memory(declared())
    first = go(Memory(declared()), generations=1)
    kept = replace(first.generations[0][2], value=0.125, attempt=3)
    ledger.open = {(0, 2): OpenSlot(proposal=kept.proposal, attempts=4, result=kept, run_id="r")}
    evaluator = Evaluates()
    state = go(ledger, evaluator, generations=1)
    assert state.generations[0][2] == kept
    assert [p.slot for p in evaluator.asked] == [0, 1, 3]


def test_a_begun_generation_keeps_the_slots_it_was_planned_with():
    """Whatever the budget has become meanwhile, more or less."""
    small = Memory(declared(trials=3))
    begun = plan(small.state, 3)[0]
    for trials in (2, 12):
        ledger = Memory(declared(trials=trials))
        ledger.open = {(0, 0): OpenSlot(proposal=begun)}
        state = go(ledger, generations=1)
        assert [len(g) for g in state.generations] == [3]


def test_a_sweep_whose_first_generation_fails_alike_is_stopped_early():
    ledger = Memory(declared())
    with pytest.raises(NothingUsableError, match=r"all 4 trials.*broken") as caught:
        go(ledger, failing())
    assert caught.value.exit_code == 3
    assert ledger.state.trials_done == 4


def test_it_is_stopped_early_each_time_until_something_works():
    ledger = Memory(declared())
    for sealed in (1, 2):
        with pytest.raises(NothingUsableError):
            go(ledger, failing())
        assert ledger.state.generations_done == sealed
    assert go(ledger).trials_done == 12


@pytest.mark.parametrize(
    "evaluator",
    [
        Evaluates(lambda p: Outcome(failure=Failure(kind="exception", reason=f"bad {p.number}"))),
        Evaluates(
            lambda p: (
                Outcome(value=1.0)
                if p.slot == 3
                else Outcome(failure=Failure(kind="exception", reason="same"))
            )
        ),
    ],
    ids=["for different reasons", "not all"],
)
def test_a_first_generation_that_fails_otherwise_does_not_stop_it(evaluator):
    assert go(Memory(declared()), evaluator).trials_done == 12


def test_a_later_generation_that_fails_alike_does_not_stop_it():
    def later(proposal):
        if proposal.generation:
            return Outcome(failure=Failure(kind="nan", reason="nan"))
        return Outcome(value=1.0)

    assert go(Memory(declared()), Evaluates(later)).trials_done == 12


def test_a_dead_process_is_another_attempt_at_the_same_proposal():
    deaths = []

    def dying(proposal):
        if proposal.number == 5 and len(deaths) < 2:
            deaths.append(proposal)
            raise WorkerDiedError("killed by SIGKILL")
        return Outcome(value=proposal.params["x"])

    ledger = Memory(declared())
    state = go(ledger, Evaluates(dying))
    assert proposals(state) == proposals(go(Memory(declared())))
    assert deaths[0] == deaths[1] == proposals(state)[5]
    assert [trial.attempt for trial in state.trials] == [0] * 5 + [2] + [0] * 6
    assert [ledger.runs[f"5.{n}"][2] for n in range(3)] == [
        "died: killed by SIGKILL",
        "died: killed by SIGKILL",
        "finished",
    ]
