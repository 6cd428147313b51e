from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.declaration import Budget, Declaration, Portfolio, Settings, to_loss
from lepton_core.errors import RecordError
from lepton_core.events import (
    Failure,
    GenerationSealed,
    SettingsAmended,
    SweepDeclared,
    sealed_trials,
)
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.space import Float, Int, Space
from lepton_core.strategies import VALUES, sealed, sweep_events, sweeps

BROKEN = Failure(kind="exception", reason="ValueError: no")
DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1), "n": Int(1, 9)}),
    generation=3,
    portfolio=Portfolio(proposers=("random",)),
)
MAXIMIZED = replace(DECLARED, direction="maximize")


@given(sweeps(), st.data())
def test_replay_in_two_parts_gives_the_same_state(events, data):
    cut = data.draw(st.integers(1, len(events)))
    a, b = events[:cut], events[cut:]
    assert replay(b, start=replay(a)) == replay(events)
    assert plan(replay(b, start=replay(a)), 3) == plan(replay(events), 3)


@given(sweeps())
def test_replay_counts_every_trial_once_in_the_order_of_proposal(events):
    state, trials = replay(events), list(sealed_trials(events))
    assert [t.proposal.number for t in trials] == list(range(state.trials_done))
    assert state.generations_done == sum(isinstance(e, GenerationSealed) for e in events)
    keys = [state.declaration.space.key(t.proposal.params) for t in trials]
    assert all(key in state.seen for key in keys)
    assert "never tried" not in state.seen


@given(sweeps())
def test_the_best_trial_is_the_lowest_loss_and_of_equals_the_first(events):
    state = replay(events)
    direction = state.declaration.direction
    usable = [t for t in sealed_trials(events) if t.value is not None]
    losses = [to_loss(t.value, direction) for t in usable]
    assert state.best == (usable[losses.index(min(losses))] if usable else None)


def test_the_best_of_a_maximised_metric_is_the_greatest():
    assert replay(sweep_events(DECLARED, [[0.5, 0.9, 0.1]])).best.value == 0.1
    assert replay(sweep_events(MAXIMIZED, [[0.5, 0.9, 0.1]])).best.value == 0.9


def test_there_is_no_best_before_there_is_a_usable_trial():
    events = sweep_events(DECLARED, [[BROKEN, BROKEN], [3.0, 2.0], [2.0, 5.0], [BROKEN, 1.0]])
    numbers = [best and best.proposal.number for best in (replay(events[:n]).best for n in (2, 3))]
    assert numbers == [None, 3]
    assert replay(events[:4]).best == replay(events[:3]).best  # of equals the first
    assert replay(events).best.proposal.number == 7


def test_failures_and_who_proposed_are_counted():
    last = Failure(kind="timeout", reason="too long")
    state = replay(sweep_events(DECLARED, [[BROKEN, 1.0, BROKEN], [2.0, last], [3.0]]))
    assert (state.failed, state.last_failure) == (3, last)
    assert state.proposed == {"random": 3, "sobol": 3}
    assert replay(sweep_events(DECLARED, [[1.0]])).last_failure is None


def test_a_zero_is_a_value_and_can_be_the_best():
    events = sweep_events(DECLARED, [[0.0, 1.0], [-0.5, 0.0]])
    assert replay(events[:2]).best.proposal.number == 0
    assert replay(events).best.proposal.number == 2


def test_settings_are_those_of_the_last_driver():
    first, second = (Settings(budget=Budget(trials=n)) for n in (4, 8))
    events = [SweepDeclared(declaration=DECLARED), SettingsAmended(settings=first)]
    assert replay(events[:1]).settings is None
    assert replay(events).settings == first
    assert replay([*events, SettingsAmended(settings=second)]).settings == second


def test_driven_time_is_that_of_the_last_seal():
    state = replay(sweep_events(DECLARED, [[1.0], [2.0]]))
    assert state.driven_s == 2.0


@given(st.lists(VALUES, min_size=2, max_size=6), st.data())
def test_when_and_how_long_a_trial_ran_changes_no_proposal(values, data):
    state = replay([SweepDeclared(declaration=DECLARED)])
    seal = sealed(state, values)
    finishing = data.draw(st.permutations(seal.trials))
    timed = {
        trial.proposal.slot: replace(trial, duration_s=float(rank), attempt=rank)
        for rank, trial in enumerate(finishing)
    }
    other = replace(seal, trials=tuple(timed[slot] for slot in range(len(values))))
    assert plan(evolve(state, other), 5) == plan(evolve(state, seal), 5)


def test_a_fold_proposes_and_draws_nothing():
    events = sweep_events(DECLARED, [[1.0, 2.0]])
    seal = events[1]
    moved = replace(
        seal,
        trials=tuple(
            replace(t, proposal=replace(t.proposal, params={"x": 0.125, "n": t.proposal.slot + 1}))
            for t in seal.trials
        ),
    )
    state = replay([events[0], moved])
    assert state.best.proposal.params["x"] == 0.125
    assert all(DECLARED.space.key(t.proposal.params) in state.seen for t in moved.trials)


START = replay([SweepDeclared(declaration=DECLARED)])
SEAL = sealed(START, [1.0, BROKEN])


def with_trial(slot, **changes):
    trials = list(SEAL.trials)
    trials[slot] = replace(trials[slot], **changes)
    return replace(SEAL, trials=tuple(trials))


def with_proposal(slot, **changes):
    return with_trial(slot, proposal=replace(SEAL.trials[slot].proposal, **changes))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "the history holds no declaration; expected it first"),
        ([SEAL], "the history holds no declaration"),
        ([SettingsAmended(settings=Settings(budget=Budget(trials=1)))], "holds no declaration"),
        ([SweepDeclared(declaration=DECLARED)] * 2, "sweep 'demo' is declared twice"),
        ([DECLARED], r"found Declaration\(name='demo'.*; expected an event of lepton_core.events"),
        (
            [SweepDeclared(declaration=DECLARED), SEAL, SEAL],
            r"seal of generation 0 with slots \[0, 1\]; expected generation 1",
        ),
    ],
    ids=["empty", "a seal first", "settings first", "declared twice", "no event", "sealed twice"],
)
def test_a_history_out_of_order_is_refused(events, message):
    with pytest.raises(RecordError, match=message):
        replay(events)


@pytest.mark.parametrize(
    ("seal", "message"),
    [
        (replace(SEAL, generation=1), "seal of generation 1 .* expected generation 0"),
        (replace(SEAL, trials=()), r"with slots \[\]"),
        (replace(SEAL, trials=SEAL.trials[1:]), r"with slots \[1\]"),
        (replace(SEAL, trials=SEAL.trials[::-1]), r"with slots \[1, 0\]"),
        (replace(SEAL, trials=SEAL.trials[:1] * 2), r"with slots \[0, 0\]"),
        (
            with_proposal(1, generation=3),
            "slot 1 .* holds trial 1 of generation 3; expected trial 1",
        ),
        (with_proposal(1, number=7), "slot 1 .* holds trial 7 of generation 0; expected trial 1"),
        (with_trial(0, failure=BROKEN), "trial 0 has the value 1.0 and the failure Failure"),
        (with_trial(0, value=None), "trial 0 has the value None and the failure None"),
        (with_trial(0, value=float("nan")), "trial 0 has the value nan"),
        (with_trial(0, value=float("inf")), "trial 0 has the value inf"),
    ],
    ids=lambda value: None if isinstance(value, GenerationSealed) else value,
)
def test_a_seal_that_cannot_follow_is_refused(seal, message):
    with pytest.raises(RecordError, match=message):
        evolve(START, seal)


def test_a_state_and_its_records_cannot_be_changed():
    for frozen in (START, SEAL, SEAL.trials[0], SEAL.trials[0].proposal):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, fields(frozen)[0].name, None)
