"""Who goes on from whom, and what comes back from a store that others can write."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_core import population
from lepton_core.asking import ask, begin, tell
from lepton_core.canonical import canonical_json
from lepton_core.declaration import Budget, Declaration, Portfolio, Training
from lepton_core.errors import RecordError
from lepton_core.events import Failure, GenerationSealed, SweepDeclared, sealed_trials
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.population.proposals import KNOWN
from lepton_core.snapshot import decode, encode
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import declarations, sealed, spaces, sweep_events
from lepton_core.verification import first_divergence, proposal_text

SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True),
        "size": Choice([16, 32, 64]),
        "depth": Int(1, 2),
        "momentum": Float(0.5, 0.99),
    }
)
START = {"lr": 1e-3, "size": 32, "depth": 1, "momentum": 0.9}
BROKEN = Failure(kind="nan", reason="the loss is NaN")
LAW = settings(max_examples=25, deadline=None)


def declared(members=4, **changes):
    base = Declaration(
        name="demo",
        space=SPACE,
        generation=members,
        portfolio=Portfolio(proposers=("ga", "pso", "rl")),
        start_from=(START,),
        training=Training(steps=60, rounds=6),
    )
    return replace(base, **changes)


def trained(declaration, *rounds):
    """The state after rounds with these losses; None is a failure."""
    ends = [[BROKEN if loss is None else loss for loss in one] for one in rounds]
    return replay(sweep_events(declaration, ends))


def starts(state, slots=4):
    return [one.origin["from"] for one in plan(state, slots)]


def learned(state):
    return state.portfolio.members["population"]


@st.composite
def trainings(draw, most_members=9):
    """A declaration in any space, and the losses of some rounds."""
    one = draw(declarations(spaces()))
    names = draw(st.lists(st.sampled_from(list(KNOWN)), min_size=1, unique=True))
    members = draw(st.integers(1, most_members))
    one = replace(
        one,
        generation=members,
        portfolio=Portfolio(proposers=tuple(names)),
        training=Training(steps=60, rounds=draw(st.integers(1, 6))),
    )
    end = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.just(BROKEN))
    ends = st.lists(end, min_size=members, max_size=members)
    return one, draw(st.lists(ends, min_size=1, max_size=6))


@LAW
@given(trainings())
def test_every_member_gets_settings_of_the_space_and_a_usable_trial_to_go_on_from(training):
    declaration, rounds = training
    state, usable = replay([SweepDeclared(declaration=declaration)]), set()
    for ends in rounds:
        proposals = plan(state, declaration.generation)
        assert len(proposals) == declaration.generation
        for one in proposals:
            assert repr(declaration.space.validate(one.params)) == repr(dict(one.params))
            assert json.loads(canonical_json(dict(one.origin))) == one.origin
            assert one.origin["from"] in (usable or {None})
            assert one.origin["from"] is None or (
                one.origin["from"] in population.checkpoints(learned(state))
            )
        state = evolve(state, sealed(state, ends))
        usable |= {
            p.number for p, end in zip(proposals, ends, strict=True) if not isinstance(end, Failure)
        }
    assert sum(population.shares(learned(state), declaration).values()) == pytest.approx(1)


@LAW
@given(trainings())
def test_a_run_is_proposed_again_and_goes_on_from_a_snapshot_as_if_nothing_had_been(training):
    declaration, rounds = training
    events = sweep_events(declaration, rounds)
    assert first_divergence(events) is None
    whole = resumed = replay(events[:1])
    for event in events[1:]:
        whole, resumed = evolve(whole, event), evolve(resumed, event)
        resumed = decode(encode(resumed), declaration, resumed.seen)
        assert resumed == whole
        assert encode(resumed) == encode(whole)
    slots = declaration.generation
    assert [*map(proposal_text, plan(resumed, slots))] == [*map(proposal_text, plan(whole, slots))]


@pytest.mark.parametrize("part", range(1, 6))
def test_replay_in_two_parts_is_replay_in_one(part):
    events = sweep_events(declared(), [[4.0, 3.0, 2.0, 1.0]] * 5)
    assert replay(events[part:], start=replay(events[:part])) == replay(events)


def test_the_order_in_which_members_finish_decides_nothing():
    def told(order):
        at = begin(declared())
        for _ in range(4):
            at, trials = ask(at, 4, Budget(trials=24))
            for slot in order:
                loss = BROKEN if slot == 1 else 1 / (1 + trials[slot].number)
                at = tell(at, trials[slot].number, loss)
        return at.events

    assert told([0, 1, 2, 3]) == told([2, 3, 1, 0])


@pytest.mark.parametrize(
    "changes",
    [{"params": {**START, "lr": 0.05}}, {"proposer": "oracle"}, {"origin": {"from": 3}}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_decision_that_somebody_altered_is_found(changes):
    events = sweep_events(declared(), [[1.0, 2.0, 3.0, 4.0]] * 3)
    trials = list(events[2].trials)
    slot = next(i for i, t in enumerate(trials) if t.proposal.origin["from"] != 3)
    trials[slot] = replace(trials[slot], proposal=replace(trials[slot].proposal, **changes))
    found = first_divergence([*events[:2], replace(events[2], trials=tuple(trials))])
    assert (found.recorded.generation, found.recorded.slot) == (1, slot)


def test_the_first_round_begins_with_the_starting_points_and_fills_the_space():
    first = plan(trained(declared()), 4)
    assert [one.proposer for one in first] == ["start", "sobol", "sobol", "sobol"]
    assert first[0].params == START
    assert starts(trained(declared())) == [None] * 4


def test_late_the_worst_goes_on_from_one_of_the_better_half_and_others_from_where_they_are():
    half_way, froms = Training(steps=60, rounds=3), Counter()
    for seed in range(24):
        after = plan(trained(declared(seed=seed, training=half_way), [1.0, 4.0, 2.0, 3.0]), 4)
        assert {p.proposer for p in after} <= {"ga", "pso", "rl"}
        assert [after[slot].origin["from"] for slot in (0, 2, 3)] == [0, 2, 3]
        froms[after[1].origin["from"]] += 1
    assert froms.keys() == {0, 2}
    assert froms[0] > froms[2]  # the better of two draws


def test_a_quarter_of_the_members_goes_on_from_copies():
    losses = [float(i) for i in range(8)]
    found = starts(trained(declared(8, training=Training(steps=60, rounds=3)), losses), 8)
    assert found[:6] == [0, 1, 2, 3, 4, 5]
    assert set(found[6:]) <= {0, 1, 2, 3}


def test_what_is_maximised_is_ranked_the_other_way_round():
    one = declared(direction="maximize", training=Training(steps=60, rounds=3))
    found = starts(trained(one, [1.0, 4.0, 2.0, 3.0]))
    assert found[0] in (1, 3)
    assert found[1:] == [1, 2, 3]


def test_early_only_the_worst_quarter_and_the_failed_get_new_settings():
    def explore(*losses):
        return [one.proposer != "kept" for one in plan(trained(declared(8), [*losses]), 8)]

    assert explore(8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0) == [True] * 2 + [False] * 6
    assert explore(8.0, None, 6.0, 5.0, 4.0, None, 2.0, 1.0) == [
        slot in (1, 5) for slot in range(8)
    ]


def test_a_failed_member_is_replaced_by_a_copy_of_a_usable_one():
    state = trained(declared(), [None, 4.0, None, None])
    assert starts(state) == [1, 1, 1, 1]
    assert [one.proposer == "kept" for one in plan(state, 4)] == [False, True, False, False]


def test_a_member_whose_copy_fails_again_is_replaced_again():
    state = trained(declared(), [1.0, 2.0, 3.0, 4.0], [0.9, 1.9, 2.9, None])
    assert starts(state)[3] == 4


def test_where_all_fail_each_goes_on_from_its_last_usable_checkpoint_with_new_settings():
    state = trained(declared(), [1.0, 2.0, 3.0, 4.0], [None] * 4)
    before = starts(trained(declared(), [1.0, 2.0, 3.0, 4.0]))
    assert starts(state) == before
    assert all(one.proposer != "kept" for one in plan(state, 4))


def test_where_none_was_ever_usable_they_begin_again_with_other_settings():
    state = trained(declared(), [None] * 4, [None] * 4)
    assert starts(state) == [None] * 4
    assert plan(state, 4)[0].params != START
    assert starts(evolve(state, sealed(state, [2.0, BROKEN, BROKEN, BROKEN]))) == [8, 8, 8, 8]


def test_the_best_checkpoint_is_gone_back_to_when_all_got_worse():
    losses = [[1.0, 2.0, 3.0, 4.0]] + [[5.0, 6.0, 7.0, 8.0]] * 4
    assert any(0 in starts(trained(declared(seed=seed), *losses)) for seed in range(4))


def test_new_settings_lie_within_reach_of_those_of_the_checkpoint():
    state = trained(declared(9), *[[float(9 - i) for i in range(9)]] * 5)
    known = learned(state).checkpoints
    moved = [one for one in plan(state, 9) if one.proposer != "kept"]
    assert len(moved) > 4
    for one in moved:
        step = SPACE.encode(one.params) - SPACE.encode(known[one.origin["from"]].params)
        assert abs(step[0]) <= population.RULES.reach + 1e-9
        assert abs(step[3]) <= population.RULES.reach + 1e-9


def test_a_number_of_two_values_can_still_change():
    seen = set()
    for seed in range(12):
        state = trained(
            declared(8, seed=seed), *[[float((3 * i + seed) % 8) for i in range(8)]] * 5
        )
        known = learned(state).checkpoints
        seen |= {
            (known[one.origin["from"]].params["depth"], one.params["depth"])
            for one in plan(state, 8)
        }
    assert {(1, 2), (2, 1)} <= seen


def test_one_member_explores_in_every_round_from_the_best_checkpoint_that_it_had():
    for losses, best in ([[3.0]], 0), ([[3.0], [2.0], [2.5]], 1), ([[3.0], [2.0], [2.5], [1.0]], 3):
        (one,) = plan(trained(declared(1), *losses), 1)
        assert one.origin["from"] == best
        assert one.proposer != "kept"


def test_in_the_second_half_all_explore():
    def explore(rounds):
        state = trained(declared(8), *[[float(i) for i in range(8)]] * rounds)
        return sum(one.proposer != "kept" for one in plan(state, 8))

    assert [explore(rounds) for rounds in (1, 2, 3, 5, 9)] == [2, 2, 8, 8, 8]


def test_another_seed_decides_otherwise():
    def explored(seed):
        losses = [[4.0, 3.0, 2.0, 1.0]] * 4
        return [one.params for one in plan(trained(declared(seed=seed), *losses), 4)]

    assert explored(0) == explored(0) != explored(1)


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"from": None},
        {"from": 3},  # replaced two rounds ago
        {"from": 8},  # itself
        {"from": -1},
        {"from": True},
        {"from": 4.0},
        {"from": "4"},
        {"from": [4]},
        {"from": 10**30},
    ],
    ids=str,
)
def test_an_origin_that_no_member_could_have_is_refused(origin):
    events = sweep_events(declared(), [[1.0, 2.0, 3.0, 4.0]] * 3)
    last = events[-1]
    first = replace(last.trials[0], proposal=replace(last.trials[0].proposal, origin=origin))
    with pytest.raises(RecordError, match="goes on from"):
        replay([*events[:-1], replace(last, trials=(first, *last.trials[1:]))])


def test_a_first_round_that_goes_on_from_something_is_refused():
    events = sweep_events(declared(), [[1.0, 2.0, 3.0, 4.0]])
    first = events[1].trials[0]
    first = replace(first, proposal=replace(first.proposal, origin={"from": 0}))
    with pytest.raises(RecordError, match="expected null"):
        replay([events[0], replace(events[1], trials=(first, *events[1].trials[1:]))])


def test_a_proposer_that_knows_no_populations_is_refused():
    with pytest.raises(RecordError, match=r"'local'.*knows ga, pso, rl, random"):
        trained(declared(portfolio=Portfolio(proposers=("ga", "local"))))


def test_a_round_that_lacks_members_does_no_harm():
    """Another wrote it; what is planned next is whole again."""
    state = trained(declared(), [1.0, 2.0], [0.5, None])
    assert starts(state) == [2, 2, 2, 2]
    state = trained(declared(), [1.0, 2.0, 3.0], [None] * 3)
    assert starts(state)[3] == 0


def test_every_checkpoint_that_may_be_gone_on_from_is_named():
    events = sweep_events(declared(), [[4.0, 3.0, 2.0, 1.0]] + [[5.0, 6.0, 7.0, 8.0]] * 2)
    state = learned(replay(events))
    assert population.checkpoints(state) == {3, 8, 9, 10, 11}
    assert len([*sealed_trials(events)]) == 12
    assert isinstance(events[-1], GenerationSealed)
