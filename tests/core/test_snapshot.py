"""The fold's state as a text: exact on the way back, and nothing that a stranger wrote gets in."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import Failure, SweepDeclared
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.base import Seen
from lepton_core.snapshot import MAX_TEXT, decode, encode
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import declarations, results, sealed, spaces, sweep_events

DECLARED = Declaration(
    name="demo",
    space=Space({"z": Float(0, 1), "a": Int(1, 9), "c": Choice([True, None, "c"])}),
    generation=6,
    portfolio=Portfolio(proposers=tuple(PROPOSERS)),
)
BROKEN = Failure(kind="exception", reason="ValueError: no")


def in_order(value):
    """The same with mappings in the order of their keys."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return type(value)(map(in_order, value)) if isinstance(value, tuple | list) else value


def exactly(state):
    """All of a state in one text: types, the last bits of floats, the order of the best params."""
    params = list(state.best.proposal.params) if state.best else []
    return repr((in_order(asdict(replace(state, seen=Seen()))), params, sorted(state.seen._keys())))


def through(state):
    """The state after a way through a snapshot."""
    return decode(encode(state), state.declaration, state.seen)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data(), declared=declarations(spaces()))
def test_resumed_from_a_snapshot_at_any_generation_nothing_is_otherwise(data, declared):
    """The same states, proposals and snapshots as by full replay, whoever proposes."""
    members = data.draw(st.lists(st.sampled_from(list(PROPOSERS)), min_size=1, unique=True))
    declared = replace(declared, portfolio=Portfolio(proposers=tuple(members)))
    ends = st.lists(st.lists(results(), min_size=1, max_size=12), min_size=1, max_size=8)
    whole = resumed = replay([SweepDeclared(declaration=declared)])
    for generation in data.draw(ends):
        event = sealed(whole, generation)
        whole, resumed = evolve(whole, event), through(evolve(resumed, event))
        assert exactly(resumed) == exactly(whole)
        assert encode(resumed) == encode(whole)
    assert repr(plan(resumed, 9)) == repr(plan(whole, 9))


def long_state(generations=250):
    """A state in which populations were left behind, and something failed."""
    state = replay([SweepDeclared(declaration=DECLARED)])
    for generation in range(generations):
        flat = 1.0 / (1 + min(generation, 9))
        event = sealed(state, [flat, 2.0, 3.0, BROKEN, 2.5, 1.5])
        state = evolve(state, event)
    return state


def test_a_long_history_comes_back_as_it_was():
    state = long_state()
    assert all(state.portfolio.members[name].starts for name in ("ga", "rl"))
    assert exactly(through(state)) == exactly(state)
    assert encode(through(state)) == encode(state)


def test_whole_numbers_that_a_caller_gave_as_values_stay_whole():
    (declared, seal) = sweep_events(DECLARED, [[1.0, 2.0]])
    trials = tuple(replace(trial, value=trial.proposal.slot - 3) for trial in seal.trials)
    state = replay([declared, replace(seal, trials=trials)])
    assert repr(through(state).best.value) == "-3"


GONE = "<taken out>"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("best", GONE),
        ("portfolio.members", GONE),
        ("schema", 2),
        ("more", 1),
        ("generations_done", 2.0),
        ("generations_done", True),
        ("driven_s", "1.0"),
        ("driven_s", 10**400),
        ("best", []),
        ("best", {"attempt": 0}),
        ("best.proposal.params.z", 7.0),
        ("best.proposal.params.unknown", 1),
        ("proposed", {"random": "many"}),
        ("last_failure", {"kind": "bored", "reason": ""}),
        ("portfolio.members", []),
        ("portfolio.members.stranger", {}),
        ("portfolio.members.random", {"__class__": "os.system"}),
        ("portfolio.members.sobol.next_index", None),
        ("portfolio.members.pso.swarm.0.position", "abc"),
        ("portfolio.members.rl.gaussian.mean", [{}]),
        ("portfolio.credit.elite", [None]),
        ("portfolio.credit.earned", [[["ga"]]]),
        ("portfolio.credit.owed.ga", "nan"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else repr(value)[:20],
)
def test_what_does_not_fit_the_types_of_a_state_is_refused(path, value):
    content = json.loads(encode(long_state(3)))
    *above, last = path.split(".")
    at = content
    for key in above:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    if value == GONE:
        del at[last]
    with pytest.raises(RecordError):
        decode(json.dumps(content), DECLARED, Seen())


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{", "[" * 100_000, '{"a":' * 100_000, "\x00", "1" * 5000),
        encode(long_state(2)).replace('"driven_s":2.0', '"driven_s":NaN'),
        encode(long_state(2)).replace('"driven_s":2.0', '"driven_s":Infinity'),
        encode(long_state(2)) + " " * MAX_TEXT,
    ],
    ids=lambda text: f"{text[:9]!r}, {len(text)} characters",
)
def test_what_is_no_state_at_all_is_refused(text):
    with pytest.raises(RecordError):
        decode(text, DECLARED, Seen())


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data(), junk=JUNK)
def test_junk_in_any_place_is_refused_in_words_or_is_a_state(data, junk):
    content = json.loads(encode(long_state(2)))
    at = content
    while isinstance(at, dict | list) and at:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()) or not isinstance(at[key], dict | list) or not at[key]:
            at[key] = junk
            break
        at = at[key]
    try:
        state = decode(json.dumps(content), DECLARED, Seen())
    except RecordError:
        return
    encode(state)


@given(st.lists(st.sets(st.integers(0, 500).map(str), max_size=9), max_size=60))
def test_what_was_tried_is_found_again_in_few_layers(groups):
    seen, every = Seen(), set()
    for group in groups:
        before = seen
        seen, every = seen.and_also(group), every | group
        assert before == before.and_also([])
    assert all(key in seen for key in every)
    assert not any(str(key) in seen for key in range(501) if str(key) not in every)
    assert seen == Seen((frozenset(every),))
    assert hash(seen) == hash(Seen((frozenset(every),)))
    assert all(len(a) >= 2 * len(b) for a, b in zip(seen.layers, seen.layers[1:], strict=False))
