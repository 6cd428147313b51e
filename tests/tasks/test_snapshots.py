"""Snapshots in the ledger: exact, dispensable, and never trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sealing import MIXED, claim

from lepton_core.canonical import canonical_json, digest
from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import Failure, GenerationSealed, SweepDeclared, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers import PROPOSERS
from lepton_core.snapshot import encode
from lepton_tasks import snapshots
from lepton_tasks.seals import Seals, seal_key, seal_texts
from lepton_tasks.snapshots import Keeper, differing, fold, snapshot_key, snapshot_texts

START = digest("the declaration")
DECLARED = Declaration(
    name="demo",
    space=MIXED,
    portfolio=Portfolio(proposers=tuple(PROPOSERS)),
    generation=5,
)
GENERATIONS = 12


def registers(key, parts, header):
    return {**{f"{key}/{n:04d}": part for n, part in enumerate(parts)}, key: header}


@pytest.fixture(scope="module")
def history():
    """The params of a ledger run, and the state and the chain's head after each generation."""
    params, head = claim(1, 0), START
    state = replay([SweepDeclared(declaration=DECLARED)])
    states = [(state, head)]
    for generation in range(GENERATIONS):
        trials = tuple(
            TrialRecord(proposal=p, value=p.params["z"] / 3 + p.params["a"])
            if p.number % 4
            else TrialRecord(proposal=p, failure=Failure(kind="nan", reason="nan"))
            for p in plan(state, 5)
        )
        event = GenerationSealed(generation=generation, trials=trials, driven_s=generation + 0.1)
        runs = {slot: f"run{slot}" for slot in range(5)}
        parts, header, head = seal_texts(event, DECLARED, runs, epoch=1, previous=head)
        params |= registers(seal_key(generation, 1), parts, header)
        state = evolve(state, event)
        states.append((state, head))
    return params, states


def with_snapshot(history, at, *, text=None, **header):
    """The params with a snapshot, of which this or that is otherwise; its digest fits."""
    params, states = history
    parts, written = snapshot_texts(*states[at])
    if text is not None:
        parts = [text]
    changed = {**json.loads(written), "digest": digest("".join(parts)), "count": len(parts)}
    key = snapshot_key(at, 1)
    return {**params, **registers(key, parts, canonical_json({**changed, **header}))}


def read(params):
    return Seals(params, DECLARED, START)


def assert_same(state, expected):
    assert state == expected
    assert encode(state) == encode(expected)
    assert repr(plan(state, 7)) == repr(plan(expected, 7))


@pytest.mark.parametrize("at", range(1, GENERATIONS + 1))
def test_from_a_snapshot_at_any_generation_the_state_is_that_of_full_replay(history, at):
    params, states = history
    seals = read(params)
    full = replay([SweepDeclared(declaration=DECLARED), *(seal.event for seal in seals)])
    assert_same(full, states[-1][0])
    assert_same(fold(params, DECLARED, seals), full)
    assert_same(fold(with_snapshot(history, at), DECLARED, seals), full)


def other(state):
    """A state that fits all types, and is not this one, nor comes to be it."""
    return replace(state, failed=1000)


def test_the_newest_snapshot_is_what_is_gone_on_from(history):
    """It shows, since this one lies: only the seals after it were folded."""
    params, states = history
    lie = encode(other(states[8][0]))
    state = fold(with_snapshot(history, 8, text=lie), DECLARED, read(params))
    assert state.failed > 1000
    both = with_snapshot(history, 8, text=lie) | with_snapshot(history, 10)
    assert_same(fold(both, DECLARED, read(params)), states[-1][0])


def test_a_snapshot_of_another_history_is_passed_over(history):
    params, states = history
    lie = encode(other(states[8][0]))
    for head in (START, states[7][1], "", None, 5, [], {}):
        found = fold(with_snapshot(history, 8, text=lie, head=head), DECLARED, read(params))
        assert_same(found, states[-1][0])


@pytest.mark.parametrize(
    "header",
    [
        {"environment": digest("another Lepton, another numpy")},
        {"environment": None},
        {"digest": digest("another text")},
        {"digest": 5},
        {"count": 0},
        {"count": 10**9},
        {"count": -1},
        {"count": "1"},
        {"count": None},
        {"count": 1e999},
    ],
    ids=str,
)
def test_a_snapshot_whose_header_does_not_fit_is_passed_over(history, header):
    params, states = history
    lie = encode(other(states[12][0]))
    texts = with_snapshot(history, 12, text=lie)
    changed = {**json.loads(texts[snapshot_key(12, 1)]), **header}
    texts[snapshot_key(12, 1)] = json.dumps(changed)
    found = fold(texts, DECLARED, read(params))
    assert_same(found, states[-1][0])


@pytest.mark.parametrize("header", ["", "null", "[]", "5", "{}", "[" * 100_000, "\x1b[31m"])
def test_a_header_that_is_none_is_passed_over(history, header):
    params, states = history
    texts = {**with_snapshot(history, 12), snapshot_key(12, 1): header}
    assert_same(fold(texts, DECLARED, read(params)), states[-1][0])


@pytest.mark.parametrize(
    "key",
    ["snapshot/", "snapshot/../../0000000000", "snapshot/-0000003/000001", "snapshot/99999999/1"],
)
def test_a_key_that_is_none_is_passed_over(history, key):
    params, states = history
    header = with_snapshot(history, 12)[snapshot_key(12, 1)]
    assert_same(fold({**params, key: header}, DECLARED, read(params)), states[-1][0])


def hostile(state):
    """Texts whose digests fit: they have the types of a state, and come to nothing."""
    content = json.loads(encode(state))
    learned = content["portfolio"]["members"]
    yield "{}"
    yield "[" * 5000
    for name, change in {
        "rl": {"gaussian": {**learned["rl"]["gaussian"], "mean": [0.5] * 9}},
        "ga": {"population": learned["ga"]["population"][:1], "step": 1e308},
        "pso": {"swarm": [{**learned["pso"]["swarm"][0], "position": []}], "turn": 10},
    }.items():
        members = {**learned, name: {**learned[name], **change}}
        yield canonical_json({**content, "portfolio": {**content["portfolio"], "members": members}})
    yield canonical_json({**content, "trials_done": 3})
    yield canonical_json({**content, "generations_done": 3})
    yield canonical_json({**content, "generations_done": -1})


def test_a_snapshot_that_a_stranger_wrote_stops_nobody(history):
    """Whatever is in it: the sweep goes on, by the seals where it must."""
    params, states = history
    for at in (5, 12):
        for text in hostile(states[at][0]):
            found = fold(with_snapshot(history, at, text=text), DECLARED, read(params))
            assert found.trials_done == states[-1][0].trials_done
            assert len(plan(found, 5)) == 5


def test_a_torn_snapshot_is_passed_over(history):
    params, states = history
    whole = with_snapshot(history, 12)
    for key in [key for key in whole if key.startswith("snapshot/")]:
        torn = {name: text for name, text in whole.items() if name != key}
        assert_same(fold(torn, DECLARED, read(params)), states[-1][0])


def test_a_snapshot_whose_seals_were_altered_does_not_hide_that(history):
    params = with_snapshot(history, 12)
    key = f"{seal_key(3, 1)}/0000"
    params[key] = params[key].replace('"random"', '"sobol"')
    with pytest.raises(RecordError, match="seal/00000003/000001"):
        read(params)


def test_a_snapshot_that_differs_from_the_replay_is_named_and_no_other(history):
    params, states = history
    lies = with_snapshot(history, 8, text=encode(other(states[8][0])))
    elsewhere = with_snapshot(
        history, 9, text=encode(other(states[9][0])), environment=digest("elsewhere")
    )
    torn = with_snapshot(history, 10)
    torn[f"{snapshot_key(10, 1)}/0000"] = "?"
    every = params | with_snapshot(history, 5) | lies | elsewhere | torn
    compare = differing(every, read(params))
    found = [(s.key, s.holds) for state, _ in states for s in compare(state)]
    assert found == [(snapshot_key(8, 1), True), (snapshot_key(10, 1), False)]


def test_snapshots_are_kept_seldom_enough_to_be_a_small_part(history, monkeypatch):
    params, states = history
    monkeypatch.setattr(snapshots, "EVERY", 2)
    keeper, seals = Keeper({}, read(claim(1, 0))), read(params)
    kept, sizes, sealed = [], [], 0
    for generation in range(GENERATIONS):
        state, head = states[generation + 1]
        texts = keeper.sealed(state, head, len(seals.text(generation)))
        sealed += len(seals.text(generation))
        if texts:
            if sizes:
                assert sealed >= snapshots.SHARE * sizes[-1]
            kept.append(generation + 1)
            sizes.append(sum(map(len, texts[0])))
            sealed = 0
    assert kept[0] == 2
    assert len(kept) < GENERATIONS / 2


def test_a_driver_goes_on_counting_from_the_snapshot_that_it_found(history, monkeypatch):
    params, states = history
    monkeypatch.setattr(snapshots, "EVERY", 5)
    monkeypatch.setattr(snapshots, "SHARE", 0)
    for at, due in ((12, False), (8, True), (7, True), (None, True)):
        found = with_snapshot(history, at) if at else params
        keeper = Keeper(found, read(params))
        state = replace(states[-1][0], generations_done=13)
        assert bool(keeper.sealed(state, "head", 10)) == due
