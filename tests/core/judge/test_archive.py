import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import FAILED

from lepton_core.judge.archive import (
    BEST,
    CAP,
    FAILURES,
    LATEST,
    Archive,
    Entry,
    selected,
    update,
)
from lepton_core.proposers.base import Candidate, Told
from lepton_core.rng import rng
from lepton_core.space import Float, Space
from lepton_core.strategies import finished

LINE = Space({"x": Float(0, 1)})
MOST = BEST + LATEST + CAP


def folded(losses, size=8, *, direction="minimize"):
    """The archive after trials told in generations of a size; None is a failure."""
    archive = Archive()
    for generation, first in enumerate(range(0, len(losses), size)):
        some = losses[first : first + size]
        trials = tuple(
            finished(
                Candidate(params={"x": (first + slot) % 100 / 100}, proposer="random"),
                FAILED if loss is None else loss,
                generation=generation,
                slot=slot,
                slots=len(some),
                number=first + slot,
            )
            for slot, loss in enumerate(some)
        )
        archive = update(archive, Told(LINE, trials, direction))
    return archive


def numbers(entries):
    return [one.number for one in entries]


def random_losses(n):
    return [float(loss) for loss in rng(5, "losses").random(n)]


LONG = random_losses(3000)


def test_a_short_history_is_remembered_whole():
    losses = [3.0, None, 1.0, 2.0, None]
    archive = folded(losses, size=2)
    assert archive.usable == (
        Entry(0, (0.0,), 3.0),
        Entry(2, (0.02,), 1.0),
        Entry(3, (0.03,), 2.0),
    )
    assert archive.failed == (Entry(1, (0.01,), None), Entry(4, (0.04,), None))
    assert selected(archive) == archive.usable
    full = folded(LONG[:CAP])
    assert selected(full) == full.usable
    assert numbers(full.usable) == list(range(CAP))


def test_what_is_maximised_is_remembered_by_its_loss():
    assert [one.loss for one in folded([3.0, 1.0], direction="maximize").usable] == [-3.0, -1.0]


@pytest.mark.parametrize("n", [CAP + 1, 500, 1000, 3000])
@pytest.mark.parametrize(
    "order", [lambda x: x, sorted, lambda x: sorted(x, reverse=True)], ids=["any", "up", "down"]
)
def test_of_a_long_history_the_best_and_the_latest_are_kept_and_some_of_the_rest(n, order):
    losses = order(LONG[:n])
    archive = folded(losses)
    assert len(archive.usable) <= MOST
    best = sorted(range(n), key=lambda i: losses[i])[:BEST]
    latest = range(n - LATEST, n)
    for entries in (archive.usable, selected(archive)):
        assert numbers(entries) == sorted(set(numbers(entries)))
        assert set(best) | set(latest) <= set(numbers(entries))
        assert all(losses[one.number] == one.loss for one in entries)
    assert CAP - 50 <= len(selected(archive)) <= CAP
    rest = sorted(set(numbers(selected(archive))) - set(best) - set(latest))
    # It reaches from the beginning to the latest, without gaps to speak of.
    between = sorted(set(range(n)) - set(best) - set(latest))
    places = [between.index(number) for number in rest]
    assert max(np.diff([0, *places, len(between) - 1])) <= 6 * len(between) / len(rest)


def test_of_the_rest_those_are_kept_whose_number_the_stride_divides():
    archive = folded(LONG)
    best = sorted(range(3000), key=lambda i: LONG[i])[:BEST]
    rest = set(numbers(archive.usable)) - set(best) - set(range(2900, 3000))
    expected = set(range(0, 2900, archive.stride)) - set(best)
    assert archive.stride == 16
    assert rest == expected


@pytest.mark.parametrize("size", [1, 4, 8, 50, 3000])
def test_the_size_of_generations_does_not_matter(size):
    assert folded(LONG, size=size) == folded(LONG, size=6)


def test_only_the_latest_failures_are_kept():
    losses = [None if i % 3 else 1.0 for i in range(600)]
    archive = folded(losses)
    assert numbers(archive.failed) == [i for i in range(600) if i % 3][-FAILURES:]
    assert numbers(archive.usable) == list(range(0, 600, 3))
    assert len(folded([None] * 500, size=250).failed) == FAILURES


@given(st.lists(st.floats(0, 1) | st.sampled_from((0.0, 1.0)), min_size=1, max_size=40))
def test_of_equal_losses_the_earlier_are_the_best(seeds):
    """However many are equal, which are kept is certain, and the history as it was."""
    losses = [1.0] * 350 + seeds
    archive = folded(losses, size=30)
    ranked = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    assert set(ranked[:BEST]) <= set(numbers(selected(archive)))
    assert len(selected(archive)) == CAP
