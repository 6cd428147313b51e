"""Ask and tell as pure functions: whoever asks, and in whatever order, it is the same sweep."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core import asking
from lepton_core.asking import ask, begin, directed, take_back, tell
from lepton_core.declaration import Budget, Declaration, Portfolio
from lepton_core.errors import SweepError
from lepton_core.events import Failure, GenerationSealed
from lepton_core.fold import replay
from lepton_core.plan import plan, slots_left, untried
from lepton_core.space import Float, Int, Space
from lepton_core.strategies import results, small_spaces, spaces

DECLARED = Declaration(
    name="demo",
    space=Space({"x": Float(0, 1), "n": Int(1, 9)}),
    generation=4,
    portfolio=Portfolio(proposers=("ga", "pso", "rl")),
)
ENDLESS = Budget()
BROKEN = Failure(kind="told", reason="broken")


def result_of(proposal):
    """What comes of a trial: of every fifth a failure."""
    return BROKEN if proposal.number % 5 == 3 else proposal.params["x"] - proposal.number


def by_generations(budget):
    """The same sweep without any asking: planned, sealed, folded."""
    at, proposals = begin(DECLARED), []
    while slots := slots_left(at.state, budget):
        planned = plan(at.state, slots)
        proposals += planned
        at, given = ask(at, slots, budget)
        assert given == planned
        for proposal in given:
            at = tell(at, proposal.number, result_of(proposal))
    return proposals, at.state


@given(st.integers(0, 2**32), st.integers(1, 19))
def test_the_order_of_asking_and_telling_changes_nothing(seed, trials):
    budget, at, asked, out, chance = Budget(trials=trials), begin(DECLARED), [], [], Random(seed)
    while True:
        for _ in range(chance.randint(0, 3)):
            if out:
                proposal = out.pop(chance.randrange(len(out)))
                at = tell(at, proposal.number, result_of(proposal))
        try:
            at, given = ask(at, chance.randint(1, 6), budget)
        except SweepError as error:
            assert error.untold == tuple(sorted(p.number for p in out))  # noqa: PT017
            continue
        asked += given
        out += given
        if not given and not out:
            break
    expected, state = by_generations(budget)
    assert sorted(asked, key=lambda p: p.number) == expected
    assert at.state == state
    assert replay(at.events) == state


@given(st.data(), spaces())
def test_whatever_is_told_the_history_gives_the_state(data, space):
    at = begin(Declaration(name="any", space=space, generation=3, portfolio=DECLARED.portfolio))
    for _ in range(3):
        at, given = ask(at, 3, ENDLESS)
        for proposal in data.draw(st.permutations(given)):
            at = tell(at, proposal.number, data.draw(results()))
    assert replay(at.events) == at.state
    assert [t.proposal.number for t in at.trials()] == list(range(at.trials_told))


@given(small_spaces(), st.integers(1, 9), st.integers(1, 9))
def test_it_ends_when_the_space_has_no_more(space, generation, n):
    declared = Declaration(
        name="few", space=space, generation=generation, portfolio=DECLARED.portfolio
    )
    at = begin(declared)
    while True:
        at, given = ask(at, n, ENDLESS)
        if not given:
            break
        for proposal in given:
            at = tell(at, proposal.number, BROKEN)
    assert untried(at.state) == 0
    assert at.trials_told == len(space.configurations)


def test_the_last_generation_is_as_large_as_the_budget_leaves():
    _, state = by_generations(Budget(trials=10))
    assert (state.generations_done, state.trials_done) == (3, 10)


def test_nothing_comes_after_the_last_trial_even_while_it_is_out():
    at, _ = ask(begin(DECLARED), 4, Budget(trials=4))
    assert ask(at, 1, Budget(trials=4))[1] == ()
    with pytest.raises(SweepError, match=r"generation 0 waits for trials \[0, 1, 2, 3\]"):
        ask(at, 1, Budget(trials=5))
    few = Declaration(name="few", space=Space({"n": Int(1, 3)}), portfolio=DECLARED.portfolio)
    at, given = ask(begin(few), 9, ENDLESS)
    assert len(given) == 3
    assert ask(at, 1, ENDLESS)[1] == ()


def test_a_trial_taken_back_is_the_next_one_to_be_handed_out():
    at, given = ask(begin(DECLARED), 3, ENDLESS)
    at = take_back(at, 1)
    with pytest.raises(SweepError, match=r"trial 1 is not handed out; there are \[0, 2\]"):
        tell(at, 1, 0.5)
    at, again = ask(at, 1, ENDLESS)
    assert again == given[1:2]


def test_a_trial_is_told_once_sealed_or_not():
    at, _ = ask(begin(DECLARED), 4, ENDLESS)
    at = tell(at, 2, 0.25)
    with pytest.raises(SweepError, match=r"trial 2 was told already \(value 0\.25\)"):
        tell(at, 2, 0.25)
    for number in (0, 1, 3):
        at = tell(at, number, BROKEN)
    assert isinstance(at.events[-1], GenerationSealed)
    with pytest.raises(SweepError, match=r"trial 3 was told already \(told\)"):
        tell(at, 3, 0.5)
    with pytest.raises(SweepError, match=r"trial 4 is not handed out; there are \[\]"):
        tell(at, 4, 0.5)


def test_the_best_is_known_before_its_generation_is_sealed():
    at = directed(begin(DECLARED), "maximize")
    at, _ = ask(at, 4, ENDLESS)
    assert at.best is None
    at = tell(tell(tell(at, 3, 2.0), 1, 2.0), 0, 1.0)
    assert (at.best.proposal.number, at.state.best) == (1, None)
    at = tell(at, 2, 3.0)
    assert at.best == at.state.best
    assert at.best.proposal.number == 2


def test_a_direction_is_turned_only_before_anything_is_told():
    at, given = ask(begin(DECLARED), 2, ENDLESS)
    turned = directed(at, "maximize")
    assert (turned.proposals, turned.out) == (at.proposals, at.out)
    assert turned.events[0].declaration.direction == "maximize"
    assert plan(turned.state, 4) == at.proposals  # what was proposed does not depend on it
    told = tell(turned, given[0].number, 1.0)
    assert directed(told, "maximize") is told
    with pytest.raises(SweepError, match="1 trials were told in the direction maximize"):
        directed(told, "minimize")


def test_it_all_is_values():
    at = begin(DECLARED)
    assert ask(at, 2, ENDLESS) == ask(at, 2, ENDLESS)
    assert at == asking.begin(DECLARED)
