# ruff: noqa: S101  (assert is what a test does)
"""A conformance suite for proposers: the laws that replay and resume rest on.

It is shipped, so that anyone's proposer can be held to them. It needs hypothesis, which Lepton
itself does not. A test module of five lines inherits the suite::

    from lepton_core.proposers.random import Random
    from lepton_core.testing import ProposerContract


    class TestRandom(ProposerContract):
        make = Random
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from typing import Any, ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Direction
from lepton_core.events import TrialRecord
from lepton_core.proposers.base import Candidate, Proposer, Told
from lepton_core.snapshot import from_json, to_json
from lepton_core.space import Space
from lepton_core.strategies import (
    DIRECTIONS,
    FAILURES,
    SEEDS,
    VALUES,
    History,
    Outcome,
    Played,
    ask,
    histories,
    large_spaces,
    play,
    slot_sets,
    small_spaces,
    spaces,
    text,
)

__all__ = ["LAW", "ProposerContract", "histories", "large_spaces", "play", "small_spaces", "spaces"]

LAW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
"""The suite's settings: a law is inherited by many classes, and a machine may be slow."""


class ProposerContract:
    """The laws of a proposer. Subclass it and set `make` to what makes one.

    Example:
        >>> from lepton_core.proposers.random import Random
        >>> class TestRandom(ProposerContract):
        ...     make = Random
    """

    make: ClassVar[Callable[[], Proposer[Any]]]

    def new(self) -> Proposer[Any]:
        """A new proposer."""
        return type(self).make()

    @LAW
    @given(space=spaces(), history=histories(), slots=slot_sets(), seed=SEEDS)
    def test_suggest_twice_gives_the_same_candidates_and_changes_no_state(
        self, space: Space, history: History, slots: tuple[int, ...], seed: int
    ) -> None:
        """Suggest is a function: asked again, also of another instance, it answers the same."""
        proposer = self.new()
        played = play(proposer, space, history, seed=seed)
        before = json.dumps(asdict(played.state))
        asked = ask(space, played, slots=slots, seed=seed)
        first = text(proposer.suggest(played.state, asked))
        assert text(proposer.suggest(played.state, asked)) == first
        assert text(self.new().suggest(played.state, asked)) == first
        assert json.dumps(asdict(played.state)) == before

    @LAW
    @given(space=spaces(), history=histories(), slots=slot_sets(), seed=SEEDS)
    def test_each_slot_gets_a_candidate_that_lies_in_the_space(
        self, space: Space, history: History, slots: tuple[int, ...], seed: int
    ) -> None:
        """One candidate a slot, named, with JSON for an origin, each value of its declared type."""
        proposer = self.new()
        played = play(proposer, space, history, seed=seed)
        candidates = proposer.suggest(played.state, ask(space, played, slots=slots, seed=seed))
        assert len(candidates) == len(slots)
        for candidate in candidates:
            assert candidate.proposer == proposer.name
            assert repr(dict(candidate.params)) == repr(space.validate(candidate.params))
            assert json.loads(canonical_json(dict(candidate.origin))) == candidate.origin

    @LAW
    @given(space=spaces(), a=histories(), b=histories(), direction=DIRECTIONS)
    def test_replay_in_two_parts_gives_the_same_state(
        self, space: Space, a: History, b: History, direction: Direction
    ) -> None:
        """``replay(a + b) == replay(b, start=replay(a))``, whatever was asked in between."""
        proposer, other = self.new(), self.new()
        whole = play(proposer, space, (*a, *b), direction=direction)
        half = play(other, space, a, direction=direction)
        play(other, space, (*b, *a), direction=direction, start=half)  # must leave `half` alone
        assert self._next(play(self.new(), space, b, direction=direction, start=half), space) == (
            self._next(whole, space)
        )

    @LAW
    @given(space=spaces(), history=histories(), data=st.data())
    def test_the_order_of_finishing_does_not_change_the_next_generation(
        self, space: Space, history: History, data: st.DataObject
    ) -> None:
        """What a slot returned counts; when, after how long and at which attempt does not."""
        proposer = self.new()
        played = play(proposer, space, history)
        state = proposer.init(space)
        for trials in played.generations:
            finishing = data.draw(st.permutations(trials))
            sealed = {
                trial.proposal.slot: replace(trial, duration_s=1.5 * rank, attempt=rank % 3)
                for rank, trial in enumerate(finishing)
            }
            in_slots = tuple(sealed[slot] for slot in range(len(trials)))
            state = proposer.update(state, Told(space, in_slots))
        assert self._next(replace(played, state=state), space) == self._next(played, space)

    @LAW
    @given(space=spaces(), history=histories(), direction=DIRECTIONS)
    def test_the_state_is_json(self, space: Space, history: History, direction: Direction) -> None:
        """A state is a dataclass of JSON values, without NaN."""
        state = asdict(play(self.new(), space, history, direction=direction).state)
        once = json.dumps(state, allow_nan=False)
        assert json.dumps(json.loads(once), allow_nan=False) == once

    @LAW
    @given(space=spaces(), history=histories(), direction=DIRECTIONS)
    def test_the_state_comes_back_from_a_snapshot(
        self, space: Space, history: History, direction: Direction
    ) -> None:
        """By the types of its dataclasses: numbers, texts, tuples, mappings, further dataclasses.

        Whoever overlooks this has a sweep replayed from its beginning each time it is resumed.
        """
        state = play(self.new(), space, history, direction=direction).state
        back = from_json(type(state), json.loads(json.dumps(to_json(state))))
        assert repr(back) == repr(state)

    @LAW
    @given(space=spaces(), history=histories(FAILURES), slots=slot_sets())
    def test_failures_alone_still_leave_candidates(
        self, space: Space, history: History, slots: tuple[int, ...]
    ) -> None:
        """Failure is data: nothing is raised, and nothing becomes NaN."""
        self._goes_on(space, history, slots)

    @LAW
    @given(space=spaces(), value=VALUES, data=st.data(), slots=slot_sets())
    def test_a_constant_objective_still_leaves_candidates(
        self, space: Space, value: float, data: st.DataObject, slots: tuple[int, ...]
    ) -> None:
        """No spread of losses: nothing is raised, and nothing becomes NaN."""
        self._goes_on(space, data.draw(histories(st.just(value))), slots)

    @LAW
    @given(space=large_spaces(), seeds=st.lists(SEEDS, min_size=2, max_size=2, unique=True))
    def test_the_seed_decides_the_proposals(self, space: Space, seeds: list[int]) -> None:
        """The same seed gives the same sweep, another seed another one."""
        history = ((Outcome(mine=True, result=1.0),) * 4, (Outcome(mine=True, result=2.0),) * 4)
        a, again, b = (
            [text([_candidate(t) for t in trials]) for trials in played.generations]
            for seed in (seeds[0], *seeds)
            for played in [play(self.new(), space, history, seed=seed)]
        )
        assert a == again
        assert all(of_a != of_b for of_a, of_b in zip(a, b, strict=True))

    @LAW
    @given(space=spaces(), history=histories(), slots=slot_sets())
    def test_global_random_state_is_left_alone(
        self, space: Space, history: History, slots: tuple[int, ...]
    ) -> None:
        """Neither numpy's nor Python's generator is drawn from, seeded, or needed."""
        python = import_module("random")  # by name: the core itself must not import it
        numpy = import_module("numpy.random")

        def is_left_alone() -> bool:
            before = python.getstate(), repr(numpy.get_state())
            self._goes_on(space, history, slots)
            return (python.getstate(), repr(numpy.get_state())) == before

        # Another thread of the process may draw from them meanwhile, but not always.
        assert any(is_left_alone() for _ in range(3))

    @LAW
    @given(space=large_spaces(), history=histories(), slots=slot_sets(), seed=SEEDS)
    def test_nothing_is_proposed_twice_while_the_space_has_more(
        self, space: Space, history: History, slots: tuple[int, ...], seed: int
    ) -> None:
        """Neither within a generation, nor what was tried, nor what others propose beside it."""
        proposer = self.new()
        played = play(proposer, space, history, seed=seed)
        for some in (slots, slots[:32]):
            asked = ask(space, played, slots=some, seed=seed)
            keys = [space.key(c.params) for c in proposer.suggest(played.state, asked)]
            assert len(set(keys)) == len(keys)
            assert not any(key in played.seen for key in keys)
            played = replace(played, seen=played.seen.and_also(keys[:32]))

    @LAW
    @given(space=small_spaces(), history=histories(), slots=slot_sets(), seed=SEEDS)
    def test_a_small_space_is_used_up_before_anything_is_repeated(
        self, space: Space, history: History, slots: tuple[int, ...], seed: int
    ) -> None:
        """However sure a proposer is of what is best; what failed is not proposed again either."""
        proposer = self.new()
        played = play(proposer, space, history, seed=seed)
        every = space.configurations
        assert every is not None
        left = {key for key in every if key not in played.seen}
        asked = ask(space, played, slots=slots, seed=seed)
        keys = [space.key(c.params) for c in proposer.suggest(played.state, asked)]
        assert len(left & set(keys)) == min(len(left), len(slots))

    def _next(self, played: Played, space: Space) -> tuple[str, str]:
        candidates = self.new().suggest(played.state, ask(space, played, slots=range(5)))
        return json.dumps(asdict(played.state)), text(candidates)

    def _goes_on(self, space: Space, history: History, slots: tuple[int, ...]) -> None:
        proposer = self.new()
        played = play(proposer, space, history)
        json.dumps(asdict(played.state), allow_nan=False)
        candidates = proposer.suggest(played.state, ask(space, played, slots=slots))
        assert len(candidates) == len(slots)
        for candidate in candidates:
            space.validate(candidate.params)


def _candidate(trial: TrialRecord) -> Candidate:
    proposal = trial.proposal
    return Candidate(params=proposal.params, proposer=proposal.proposer, origin=proposal.origin)
