from dataclasses import replace
from itertools import cycle, repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_core.declaration import Budget, Declaration, Portfolio
from lepton_core.events import Failure, SweepDeclared, sealed_trials
from lepton_core.fold import replay
from lepton_core.plan import plan, slots_left, trials_at_end, untried
from lepton_core.rng import TRIAL_SEEDS, trial_seed
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import results as outcomes
from lepton_core.strategies import sealed, small_spaces, sweep_events, sweeps
from lepton_core.verification import first_divergence

DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1)}),
    generation=4,
    portfolio=Portfolio(proposers=("random",)),
)
HOUR = 3600.0
UNLIMITED = Budget()


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


def driven(declared, results, *, budget=UNLIMITED):
    """A sweep driven as `slots_left` says, till it ends: its events, and its generations' sizes."""
    events, sizes = [SweepDeclared(declaration=declared)], []
    while slots := slots_left(replay(events), budget):
        ends = [next(results) for _ in range(slots)]
        events.append(sealed(replay(events), ends))
        sizes.append(slots)
    return events, sizes


@settings(max_examples=40)
@given(st.data(), small_spaces(), st.integers(1, 9), st.integers(0, 2**32))
def test_a_small_space_is_tried_whole_and_nothing_twice(data, space, generation, seed):
    every = list(space.configurations.values())
    declared = Declaration(
        name="demo",
        space=space,
        seed=seed,
        generation=generation,
        portfolio=Portfolio(proposers=("ga", "pso", "rl")),
        start_from=tuple(data.draw(st.lists(st.sampled_from(every), max_size=3, unique_by=repr))),
    )
    ends = cycle(data.draw(st.lists(outcomes(), min_size=1, max_size=4)))
    events, sizes = driven(declared, ends)
    found = [space.key(t.proposal.params) for t in sealed_trials(events)]
    assert sorted(found) == sorted(space.configurations)
    assert untried(replay(events)) == 0
    assert all(slots == generation for slots in sizes[:-1])


@given(small_spaces(), st.integers(1, 400), st.integers(1, 9))
def test_a_sweep_never_stops_while_anything_is_untried(space, trials, generation):
    declared = replace(DECLARED, space=space, generation=generation)
    events, _ = driven(declared, repeat(1.0), budget=Budget(trials=trials))
    state = replay(events)
    assert state.trials_done == min(trials, len(space.configurations))
    assert trials_at_end(state, Budget(trials=trials)) == state.trials_done


def test_the_last_generation_is_as_large_as_what_is_left():
    few = replace(DECLARED, space=Space({"n": Int(1, 10)}))
    events, sizes = driven(few, repeat(1.0), budget=Budget(trials=64))
    assert sizes == [4, 4, 2]
    for n, left in ((0, 10), (1, 6), (2, 2), (3, 0)):
        state = replay(events[: n + 1])
        assert (untried(state), trials_at_end(state, Budget(trials=64))) == (left, 10)
        assert trials_at_end(state, Budget(hours=1)) is None
    assert slots_left(replay(events), Budget(trials=1000)) == 0  # a raised budget changes nothing


def test_a_space_that_cannot_be_listed_ends_when_all_of_it_was_tried_and_not_before():
    """Near its end some are tried twice, which counts as a trial and not as a configuration."""
    large = replace(DECLARED, generation=1000, space=Space({"n": Int(1, 65), "m": Int(1, 64)}))
    assert large.space.configurations is None
    events, sizes = driven(large, repeat(1.0))
    assert len({large.space.key(t.proposal.params) for t in sealed_trials(events)}) == 4160
    assert sizes[:4] == [1000] * 4
    state = replay(events[:5])
    assert untried(state) >= 160
    assert trials_at_end(state, Budget(trials=10_000)) == 4000 + untried(state)


def test_a_generation_planned_with_more_slots_than_are_left_is_planned_again_as_it_was():
    """As older releases planned them: what is on record is recomputed, repeats and all."""
    few = replace(DECLARED, space=Space({"n": Int(1, 6)}))
    events = sweep_events(few, [[1.0] * 4] * 3)
    assert first_divergence(events) is None
    state = replay(events)
    assert (state.trials_done, len(state.seen), untried(state)) == (12, 6, 0)
    assert len(plan(state, 4)) == 4
    assert slots_left(state, Budget(trials=64)) == 0
