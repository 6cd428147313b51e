from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import declared, swept, trials_of

from lepton_core import portfolio
from lepton_core.declaration import Portfolio
from lepton_core.domains import Choice, Float, Int
from lepton_core.errors import RecordError
from lepton_core.fold import replay
from lepton_core.judge.choose import JUDGES
from lepton_core.judge.state import LATELY
from lepton_core.pools import JUDGED_PROPOSERS
from lepton_core.proposers.base import Ask
from lepton_core.proposers.random import Random
from lepton_core.snapshot import decode, encode
from lepton_core.space import Space
from lepton_core.strategies import results, spaces, sweep_events
from lepton_core.verification import first_divergence

FEW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
MIXED = Space(
    {
        "x": Float(0, 1),
        "n": Int(1, 20),
        "kind": Choice(["a", "b", "c"]),
        "drop": Float(0, 1, when={"kind": ["b"]}),
    }
)
BALL = Space({f"x{i}": Float(-1, 1) for i in range(5)})
GENERATIONS = st.lists(st.lists(results(), min_size=1, max_size=9), min_size=3, max_size=5)


def loss(params):
    """A mixed function; it fails where it should not be."""
    if params["kind"] == "c" and params["x"] > 0.5:
        return None
    return (params["x"] - 0.3) ** 2 + abs(params["n"] - 7) / 20 + params.get("drop", 0.4)


def sphere(params):
    """0 at x = 0.2, 0.3, ..., 0.6."""
    return sum((params[f"x{i}"] - 0.2 - 0.1 * i) ** 2 for i in range(5))


def proposers_of(events):
    return [trial.proposal.proposer for trial in trials_of(events)]


@pytest.mark.parametrize("size", [1, 3, 8, 20])
def test_the_opener_proposes_eight_trials_or_one_generation(size):
    events, _ = swept(declared(MIXED, generation=size), loss, 24)
    names, opening = proposers_of(events), max(8, size)
    assert names[:opening] == ["sobol"] * opening
    assert set(names[opening:]) <= set(JUDGED_PROPOSERS)
    judges = [trial.proposal.origin.get("judge") for trial in trials_of(events)]
    assert judges[opening:] == [JUDGES[number % 2] for number in range(opening, 24)]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_the_opening_is_the_same_whatever_the_size_of_a_generation(size):
    events, _ = swept(declared(MIXED, generation=size, seed=4), loss, 8)
    as_eight, _ = swept(declared(MIXED, generation=8, seed=4), loss, 8)
    assert [t.proposal.params for t in trials_of(events)] == [
        t.proposal.params for t in trials_of(as_eight)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_first_trial_is_the_middle(seed):
    events, _ = swept(declared(BALL, seed=seed), sphere, 8)
    first, second = (trial.proposal.params for trial in trials_of(events)[:2])
    assert first == dict.fromkeys(BALL, 0.0)
    assert second != first


@pytest.mark.parametrize("size", [1, 4, 8])
@pytest.mark.parametrize("starts", [2, 6, 11])
def test_starting_points_come_first(size, starts):
    points = tuple(MIXED.decode([(k + 0.5) / 12] * 4) for k in range(starts))
    events, _ = swept(declared(MIXED, generation=size, start_from=points), loss, 16)
    trials, names = trials_of(events), proposers_of(events)
    assert tuple(trial.proposal.params for trial in trials[:starts]) == points
    assert names[:starts] == ["start"] * starts
    opening = max(starts, 8)
    assert set(names[starts:opening]) <= {"sobol"}
    assert set(names[opening:]) <= set(JUDGED_PROPOSERS)


def test_the_parents_of_a_candidate_are_usable_trials_before_it():
    events, _ = swept(declared(MIXED, generation=3, seed=2), loss, 45)
    trials = trials_of(events)
    assert any(trial.failure for trial in trials)
    for event in events[1:]:
        first = event.trials[0].proposal.number
        for trial in event.trials:
            for parent in trial.proposal.origin.get("parents", ()):
                assert parent < first
                assert trials[parent].failure is None


def test_shares_are_of_what_was_chosen_lately():
    declaration = declared(MIXED)
    even = portfolio.shares(portfolio.init(declaration), declaration)
    assert even == dict.fromkeys(JUDGED_PROPOSERS, 1 / 5)
    events, state = swept(declaration, loss, 12)
    few = proposers_of(events)[8:]
    assert portfolio.shares(state.portfolio, declaration) == {
        name: few.count(name) / 4 for name in JUDGED_PROPOSERS
    }
    events, state = swept(declaration, loss, 96)
    lately = proposers_of(events)[8:][-LATELY:]
    shares = portfolio.shares(state.portfolio, declaration)
    assert shares == {name: lately.count(name) / LATELY for name in JUDGED_PROPOSERS}
    assert sum(shares.values()) == pytest.approx(1)


def test_what_fills_up_a_large_generation_is_no_choice_of_the_judge_s():
    events, state = swept(declared(MIXED, generation=70), loss, 140)
    trials = [trial.proposal for trial in events[-1].trials]
    judged = [one.proposer for one in trials if one.origin.get("judge") in ("global", "local")]
    assert state.portfolio.judge.chosen == tuple(judged)
    assert len(judged) == 64


@FEW
@given(space=spaces(), ends=GENERATIONS)
def test_a_snapshot_brings_the_state_back(space, ends):
    state = replay(sweep_events(declared(space), ends))
    back = decode(encode(state), state.declaration, state.seen)
    assert back == state
    assert repr(back.portfolio) == repr(state.portfolio)


@FEW
@given(space=spaces(), ends=GENERATIONS, seed=st.integers(0, 99))
def test_a_judged_sweep_recomputes(space, ends, seed):
    assert first_divergence(sweep_events(declared(space, seed=seed), ends)) is None


@pytest.mark.parametrize("size", [1, 5, 8])
def test_a_judged_sweep_with_failures_recomputes_and_a_changed_loss_is_felt(size):
    events, _ = swept(declared(MIXED, generation=size, seed=1), loss, 30)
    assert any(trial.failure for trial in trials_of(events))
    assert first_divergence(events) is None
    changed = list(events)
    place = next(i for i, e in enumerate(events) if i and e.trials[-1].proposal.number >= 9)
    trials = changed[place].trials
    changed[place] = replace(
        changed[place], trials=(replace(trials[0], value=-9.0, failure=None), *trials[1:])
    )
    assert first_divergence(changed) is not None


def test_maximising_is_minimising_the_negative():
    down, _ = swept(declared(MIXED), loss, 24)
    negative = lambda params: None if loss(params) is None else -loss(params)  # noqa: E731
    up, _ = swept(declared(MIXED, direction="maximize"), negative, 24)
    assert [t.proposal.params for t in trials_of(up)] == [
        t.proposal.params for t in trials_of(down)
    ]


def test_a_small_space_is_used_up_without_repeats_and_then_the_sweep_ends():
    space = Space(
        {"n": Int(1, 5), "c": Choice(["a", "b", "c"]), "d": Choice([1, 2], when={"c": ["a"]})}
    )
    events, _ = swept(declared(space, generation=4), lambda p: p["n"] + len(p), 100)
    keys = [space.key(trial.proposal.params) for trial in trials_of(events)]
    assert len(keys) == space.size == 20
    assert set(keys) == set(space.configurations)


def test_an_unknown_member_is_refused():
    unknown = declared(MIXED, portfolio=Portfolio(proposers=("ga", "oracle"), judge=True))
    with pytest.raises(RecordError, match=r"oracle.*Upgrade Lepton"):
        portfolio.init(unknown)


def nearest(seed, trials=64):
    events, _ = swept(declared(BALL, seed=seed), sphere, trials)
    return min(trial.value for trial in trials_of(events))


def random_s_nearest(seed, trials=64):
    asked = Ask(space=BALL, seed=seed, generation=0, slots=tuple(range(trials)))
    return min(sphere(one.params) for one in Random().suggest(Random().init(BALL), asked))


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_bottom_of_a_bowl_where_random_search_is_far_away(seed):
    assert nearest(seed) < 0.05 * random_s_nearest(seed)


@pytest.mark.parametrize(("size", "most"), [(1, 0.4), (8, 0.25)])
def test_it_learns_where_trials_fail(size, most):
    """Half of the space fails, in which the best does not lie."""

    def half(params):
        return None if params["x4"] < 0 else sphere(params)

    failed = []
    for seed in range(3):
        events, _ = swept(declared(BALL, seed=seed, generation=size), half, 56)
        failed += [trial.failure is not None for trial in trials_of(events)[24:]]
    assert sum(failed) < most * len(failed)
