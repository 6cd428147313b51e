"""The suite itself can fail: for each law, a proposer that breaks it is caught."""

import itertools
import random
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import Phase, settings

from lepton_core.errors import RecordError
from lepton_core.proposers.base import Candidate
from lepton_core.proposers.random import Random
from lepton_core.rng import rng
from lepton_core.testing import LAW, ProposerContract


@dataclass(frozen=True)
class Learned:
    total: float = 0.0
    notes: list = field(default_factory=list)


class Good(Random):
    """Random search that moves with what it is told."""

    def init(self, space):
        return Learned()

    def update(self, state, told):
        return replace(state, total=state.total + len(told.trials))

    def of(self, params):
        return Candidate(params=params, proposer=self.name)


class Unkeyed(Good):
    """Draws from a generator that it keeps."""

    calls: ClassVar = itertools.count()

    def suggest(self, state, ask):
        call = next(self.calls)
        return tuple(
            self.of(ask.space.decode(rng(call, s).random(len(ask.space)))) for s in ask.slots
        )


class Forgetful(Good):
    """Changes its state when asked."""

    def suggest(self, state, ask):
        state.notes.append(ask.generation)
        return super().suggest(state, ask)


class OneShort(Good):
    def suggest(self, state, ask):
        return (
            super().suggest(state, ask)[1:] if len(ask.slots) > 2 else super().suggest(state, ask)
        )


class Outside(Good):
    def suggest(self, state, ask):
        return tuple(
            self.of({name: str(value) for name, value in c.params.items()})
            for c in super().suggest(state, ask)
        )


class Nameless(Good):
    def suggest(self, state, ask):
        return tuple(replace(c, proposer="me") for c in super().suggest(state, ask))


class NumpyOrigin(Good):
    def suggest(self, state, ask):
        return tuple(replace(c, origin={"v": (1, 2)}) for c in super().suggest(state, ask))


class Shared(Good):
    """Learns into a state that others hold too."""

    def update(self, state, told):
        state.notes.extend(t.proposal.number for t in told.trials)
        return state


class Clocked(Good):
    """Learns from how long trials took."""

    def update(self, state, told):
        return replace(state, total=state.total + sum(t.duration_s for t in told.trials))


class Averaging(Good):
    """Does not think of failures: NaN."""

    def update(self, state, told):
        usable = [t.value for t in told.trials if t.value is not None]
        with np.errstate(all="ignore"):
            return replace(state, total=float(np.array(sum(usable)) / np.array(float(len(usable)))))


class Scaling(Good):
    """Divides by the spread of the losses."""

    def update(self, state, told):
        usable = [t.value for t in told.trials if t.value is not None]
        if not usable:
            return state
        return replace(state, total=1 / (max(usable) - min(usable)))


class Seedless(Good):
    def suggest(self, state, ask):
        return super().suggest(state, replace(ask, seed=1))


class Global(Good):
    def suggest(self, state, ask):
        random.random()
        return super().suggest(state, ask)


class GlobalNumpy(Good):
    def suggest(self, state, ask):
        np.random.random()  # noqa: NPY002
        return super().suggest(state, ask)


class Repeating(Good):
    def suggest(self, state, ask):
        return super().suggest(state, replace(ask, slots=(0,))) * len(ask.slots)


class Unseeing(Good):
    def suggest(self, state, ask):
        return super().suggest(state, replace(ask, seen=type(ask.seen)()))


TWICE = "test_suggest_twice_gives_the_same_candidates_and_changes_no_state"
INSIDE = "test_each_slot_gets_a_candidate_that_lies_in_the_space"
PARTS = "test_replay_in_two_parts_gives_the_same_state"
ORDER = "test_the_order_of_finishing_does_not_change_the_next_generation"
JSON = "test_the_state_is_json"
FAILURES = "test_failures_alone_still_leave_candidates"
CONSTANT = "test_a_constant_objective_still_leaves_candidates"
SNAPSHOT = "test_the_state_comes_back_from_a_snapshot"
SEED = "test_the_seed_decides_the_proposals"
GLOBAL = "test_global_random_state_is_left_alone"
AGAIN = "test_nothing_is_proposed_twice_while_the_space_has_more"
USED_UP = "test_a_small_space_is_used_up_before_anything_is_repeated"


@pytest.mark.parametrize(
    ("proposer", "law"),
    [
        (Unkeyed, TWICE),
        (Forgetful, TWICE),
        (OneShort, INSIDE),
        (Outside, INSIDE),
        (Nameless, INSIDE),
        (NumpyOrigin, INSIDE),
        (Shared, PARTS),
        (Clocked, ORDER),
        (Averaging, JSON),
        (Good, SNAPSHOT),  # its notes are a list of anything
        (Averaging, FAILURES),
        (Scaling, CONSTANT),
        (Seedless, SEED),
        (Global, GLOBAL),
        (GlobalNumpy, GLOBAL),
        (Repeating, AGAIN),
        (Unseeing, AGAIN),
        (Unseeing, USED_UP),
    ],
)
def test_a_proposer_that_breaks_a_law_is_caught(proposer, law, monkeypatch):
    unshrunk = settings(LAW, max_examples=100, phases=[Phase.generate], database=None)
    function = getattr(ProposerContract, law)
    monkeypatch.setattr(function, "_hypothesis_internal_use_settings", unshrunk)
    suite = type("Suite", (ProposerContract,), {"make": proposer})()
    caught = (AssertionError, ValueError, ArithmeticError, RecordError, ExceptionGroup)
    with pytest.raises(caught):
        getattr(suite, law)()
