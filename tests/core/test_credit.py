import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lepton_core.credit import Credit, CreditState, allot, earnings, shares, update
from lepton_core.events import Failure
from lepton_core.proposers.base import Candidate, Told
from lepton_core.space import Float, Space
from lepton_core.strategies import finished

SPACE = Space({"x": Float(0, 1)})
MEMBERS = ("a", "b", "c")
CREDIT = Credit()
FAILED = Failure(kind="nan", reason="nan")
LOSSES = st.floats(-1e6, 1e6)
GENERATIONS = st.lists(
    st.lists(st.tuples(st.sampled_from(MEMBERS), LOSSES), min_size=1, max_size=6), max_size=5
)


def told(*slots):
    """A generation: for each slot who proposed and the loss that came of it, or a failure."""
    return Told(
        SPACE,
        tuple(
            finished(
                Candidate(params={"x": 0.5}, proposer=name),
                loss,
                generation=0,
                slot=slot,
                slots=len(slots),
                number=slot,
            )
            for slot, (name, loss) in enumerate(slots)
        ),
    )


def after(*generations, config=CREDIT):
    state = CreditState()
    for generation in generations:
        state = update(config, state, MEMBERS, told(*generation), shared=True)
    return state


def test_the_new_best_earns_one_the_worst_of_many_little_and_a_failure_nothing():
    state = after([("a", 1.0), ("b", 2.0), ("c", FAILED)])
    found = earnings(state, MEMBERS)
    assert (found["a"], found["c"]) == (1.0, 0.0)
    assert 0 < found["b"] < 1


def test_what_is_worse_than_the_whole_elite_earns_nothing():
    crowd = [("a", float(k)) for k in range(Credit().elite)]
    assert earnings(after(crowd, [("b", 1e9)]), MEMBERS)["b"] == 0.0


def test_equal_losses_of_one_generation_earn_alike_and_a_repeated_best_less_than_the_first():
    found = earnings(after([("a", 1.0), ("b", 1.0)]), MEMBERS)
    assert found["a"] == found["b"] == 1.0
    assert earnings(after([("a", 1.0)], [("b", 1.0)]), MEMBERS)["b"] < 1.0


@given(GENERATIONS)
def test_only_ranks_count_so_that_no_scale_of_the_loss_favours_anyone(generations):
    def cubed(loss):
        return loss**3

    losses = sorted({loss for generation in generations for _, loss in generation})
    assume(len({cubed(loss) for loss in losses}) == len(losses))  # no two fall together
    scaled = [[(name, cubed(loss)) for name, loss in generation] for generation in generations]
    assert shares(Credit(), after(*generations), MEMBERS) == (
        shares(Credit(), after(*scaled), MEMBERS)
    )


@given(GENERATIONS, st.floats(0, 1), st.floats(0, 5))
def test_shares_sum_to_one_and_nobody_gets_less_than_the_floor(generations, floor, contrast):
    config = Credit(floor=floor, contrast=contrast)
    found = shares(config, after(*generations, config=config), MEMBERS)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= min(floor, 1 / len(MEMBERS)) - 1e-12


def test_who_finds_the_improvements_gets_most_of_the_slots():
    losing = [[("a", -float(k)), ("b", 5.0), ("c", 6.0)] for k in range(5)]
    found = shares(Credit(), after(*losing), MEMBERS)
    assert found["a"] > 0.7
    assert allot(Credit(), after(*losing), MEMBERS, 8).count("a") >= 6


def test_what_was_earned_before_the_window_is_forgotten():
    rise = [[("a", 1.0), ("b", 2.0)]]
    later = [[("a", 9.0), ("b", 0.5 - k)] for k in range(Credit().window)]
    found = earnings(after(*rise, *later), MEMBERS)
    assert (found["a"], found["b"]) == (pytest.approx(found["a"]), 1.0)
    assert found["a"] < 0.5


def test_who_had_no_chance_yet_is_taken_to_be_as_good_as_the_best():
    found = shares(Credit(), after([("a", 1.0), ("b", 2.0)]), MEMBERS)
    assert found["c"] == found["a"] > found["b"]


def test_without_any_credit_the_shares_are_even():
    even = dict.fromkeys(MEMBERS, 1 / 3)
    assert shares(Credit(), CreditState(), MEMBERS) == even
    assert shares(Credit(), after([("a", FAILED), ("b", FAILED)]), MEMBERS) == even


def test_a_member_with_a_share_of_less_than_a_slot_still_gets_its_turns():
    state, had = after([("a", 1.0), ("b", 5.0), ("c", 6.0)]), []
    for k in range(40):
        names = allot(Credit(), state, MEMBERS, 2)
        had += names
        results = [(name, -float(k) if name == "a" else 9.0) for name in names]
        state = update(Credit(), state, MEMBERS, told(*results), shared=True)
    assert {name: had.count(name) > 0 for name in MEMBERS} == dict.fromkeys(MEMBERS, True)
    assert had.count("b") == pytest.approx(80 * Credit().floor, abs=3)
