from collections import Counter

import numpy as np
import pytest
from judged import declared, swept, trials_of

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.domains import Float, Int
from lepton_core.errors import DeclarationError
from lepton_core.judge.replicate import EVERY, LEAST_USABLE
from lepton_core.pools import JUDGED_PROPOSERS
from lepton_core.recommendation import recommended
from lepton_core.rng import rng
from lepton_core.space import Space
from lepton_core.sweep_file import parse_sweep
from lepton_core.verification import first_divergence

SPACE = Space({"x": Float(0, 1), "y": Float(1e-3, 10, log=True), "n": Int(1, 9)})
FILE = {
    "name": "demo",
    "objective": "objective.py:objective",
    "space": SPACE.to_dict(),
    "budget": {"trials": 64},
}


DRAWS = rng(0, "noise")


def noisy(params):
    return (params["x"] - 0.3) ** 2 + abs(params["n"] - 4) / 20 + float(DRAWS.normal()) * 0.1


def three_times(**changes):
    portfolio = Portfolio(proposers=JUDGED_PROPOSERS, judge=True, replicates=3)
    return declared(SPACE, portfolio=portfolio, **changes)


def again(events):
    return [t.proposal for t in trials_of(events) if t.proposal.origin.get("judge") == "replicate"]


@pytest.mark.parametrize("generation", [1, 8, 32])
def test_the_best_are_evaluated_again_and_no_more_often_than_asked(generation):
    events, state = swept(three_times(generation=generation), noisy, 96)
    found = again(events)
    assert len(found) >= 4
    assert all(one.number % EVERY == EVERY - 1 and one.number >= LEAST_USABLE for one in found)
    proposed = {t.proposal.number: t.proposal.params for t in trials_of(events)}
    for one in found:
        (first,) = one.origin["parents"]
        assert SPACE.encode(one.params) == pytest.approx(SPACE.encode(proposed[first]), abs=1e-8)
    rounded = [tuple(np.round(SPACE.encode(p), 6)) for p in proposed.values()]
    assert max(Counter(rounded).values()) == 3
    assert recommended(state) in proposed


def test_they_have_trial_seeds_of_their_own_and_recompute():
    events, _ = swept(three_times(), noisy, 64)
    seeds = [t.proposal.seed for t in trials_of(events)]
    assert len(set(seeds)) == len(seeds)
    assert first_divergence(events) is None


def test_without_being_asked_for_nothing_is_evaluated_twice():
    events, _ = swept(declared(SPACE), noisy, 64)
    assert again(events) == []


def test_a_sweep_file_asks_for_them_and_the_record_keeps_it():
    asked = parse_sweep({**FILE, "portfolio": {"replicates": 3}})[0]
    assert asked.portfolio.replicates == 3
    assert Declaration.from_record(asked.to_record()) == asked
    plain = parse_sweep(FILE)[0]
    assert plain.portfolio.replicates == 1
    assert "replicates" not in plain.to_record()["portfolio"]
    with pytest.raises(DeclarationError, match=r"^portfolio.replicates: found 0; .* from 1 to 100"):
        parse_sweep({**FILE, "portfolio": {"replicates": 0}})
    with pytest.raises(DeclarationError, match=r"^portfolio.replicates: needs a judge"):
        parse_sweep({**FILE, "portfolio": {"judge": False, "replicates": 2}})


def test_what_a_judged_sweep_recommends_is_not_the_luckiest_trial():
    differ = 0
    for seed in range(4):
        _, state = swept(declared(SPACE, seed=seed), noisy, 64)
        differ += recommended(state) != state.best.proposal.number
    assert differ >= 2
