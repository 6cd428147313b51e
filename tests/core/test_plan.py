from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.declaration import Budget, Declaration, Portfolio
from lepton_core.events import Failure, sealed_trials
from lepton_core.fold import replay
from lepton_core.plan import plan, slots_left
from lepton_core.rng import TRIAL_SEEDS, trial_seed
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import sealed, sweep_events, sweeps

DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1)}),
    generation=4,
    portfolio=Portfolio(proposers=("random",)),
)
HOUR = 3600.0


@given(sweeps(), st.integers(1, 12))
def test_a_plan_is_the_same_whenever_it_is_asked(events, slots):
    state = replay(events)
    assert repr(plan(state, slots)) == repr(plan(replay(events), slots))


@given(sweeps(), st.integers(1, 12))
def test_a_plan_fills_each_slot_with_a_point_of_the_space(events, slots):
    state = replay(events)
    declared, done = state.declaration, state.trials_done
    for slot, proposal in enumerate(plan(state, slots)):
        assert (proposal.generation, proposal.slot, proposal.slots, proposal.number) == (
            state.generations_done,
            slot,
            slots,
            done + slot,
        )
        assert repr(dict(proposal.params)) == repr(declared.space.validate(proposal.params))
        assert proposal.seed == trial_seed(declared.seed, proposal.generation, slot)
        assert 0 <= proposal.seed < TRIAL_SEEDS


@pytest.mark.parametrize(
    ("budget", "results", "expected"),
    [
        (Budget(trials=10), [], 4),
        (Budget(trials=3), [], 3),
        (Budget(trials=6), [[1.0] * 4], 2),
        (Budget(trials=4), [[1.0] * 4], 0),
        (Budget(trials=2), [[1.0] * 4], 0),
        (Budget(trials=20), [[1.0] * 4, [1.0] * 2], 4),
        (Budget(hours=2), [[1.0] * 4], 4),
        (Budget(hours=2, trials=5), [[1.0] * 4], 1),
    ],
    ids=str,
)
def test_a_generation_is_a_full_one_or_what_the_budget_leaves(budget, results, expected):
    assert slots_left(replay(sweep_events(DECLARED, results)), budget) == expected


@pytest.mark.parametrize(("driven_s", "expected"), [(HOUR - 1, 4), (HOUR, 0), (HOUR + 1, 0)])
def test_the_hours_of_a_budget_are_driven_time(driven_s, expected):
    state = replace(replay(sweep_events(DECLARED, [])), driven_s=driven_s)
    assert slots_left(state, Budget(hours=1)) == expected
    assert slots_left(state, Budget(hours=1, trials=100)) == expected


def test_another_seed_gives_other_proposals_and_trial_seeds():
    a, b = (
        plan(replay(sweep_events(replace(DECLARED, seed=seed), [[1.0] * 4])), 4) for seed in (0, 1)
    )
    assert all(one.params != other.params for one, other in zip(a, b, strict=True))
    assert all(one.seed != other.seed for one, other in zip(a, b, strict=True))


def test_the_proposals_of_a_sweep_are_those_of_the_first_release():
    """Frozen: whoever changes these numbers breaks `verify` for every sweep on record.

    There is no logarithm in it, so that it is the same on every platform.
    """
    declared = Declaration(
        name="golden",
        space=Space(
            {
                "x": Float(-1.0, 1.0),
                "grid": Float(0.0, 1.0, step=0.1),
                "n": Int(1, 64),
                "c": Choice(["a", 1, None]),
                "y": Float(0.0, 1.0, when={"c": ["a", 1]}),
                "k": "fixed",
            }
        ),
        generation=3,
        portfolio=Portfolio(proposers=("random", "sobol")),
        start_from=({"x": 0.5, "grid": 0.3, "n": 7, "c": None, "k": "fixed"},),
    )
    failed = Failure(kind="nan", reason="nan")
    events = sweep_events(declared, [[1.0, failed, 0.5], [0.5, 0.25, failed]])
    state = replay(events)
    found = [t.proposal for t in sealed_trials(events)] + list(plan(state, 3))
    lines = [f"{p.proposer} {dict(p.origin)} {dict(p.params)} {p.seed}" for p in found]
    assert lines == Path(__file__).with_name("golden_proposals.txt").read_text().splitlines()


def test_a_plan_of_a_sealed_generation_starts_the_next_one():
    state = replay(sweep_events(DECLARED, [[1.0] * 4]))
    assert [p.generation for p in plan(state, 2)] == [1, 1]
    assert sealed(state, [1.0]).generation == 1
