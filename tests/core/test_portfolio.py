from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core import portfolio
from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import Failure, sealed_trials
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers import PROPOSERS, UNJUDGED_PROPOSERS
from lepton_core.proposers.base import Ask, Seen
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import large_spaces, sealed, sweep_events, sweeps

DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1), "y": Float(0, 1)}),
    generation=4,
    portfolio=Portfolio(proposers=("random", "sobol")),
)
STARTS = tuple({"x": k / 8, "y": 0.5} for k in range(6))
STARTED = replace(DECLARED, start_from=STARTS)


FAILED = Failure(kind="exception", reason="as the test asked")


def proposers_of(declared, sizes):
    """Who proposes in each slot of generations of these sizes, while nobody earns anything."""
    return [
        [t.proposal.proposer for t in event.trials]
        for event in sweep_events(declared, [[FAILED] * n for n in sizes])[1:]
    ]


def test_a_sweep_opens_with_sobol_and_then_members_that_earned_nothing_take_turns():
    assert proposers_of(DECLARED, [4, 4, 3, 3]) == [
        ["sobol"] * 4,
        ["random", "sobol", "random", "sobol"],
        ["random", "sobol", "random"],
        ["sobol", "random", "sobol"],
    ]
    assert proposers_of(replace(DECLARED, generation=1), [1, 1, 1, 1]) == [
        ["sobol"],
        ["random"],
        ["sobol"],
        ["random"],
    ]


def test_the_start_points_come_first_in_their_order_and_only_once():
    assert proposers_of(STARTED, [4, 4, 4]) == [
        ["start"] * 4,
        ["start"] * 2 + ["sobol"] * 2,
        ["random", "sobol", "random", "sobol"],
    ]
    trials = sealed_trials(sweep_events(STARTED, [[1.0] * 4, [1.0] * 4]))
    started = [t.proposal for t in trials if t.proposal.proposer == "start"]
    assert [p.params for p in started] == list(STARTS)
    assert [p.origin for p in started] == [{"index": i} for i in range(6)]


def test_an_opener_who_is_no_member_does_not_come_back():
    alone = replace(DECLARED, portfolio=Portfolio(proposers=("random",)))
    assert proposers_of(alone, [2, 2]) == [["sobol"] * 2, ["random"] * 2]
    assert list(replay(sweep_events(alone, [])).portfolio.members) == ["sobol", "random"]


@given(sweeps(large_spaces()), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_each_member_gets_its_share_of_the_slots_whatever_the_sizes(events, sizes):
    state = replay(events)
    members = state.declaration.portfolio.proposers
    due, had, opened = Counter(), Counter(), 1 + len(state.declaration.start_from)
    for size in sizes:
        shared = state.generations_done > 0 and state.trials_done >= opened
        shares = portfolio.shares(state.portfolio, state.declaration)
        event = sealed(state, [float(k % 3) for k in range(size)])
        if shared:
            due.update({name: share * size for name, share in shares.items()})
            had.update(t.proposal.proposer for t in event.trials)
        state = evolve(state, event)
    # In both directions one slot at most, beside what a member was owed before.
    assert all(abs(due[name] - had[name]) < 2 for name in members)


@given(sweeps(large_spaces()), st.integers(1, 12))
def test_nothing_is_proposed_twice_while_the_space_has_more(events, slots):
    state = replay(events)
    declared = state.declaration
    keys = [declared.space.key(t.proposal.params) for t in sealed_trials(events)]
    keys += [
        declared.space.key(p.params) for p in plan(state, slots) if p.proposer != portfolio.START
    ]
    assert len(set(keys)) == len(keys)


def test_members_of_one_generation_do_not_propose_the_same():
    space = Space({"n": Int(1, 12)})
    declared = replace(DECLARED, space=space, start_from=({"n": 5},))
    events = sweep_events(declared, [[1.0] * 4, [1.0] * 4])
    found = [t.proposal.params["n"] for t in sealed_trials(events)]
    found += [p.params["n"] for p in plan(replay(events), 4)]
    assert sorted(found) == list(range(1, 13))


@pytest.mark.parametrize("name", PROPOSERS)
def test_the_last_of_four_thousand_configurations_are_found(name):
    space = Space({**{f"c{i}": Choice(list("abcd")) for i in range(5)}, "n": Int(1, 4)})
    keys = sorted(space.configurations)
    left = set(keys[:: len(keys) // 3])
    asked = Ask(
        space=space,
        seed=1,
        generation=3,
        slots=tuple(range(len(left))),
        seen=Seen((frozenset(keys) - left,)),
    )
    proposer = PROPOSERS[name]()
    found = proposer.suggest(proposer.init(space), asked)
    assert {space.key(candidate.params) for candidate in found} == left


def test_a_sure_policy_alone_uses_up_a_small_space():
    """Eight by eight, its bottom soon found: the rest comes all the same, and no failure twice."""
    space = Space({"n": Int(1, 8), "m": Int(1, 8)})
    for name in UNJUDGED_PROPOSERS:
        declared = replace(DECLARED, space=space, portfolio=Portfolio(proposers=(name,)))
        state, keys = replay(sweep_events(declared, [])), set()
        for _ in range(16):
            tried = [p.params for p in plan(state, 4)]
            keys |= {space.key(params) for params in tried}
            ends = [FAILED if (p["n"] + p["m"]) % 3 == 0 else float(p["n"] + p["m"]) for p in tried]
            state = evolve(state, sealed(state, ends))
        assert len(keys) == 64


def test_an_exhausted_space_still_gets_its_slots_filled():
    declared = replace(DECLARED, space=Space({"c": Choice(["a", "b"])}))
    state = replay(sweep_events(declared, [[1.0] * 4]))
    assert len(plan(state, 8)) == 8


def test_the_sobol_sequence_goes_on_over_the_generations():
    declared = replace(DECLARED, portfolio=Portfolio(proposers=("sobol",)))
    trials = sealed_trials(sweep_events(declared, [[1.0] * 3, [1.0] * 2, [1.0]]))
    assert [t.proposal.origin["index"] for t in trials] == [0, 1, 2, 3, 4, 5]


def test_the_sizes_of_generations_do_not_change_the_sobol_sequence():
    declared = replace(DECLARED, portfolio=Portfolio(proposers=("sobol",)))
    a, b = (
        [t.proposal.params for t in sealed_trials(sweep_events(declared, sizes))]
        for sizes in ([[1.0] * 6], [[1.0] * 1, [1.0] * 5])
    )
    assert a == b


def test_a_proposer_of_a_newer_version_is_refused_in_words():
    newer = replace(DECLARED, portfolio=Portfolio(proposers=("random", "oracle")))
    with pytest.raises(RecordError, match=r"the proposer 'oracle'; this Lepton knows .*Upgrade"):
        replay(sweep_events(newer, []))


def test_a_setting_of_a_newer_version_is_refused_in_words():
    newer = replace(
        DECLARED, portfolio=Portfolio(proposers=("ga",), settings={"ga": {"magic": 1.0}})
    )
    with pytest.raises(RecordError, match=r"sets magic of ga to 1.0, which this Lepton .*Upgrade"):
        replay(sweep_events(newer, []))


def test_every_proposer_is_known_by_its_own_name():
    assert all(kind().name == name for name, kind in PROPOSERS.items())
    assert set(UNJUDGED_PROPOSERS) <= set(PROPOSERS)
