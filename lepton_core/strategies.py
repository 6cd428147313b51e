"""Hypothesis strategies for spaces, outcomes and histories, and proposers played against them.

`lepton_core.testing` holds the laws that are tested with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain, cycle, islice
from typing import Any

from hypothesis import strategies as st

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Budget, Declaration, Direction, Portfolio, Settings
from lepton_core.events import (
    Event,
    Failure,
    GenerationSealed,
    Proposal,
    SettingsAmended,
    SweepDeclared,
    TrialRecord,
)
from lepton_core.fold import SweepState, replay
from lepton_core.plan import plan
from lepton_core.proposers.base import Ask, Candidate, Proposer, Seen, Told
from lepton_core.rng import rng, trial_seed
from lepton_core.space import Choice, Domain, Fixed, Float, Int, Space

MAX_SLOTS = 64
_NAMES = ("p0", "p1", "p2", "p3", "p4")
OTHER = "other"  # who proposed the trials that are not the proposer's own

DIRECTIONS: st.SearchStrategy[Direction] = st.sampled_from(("minimize", "maximize"))
SEEDS = st.integers(0, 2**63 - 1)
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(
        ("exception", "nan", "inf", "none", "type", "timeout", "memory", "crashed", "told")
    ),
    reason=st.just("as the test asked"),
)
VALUES = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one slot: whether the proposer is asked for it, and how its trial ends."""

    mine: bool
    result: float | Failure


History = tuple[tuple[Outcome, ...], ...]
"""The outcomes of some generations, each in the order of slots."""


@dataclass(frozen=True, slots=True)
class Played:
    """A proposer after a history.

    Attributes:
        state: What it has learned.
        seen: The configurations tried.
        generations: The trials, its own and others'.
    """

    state: Any
    seen: Seen = field(default_factory=Seen)
    generations: tuple[tuple[TrialRecord, ...], ...] = ()


@cache
def numbers() -> st.SearchStrategy[Float]:
    """Floats: any bounds, subnormal and huge ones too, on either scale, with and without steps."""
    bound = st.floats(-1e300, 1e300)
    positive = st.floats(1e-300, 1e300)
    step = st.sampled_from((0.1, 0.25, 1 / 3, 1e-3))
    return st.one_of(
        st.lists(bound, min_size=2, max_size=2, unique=True).map(lambda b: Float(min(b), max(b))),
        st.builds(
            lambda low, ratio: Float(low, low * ratio, log=True), positive, st.floats(1.1, 1e6)
        ),
        st.builds(
            lambda low, step, k, log: Float(low, low + k * step, log=log, step=step),
            st.floats(0.01, 100),
            step,
            st.integers(2, 30),
            st.booleans(),
        ),
    )


@cache
def whole_numbers() -> st.SearchStrategy[Int]:
    """Ints on either scale, with and without steps."""
    return st.builds(
        lambda low, span, log, step: Int(low, low + span, log=log, step=step and min(step, span)),
        st.integers(1, 10**6),
        st.integers(1, 10**6),
        st.booleans(),
        st.none() | st.integers(1, 10),
    ) | st.builds(lambda low, span: Int(low, low + span), st.integers(-50, 50), st.integers(1, 9))


@cache
def choice_values() -> st.SearchStrategy[list[Any]]:
    """Values of a choice, of mixed types, no two equal as strings."""
    values = st.sampled_from((None, True, False, 0, 1, 2, 0.5, 1.0, -1e-7, "a", "b c", "d:e", "σ"))
    return st.lists(values, min_size=1, max_size=5, unique_by=repr)


@cache
def choices() -> st.SearchStrategy[Choice]:
    """Choices of mixed types."""
    return choice_values().map(Choice)


@cache
def _domains() -> st.SearchStrategy[Domain]:
    return st.one_of(numbers(), whole_numbers(), choices())


@cache
def _fixed() -> st.SearchStrategy[Domain]:
    return st.sampled_from((None, True, 3, 0.1, "fixed")).map(Fixed)


@st.composite
def spaces(draw: st.DrawFn, *, max_params: int = 5) -> Space:
    """Spaces of all kinds of params, some fixed, some under conditions, parents anywhere."""
    names = draw(st.permutations(_NAMES))[: draw(st.integers(1, max_params))]
    domains: dict[str, Domain] = {}
    for name in names:
        domain = draw(_domains() | _fixed() if domains else _domains())  # not all can be fixed
        parents = {n: d for n, d in domains.items() if not isinstance(d, Float)}
        if parents and not isinstance(domain, Fixed) and draw(st.booleans()):
            parent = draw(st.sampled_from(sorted(parents)))
            allowed = [parents[parent].decode(draw(st.floats(0, 1)))]
            domain = replace(domain, when={parent: allowed})
        domains[name] = domain
    return Space({name: domains[name] for name in draw(st.permutations(names))})


@cache
def large_spaces() -> st.SearchStrategy[Space]:
    """Spaces with so many configurations that a free one is always near."""
    wide = {"x": Float(-1.0, 1.0), "y": Float(1e-6, 1.0, log=True)}
    return spaces(max_params=3).map(lambda space: Space({**space.params, **wide}))


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    """Spaces with so few configurations that a sweep uses them up; some under conditions."""
    few = st.one_of(
        st.builds(Choice, choice_values()),
        st.builds(lambda low, span: Int(low, low + span), st.integers(-3, 3), st.integers(1, 4)),
        st.builds(lambda span: Int(1, 1 + span, log=True), st.integers(1, 4)),
        st.builds(
            lambda k, log: Float(0.5, 0.5 + k, step=1.0, log=log), st.integers(1, 3), st.booleans()
        ),
    )
    names = _NAMES[: draw(st.integers(1, 3))]
    domains: dict[str, Domain] = {}
    for name in names:
        domain = draw(few)
        if isinstance(domains.get("p0"), Choice | Int) and draw(st.booleans()):
            allowed = domains["p0"].decode(draw(st.floats(0, 1)))
            domain = replace(domain, when={"p0": [allowed]})
        domains[name] = domain
    return Space(dict(domains))


@cache
def results() -> st.SearchStrategy[float | Failure]:
    """How a trial ends: any finite value, or any failure."""
    return VALUES | FAILURES


@st.composite
def histories(
    draw: st.DrawFn,
    result: st.SearchStrategy[float | Failure] | None = None,
    *,
    max_generations: int = 3,
    max_slots: int = 8,
) -> History:
    """Histories of some generations, each of its own size: random results, all failed, constant.

    A generation has up to `max_slots` slots, and one in a few histories ends with one of
    `MAX_SLOTS` that ends as its smaller ones do, again and again.
    """
    modes = (results(), FAILURES, st.just(draw(VALUES)))
    ends = draw(st.sampled_from(modes)) if result is None else result
    outcome = st.builds(Outcome, st.booleans(), ends)
    generation = st.lists(outcome, min_size=1, max_size=max_slots).map(tuple)
    drawn = draw(st.lists(generation, max_size=max_generations).map(tuple))
    if drawn and draw(st.integers(0, 3)) == 0:
        whole = tuple(islice(cycle(chain(*drawn)), MAX_SLOTS))
        return (*drawn[:-1], whole)
    return drawn


@st.composite
def slot_sets(draw: st.DrawFn) -> tuple[int, ...]:
    """Slots of one generation of 1 to `MAX_SLOTS`: all of them, or some, in their order."""
    every = tuple(range(draw(st.sampled_from((1, 2, 3, 8, 13, MAX_SLOTS)))))
    some = draw(st.sets(st.sampled_from(every), min_size=1))
    return every if draw(st.booleans()) else tuple(sorted(some))


def play(
    proposer: Proposer[Any],
    space: Space,
    history: History,
    *,
    seed: int = 0,
    direction: Direction = "minimize",
    start: Played | None = None,
) -> Played:
    """The proposer after a history: asked for its slots, shown every trial.

    It goes on from `start`, where that is given.
    """
    played = start or Played(proposer.init(space))
    for outcomes in history:
        generation = len(played.generations)
        mine = tuple(slot for slot, outcome in enumerate(outcomes) if outcome.mine)
        candidates = {
            slot: Candidate(
                params=space.decode(_point(space, seed, generation, slot)), proposer=OTHER
            )
            for slot in range(len(outcomes))
        }
        asked = ask(space, played, slots=mine, seed=seed)
        candidates |= zip(mine, proposer.suggest(played.state, asked), strict=True)
        number = sum(map(len, played.generations))
        trials = tuple(
            finished(
                candidates[slot],
                outcome.result,
                generation=generation,
                slot=slot,
                slots=len(outcomes),
                number=number + slot,
                seed=seed,
            )
            for slot, outcome in enumerate(outcomes)
        )
        played = Played(
            state=proposer.update(played.state, Told(space, trials, direction)),
            seen=played.seen.and_also(space.key(t.proposal.params) for t in trials),
            generations=(*played.generations, trials),
        )
    return played


def ask(space: Space, played: Played, *, slots: Sequence[int], seed: int = 0) -> Ask:
    """The question for the generation that follows."""
    return Ask(
        space=space,
        seed=seed,
        generation=len(played.generations),
        slots=tuple(slots),
        seen=played.seen,
    )


def finished(
    candidate: Candidate,
    result: float | Failure,
    *,
    generation: int,
    slot: int,
    slots: int,
    number: int,
    seed: int = 0,
) -> TrialRecord:
    """The record of a candidate's trial."""
    return TrialRecord(
        proposal=Proposal(
            generation=generation,
            slot=slot,
            slots=slots,
            number=number,
            params=candidate.params,
            proposer=candidate.proposer,
            origin=candidate.origin,
            seed=trial_seed(seed, generation, slot),
        ),
        value=None if isinstance(result, Failure) else result,
        failure=result if isinstance(result, Failure) else None,
    )


def _point(space: Space, seed: int, generation: int, slot: int) -> Any:
    return rng(seed, generation, slot, OTHER).random(len(space))


def text(candidates: Sequence[Candidate]) -> str:
    """Candidates as one text: equal texts mean equal candidates, to the last bit.

    Raises:
        ValueError: Something holds NaN or an infinity.
        TypeError: An origin holds something that JSON has no form for.
    """
    return canonical_json(
        [[list(c.params.items()), c.proposer, dict(c.origin)] for c in candidates]
    )


@st.composite
def declarations(draw: st.DrawFn, space: st.SearchStrategy[Space] | None = None) -> Declaration:
    """Declarations of all kinds, with and without starting points."""
    searched = draw(spaces() if space is None else space)
    point = st.lists(st.floats(0, 1), min_size=len(searched), max_size=len(searched))
    starts = {searched.key(p): p for p in draw(st.lists(point.map(searched.decode), max_size=3))}
    return Declaration(
        name=draw(st.from_regex(r"[A-Za-z0-9._-]{1,9}", fullmatch=True)),
        space=searched,
        seed=draw(SEEDS),
        generation=draw(st.integers(1, 8)),
        metric=draw(st.sampled_from(("loss", "val/auc"))),
        direction=draw(DIRECTIONS),
        portfolio=Portfolio(
            proposers=draw(st.sampled_from((("random",), ("sobol", "random"), ("random", "sobol"))))
        ),
        start_from=tuple(starts.values()),
    )


def sealed(state: SweepState, ends: Sequence[float | Failure]) -> GenerationSealed:
    """The next generation of a sweep, planned and with these results, one a slot."""
    return GenerationSealed(
        generation=state.generations_done,
        trials=tuple(
            TrialRecord(
                proposal=proposal,
                value=None if isinstance(end, Failure) else end,
                failure=end if isinstance(end, Failure) else None,
            )
            for proposal, end in zip(plan(state, len(ends)), ends, strict=True)
        ),
        driven_s=state.driven_s + 1.0,
    )


def sweep_events(
    declaration: Declaration, generations: Sequence[Sequence[float | Failure]]
) -> list[Event]:
    """The events of a whole sweep with these results."""
    events: list[Event] = [SweepDeclared(declaration=declaration)]
    state = replay(events)
    for ends in generations:
        events.append(sealed(state, ends))
        state = replay(events[-1:], start=state)
    return events


@st.composite
def sweeps(draw: st.DrawFn, space: st.SearchStrategy[Space] | None = None) -> list[Event]:
    """The events of sweeps of up to three generations, settings amended anywhere."""
    ends = st.lists(st.lists(results(), min_size=1, max_size=6), max_size=3)
    events = sweep_events(draw(declarations(space)), draw(ends))
    amended = SettingsAmended(settings=Settings(budget=Budget(trials=draw(st.integers(1, 99)))))
    events.insert(draw(st.integers(1, len(events))), amended)
    return events
