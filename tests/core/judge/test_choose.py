import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import FAILED, declared
from threadpoolctl import threadpool_info, threadpool_limits

from lepton_core import portfolio
from lepton_core.domains import Choice, Float, Int
from lepton_core.judge.choose import JUDGES, MOST_CHOSEN
from lepton_core.pools import JUDGED_PROPOSERS, POOLS, random
from lepton_core.proposers.base import Candidate, Seen
from lepton_core.rng import rng
from lepton_core.space import Space
from lepton_core.strategies import SEEDS, finished, small_spaces, spaces, text

FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
MIXED = Space(
    {
        "x": Float(-1, 1),
        "lr": Float(1e-4, 1, log=True),
        "n": Int(1, 20),
        "kind": Choice(["a", "b", "c"]),
        "drop": Float(0, 1, when={"kind": ["b"]}),
    }
)
ENDS = st.lists(
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((0.0, 1.0)),
    min_size=8,
    max_size=20,
)


class Told:
    """A portfolio that was told of random trials in one generation, with these losses."""

    def __init__(self, space, losses, *, seed=0, unique=True):
        generator = rng(seed, "trials")
        self.declaration = declared(space, seed=seed)
        self.seen, trials = Seen(), []
        for loss in losses:
            params = space.decode(generator.random(len(space)))
            if unique and space.key(params) in self.seen:
                continue
            self.seen = self.seen.and_also([space.key(params)])
            trials.append((params, loss))
        self.trials = tuple(
            finished(
                Candidate(params=params, proposer="random"),
                FAILED if loss is None else loss,
                generation=0,
                slot=number,
                slots=len(trials),
                number=number,
            )
            for number, (params, loss) in enumerate(trials)
        )
        self.state = portfolio.update(
            portfolio.init(self.declaration), self.declaration, self.trials
        )

    def suggest(self, slots=8, first_number=None):
        return portfolio.suggest(
            self.state,
            self.declaration,
            generation=1,
            first_number=max(8, len(self.trials)) if first_number is None else first_number,
            slots=slots,
            seen=self.seen,
        )


def told_losses(n, every_failed=5):
    values = rng(3, "losses").random(n)
    return [None if i % every_failed == 0 else float(v) for i, v in enumerate(values)]


@FEW
@given(space=spaces(), losses=ENDS, slots=st.integers(1, 9), seed=SEEDS)
def test_each_slot_gets_a_valid_candidate_and_asking_again_gives_the_same(
    space, losses, slots, seed
):
    told = Told(space, losses, seed=seed, unique=False)
    found = told.suggest(slots)
    assert len(found) == slots
    for one in found:
        assert repr(dict(one.params)) == repr(space.validate(one.params))
    assert text(told.suggest(slots)) == text(found)


@FEW
@given(space=small_spaces(), losses=ENDS, slots=st.integers(1, 70), seed=SEEDS)
def test_nothing_is_tried_twice_while_something_untried_is_left(space, losses, slots, seed):
    told = Told(space, losses, seed=seed)
    keys = [space.key(one.params) for one in told.suggest(slots)]
    left = set(space.configurations) - {key for key in space.configurations if key in told.seen}
    assert len(keys) == slots
    assert len(left & set(keys)) == min(len(left), slots)
    assert set(keys[: len(left)]) <= left


@pytest.mark.parametrize("losses", [told_losses(12), told_losses(12, 2)], ids=["few", "many"])
@pytest.mark.parametrize("values", [5000, 10**5, 10**9])
def test_a_whole_number_of_many_values_is_not_tried_twice_either(values, losses):
    """Its points are not snapped to its values, so two points may be one of them."""
    space = Space({"n": Int(1, values)})
    told = Told(space, losses)
    for seed in range(3):
        told.declaration = declared(space, seed=seed)
        keys = [space.key(one.params) for one in told.suggest(32)]
        assert len(set(keys)) == len(keys)
        assert not any(key in told.seen for key in keys)


@pytest.mark.parametrize(
    "losses",
    [
        [None] * 12,
        [*[None] * 11, 1.0],
        [*[None] * 10, 1.0, 1.0],
        [*[None] * 10, 1e308, -1e308],
        [2.0] * 12,
        [1e300, *[0.0] * 11],
        told_losses(12),
    ],
    ids=["all failed", "one usable", "two", "two far apart", "all equal", "one endless", "usual"],
)
@pytest.mark.parametrize("slots", [1, 8])
def test_whatever_was_told_there_are_candidates(losses, slots):
    for space in (MIXED, Space({"x": Float(0, 1)}), Space({"c": Choice(["a", "b", "c"])})):
        found = Told(space, losses, unique=False).suggest(slots)
        assert len(found) == slots
        for one in found:
            space.validate(one.params)


def test_until_two_trials_are_usable_the_opener_goes_on():
    for losses, expected in (
        ([None] * 12, "sobol"),
        ([*[None] * 11, 1.0], "sobol"),
        ([*[None] * 10, 1.0, 2.0], "judge"),
    ):
        told = Told(MIXED, losses)
        assert (
            portfolio.allot(told.state, told.declaration, generation=1, first_number=12, slots=3)
            == [expected] * 3
        )


def test_the_judges_take_turns_by_the_number_of_the_trial():
    for first in (12, 13):
        found = Told(MIXED, told_losses(12)).suggest(5, first_number=first)
        assert [one.origin["judge"] for one in found] == [
            JUDGES[(first + slot) % 2] for slot in range(5)
        ]


def test_where_from_a_candidate_is_is_told():
    """Whose it is, which judge chose it, at which score, and which trials are its parents."""
    told = Told(MIXED, told_losses(30))
    found = told.suggest(16)
    usable = {t.proposal.number for t in told.trials if t.failure is None}
    for one in found:
        assert one.proposer in JUDGED_PROPOSERS
        assert set(one.origin) == {"judge", "score", "parents"}
        assert one.origin["score"] == round(one.origin["score"], 2)
        parents = one.origin["parents"]
        assert set(parents) <= usable
        assert len(set(parents)) == len(parents) <= 2
        assert bool(parents) == (one.proposer != "random")
    assert len({one.proposer for one in found}) > 1


def test_a_large_generation_is_filled_up_by_all_proposers_alike():
    slots = MOST_CHOSEN + 60
    found = Told(MIXED, told_losses(20)).suggest(slots)
    assert all(one.origin["judge"] in ("global", "local") for one in found[:MOST_CHOSEN])
    rest = found[MOST_CHOSEN:]
    assert all(one.origin["judge"] == "none" for one in rest)
    assert {one.proposer for one in rest} == set(JUDGED_PROPOSERS)
    assert len({MIXED.key(one.params) for one in found}) == slots


def test_the_first_of_a_generation_is_the_same_whatever_its_size():
    told = Told(MIXED, told_losses(20))
    assert text(told.suggest(8)[:3]) == text(told.suggest(3))


@pytest.mark.parametrize("n", [12, 150])
def test_the_number_of_threads_does_not_matter(n):
    told = Told(MIXED, told_losses(n))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(text(told.suggest(4)))
    assert found[0] == found[1]


def test_the_judge_s_linear_algebra_runs_on_one_thread(monkeypatch):
    """Small sums come out alike on one thread and on two, at times; so it is looked up."""
    threads = []

    def draw(*arguments):
        threads.append(
            {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
        )
        return random.draw(*arguments)

    monkeypatch.setitem(POOLS, "random", draw)
    with threadpool_limits(2, user_api="blas"):
        Told(MIXED, told_losses(12)).suggest(1)
        assert {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"} == {2}
    assert threads == [{1}]


def test_what_fills_up_a_large_generation_repeats_none_of_it():
    space = Space({"n": Int(1, 90)})
    told = Told(space, told_losses(12))
    assert len({one.params["n"] for one in told.suggest(70)}) == 70


def test_members_that_are_left_out_propose_nothing():
    told = Told(MIXED, told_losses(20))
    alone = told.declaration.portfolio.__class__(proposers=("pso",), judge=True)
    told.declaration = declared(MIXED, portfolio=alone)
    assert {one.proposer for one in told.suggest(16)} == {"pso"}


def test_the_global_judge_may_go_anywhere_and_the_local_one_stays_near_the_best():
    """After many failures the trust region is small: then its judge hardly moves."""
    plane = Space({"x": Float(0, 1), "y": Float(0, 1)})
    told = Told(plane, told_losses(40, every_failed=50))
    for number in range(0, 64, 8):
        worse = [
            finished(
                Candidate(params=plane.decode(rng(9, number, k).random(2)), proposer="random"),
                5.0,
                generation=1 + number // 8,
                slot=k,
                slots=8,
                number=40 + number + k,
            )
            for k in range(8)
        ]
        told.state = portfolio.update(told.state, told.declaration, worse)
    assert told.state.judge.region.side == 0.8 / 2**4
    best = min(told.state.judge.archive.usable, key=lambda one: one.loss).point
    found = told.suggest(16, first_number=104)
    away = [max(abs(one.params["x"] - best[0]), abs(one.params["y"] - best[1])) for one in found]
    # Half of the side, stretched at most five times.
    assert max(away[1::2]) <= 0.025 * 5
    assert max(away[::2]) > 0.2
