from dataclasses import replace

import pytest
from hypothesis import given

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import GenerationSealed, sealed_trials
from lepton_core.space import Float, Space
from lepton_core.strategies import sweep_events, sweeps
from lepton_core.verification import first_divergence, proposal_text

DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1), "y": Float(0, 1)}),
    portfolio=Portfolio(proposers=("random",)),
)
EVENTS = sweep_events(DECLARED, [[1.0, 2.0], [3.0, 4.0], [5.0]])


def altered(events, generation, slot, **changes):
    """The events with one recorded proposal changed."""
    found = list(events)
    at = next(
        i
        for i, e in enumerate(events)
        if isinstance(e, GenerationSealed) and e.generation == generation
    )
    trials = list(found[at].trials)
    trials[slot] = replace(trials[slot], proposal=replace(trials[slot].proposal, **changes))
    found[at] = replace(found[at], trials=tuple(trials))
    return found


@given(sweeps())
def test_what_was_recorded_is_proposed_again(events):
    assert first_divergence(events) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"x": 0.5, "y": 0.5}},
        {"proposer": "oracle"},
        {"origin": {"draw": 1}},
        {"seed": 1},
        {"slots": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_first_proposal_that_comes_out_otherwise_is_named(changes):
    found = first_divergence(altered(EVENTS, 1, 1, **changes))
    assert (found.recorded.generation, found.recorded.slot) == (1, 1)
    assert found.recorded == replace(found.recomputed, **changes)


def test_a_change_in_the_last_bit_is_found():
    x = EVENTS[2].trials[0].proposal.params["x"]
    bit = {**EVENTS[2].trials[0].proposal.params, "x": x + 2**-53}
    assert first_divergence(altered(EVENTS, 1, 0, params=bit)).recorded.params == bit


def test_each_generation_is_planned_from_the_recorded_history():
    """A changed proposal brings no others after it, as the rest of the record stands."""
    changed = altered(EVENTS, 0, 0, params={"x": 0.5, "y": 0.5})
    assert first_divergence(changed).recorded.number == 0
    first = next(sealed_trials(changed[:2]))
    assert first.proposal.params == {"x": 0.5, "y": 0.5}
    rest = sweep_events(DECLARED, [[1.0, 2.0], [3.0, 4.0], [5.0]])[2:]
    assert first_divergence([*changed[:1], EVENTS[1], *rest]) is None


def test_an_impossible_history_is_refused():
    with pytest.raises(RecordError, match="expected generation 1"):
        first_divergence([*EVENTS[:2], EVENTS[1]])
    with pytest.raises(RecordError, match="holds no declaration"):
        first_divergence(EVENTS[1:])


def test_proposals_are_equal_as_texts_only_if_they_are_equal():
    proposal = EVENTS[1].trials[0].proposal
    turned = replace(proposal, params=dict(reversed(proposal.params.items())))
    assert proposal_text(turned) == proposal_text(proposal)
    for change in ({"number": 5}, {"generation": 5}, {"slot": 5}):
        assert proposal_text(replace(proposal, **change)) != proposal_text(proposal)
