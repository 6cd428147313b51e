"""Seals: written in parts, chained, and valid only for the entitled epoch."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sealing import MIXED, claim

from lepton_core.canonical import digest
from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import Failure, GenerationSealed, SweepDeclared, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.space import Float, Space
from lepton_tasks.seals import Seals, seal_key, seal_texts

START = digest("the declaration")
DECLARATION = Declaration(
    name="demo",
    space=MIXED,
    portfolio=Portfolio(proposers=("random",)),
    generation=4,
)


def events(generations, reason="why"):
    """Generations with results of every kind, as a driver would come to them."""
    state = replay([SweepDeclared(declaration=DECLARATION)])
    for generation in range(generations):
        trials = tuple(
            TrialRecord(proposal=p, attempt=1, value=p.params["z"] / 3, duration_s=0.25)
            if p.slot
            else TrialRecord(proposal=p, failure=Failure(kind="nan", reason=reason))
            for p in plan(state, 4)
        )
        event = GenerationSealed(generation=generation, trials=trials, driven_s=generation + 0.1)
        state = evolve(state, event)
        yield event


def sealed(event, epoch, previous):
    """A seal as the ledger run's params, and its hash."""
    runs = {slot: f"run{event.generation}.{slot}.{epoch}" for slot in range(4)}
    parts, header, chained = seal_texts(event, DECLARATION, runs, epoch=epoch, previous=previous)
    key = seal_key(event.generation, epoch)
    return {key: header, **{f"{key}/{n:04d}": part for n, part in enumerate(parts)}}, chained


def history(generations, epoch=1):
    params, previous = claim(epoch, 0), START
    for event in events(generations):
        written, previous = sealed(event, epoch, previous)
        params |= written
    return params


def read(params):
    return list(Seals(params, DECLARATION, START))


def test_what_was_sealed_comes_back_exactly():
    found = read(history(3))
    assert [seal.event for seal in found] == list(events(3))
    assert found[1].runs == ("run1.0.1", "run1.1.1", "run1.2.1", "run1.3.1")
    assert list(found[0].event.trials[1].proposal.params)[:3] == ["z", "a", "c"]


def test_a_reason_is_kept_short_in_a_seal_and_nothing_else_is_lost():
    (event,) = events(1, reason="long " * 100)
    params, _ = sealed(event, 1, START)
    (found,) = read(claim(1, 0) | params)
    assert found.event.trials[0].failure.reason == ("long " * 100)[:200]
    assert found.event.trials[1:] == event.trials[1:]


def test_a_generation_too_long_for_one_register_has_several_parts():
    state = replay([SweepDeclared(declaration=DECLARATION)])
    trials = tuple(TrialRecord(proposal=p, value=1.0) for p in plan(state, 100))
    event = GenerationSealed(generation=0, trials=trials)
    runs = dict.fromkeys(range(100), "r" * 32)
    parts, header, _ = seal_texts(event, DECLARATION, runs, epoch=1, previous=START)
    assert len(parts) > 2
    assert all(len(text) < 6000 for text in (*parts, header))
    key = seal_key(0, 1)
    params = {f"{key}/{n:04d}": part for n, part in enumerate(parts)}
    assert read(claim(1, 0) | params | {key: header})[0].event == event


def test_parts_without_a_header_are_no_seal():
    params = history(3)
    del params[seal_key(2, 1)]
    assert len(read(params)) == 2


def test_seals_count_up_to_the_first_generation_without_one():
    params = history(3)
    del params[seal_key(1, 1)]
    assert len(read(params)) == 1


def test_a_seal_of_an_epoch_that_was_superseded_before_it_counts_for_nothing():
    first, second, third = events(3)
    params, previous = sealed(first, 1, START)
    params |= claim(1, 0) | claim(2, 1)
    stale, _ = sealed(replace(second, driven_s=99.0), 1, previous)
    assert len(read(params | stale)) == 1
    rightful, previous = sealed(second, 2, previous)
    assert [seal.epoch for seal in read(params | stale | rightful)] == [1, 2]
    assert read(params | stale | rightful)[1].event == second
    last, _ = sealed(third, 2, previous)
    assert [seal.epoch for seal in read(params | stale | rightful | last)] == [1, 2, 2]


def test_of_several_epochs_that_claimed_a_generation_the_highest_may_seal_it():
    (event,) = events(1)
    params = claim(1, 0) | claim(2, 0) | claim(3, 0)
    for epoch in (1, 2):
        params |= sealed(event, epoch, START)[0]
    assert read(params) == []
    assert read(params | sealed(event, 3, START)[0])[0].epoch == 3


def test_a_claim_from_a_later_generation_leaves_earlier_seals_valid():
    params = history(2) | claim(2, 2) | claim(3, 5)
    assert [seal.epoch for seal in read(params)] == [1, 1]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        (f"{seal_key(1, 1)}/0000", '"random"', '"sobol"'),
        (f"{seal_key(1, 1)}/0000", "0.25", "0.26"),
        (f"{seal_key(1, 1)}/0000", "}", ""),
        (seal_key(1, 1), '"count":1', '"count":2'),
        (seal_key(1, 1), '"hash":"', '"hash":"0'),
        (seal_key(1, 1), "{", ""),
        (seal_key(0, 1), '"previous":"', '"previous":"0'),
    ],
)
def test_an_altered_seal_is_named(key, old, new):
    params = history(3)
    assert old in params[key]
    params[key] = params[key].replace(old, new)
    with pytest.raises(RecordError, match=r"seal/0000000[01]/000001 .* was altered"):
        read(params)


def test_a_seal_rewritten_with_a_fitting_hash_breaks_the_chain_after_it():
    params, all_events = history(3), list(events(3))
    forged = replace(all_events[1], driven_s=77.0)
    previous = json.loads(params[seal_key(0, 1)])["hash"]
    params |= sealed(forged, 1, previous)[0]
    with pytest.raises(RecordError, match=seal_key(2, 1)):
        read(params)


def test_a_seal_of_another_sweep_does_not_fit():
    with pytest.raises(RecordError, match=seal_key(0, 1)):
        list(Seals(history(1), DECLARATION, digest("another declaration")))


def test_a_generation_of_ten_thousand_trials_with_many_params_reads_back():
    """Five million characters: far more than any other record has."""
    space = Space({f"parameter{n}": Float(0, 1) for n in range(20)})
    declaration = replace(DECLARATION, space=space, generation=10_000)
    state = replay([SweepDeclared(declaration=declaration)])
    trials = tuple(TrialRecord(proposal=p, value=1.0, duration_s=0.1) for p in plan(state, 10_000))
    event = GenerationSealed(generation=0, trials=trials, driven_s=1.0)
    runs = {slot: f"run{slot}" for slot in range(10_000)}
    parts, header, _ = seal_texts(event, declaration, runs, epoch=1, previous=START)
    assert sum(map(len, parts)) > 4_000_000
    key = seal_key(0, 1)
    written = {key: header} | {f"{key}/{n:04d}": part for n, part in enumerate(parts)}
    (found,) = Seals(claim(1, 0) | written, declaration, START)
    assert found.event == event
