import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.judge.region import BLOCK, FIRST, LEAST, MOST, STRETCH, Region, half_widths, update

BEFORE = [float(loss) for loss in range(10, 20)]


def folded(blocks, *, size=BLOCK, region=None, before=BEFORE):
    """The region after blocks of losses, told in generations of a size; None is a failure."""
    region, known = region or Region(), list(before)
    losses = [loss for block in blocks for loss in block]
    for first in range(0, len(losses), size):
        generation = losses[first : first + size]
        now = [loss for loss in generation if loss is not None]
        region = update(region, known, now, len(generation))
        known += now
    return region


def better(*bests):
    return [[best, *[30.0] * (BLOCK - 1)] for best in bests]


def worse(n):
    return [[30.0] * BLOCK] * n


def test_it_doubles_after_two_successes_in_a_row_up_to_a_limit():
    assert folded(better(9)).side == FIRST
    assert folded(better(9, 8)).side == MOST == 2 * FIRST
    assert folded(better(9, 8, 7, 6)).side == MOST
    assert folded([*better(9), *worse(1), *better(8)]).side == FIRST


def test_it_halves_after_two_failures_in_a_row():
    assert folded(worse(1)).side == FIRST
    assert folded(worse(2)).side == FIRST / 2
    assert folded(worse(4)).side == FIRST / 4
    assert folded([*worse(1), *better(9), *worse(1)]).side == FIRST


def test_it_starts_anew_when_it_has_become_too_small():
    sides = [folded(worse(2 * k)).side for k in range(8)]
    assert sides[:6] == [FIRST / 2**k for k in range(6)]
    assert sides[5] >= LEAST > sides[5] / 2
    assert sides[6:] == [FIRST, FIRST / 2]


def test_blocks_of_failed_trials_are_failures():
    assert folded([[None] * BLOCK] * 2).side == FIRST / 2


def test_next_to_no_progress_is_none():
    usual = float(np.median(BEFORE))
    least = 10 - 1e-3 * (usual - 10)
    assert folded(better(least + 1e-6, least + 1e-6)).side == FIRST / 2
    assert folded(better(least - 1e-6)).successes == 1


def test_before_any_loss_is_known_nothing_counts():
    assert update(Region(), [], [1.0, 2.0], BLOCK) == Region()


@given(
    st.lists(
        st.lists(st.none() | st.floats(5, 20), min_size=BLOCK, max_size=BLOCK),
        min_size=1,
        max_size=8,
    )
)
def test_the_size_of_generations_does_not_matter(blocks):
    whole = folded(blocks)
    for size in (1, 2, 4):
        assert folded(blocks, size=size) == whole


def test_a_block_under_way_is_remembered():
    half = update(Region(), BEFORE, [3.0, 30.0, 30.0], 3)
    assert (half.side, half.met, half.trials) == (FIRST, True, 3)
    done = update(half, [*BEFORE, 3.0, 30.0, 30.0], [30.0] * 5, 5)
    assert done == Region(successes=1)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_the_goal_is_a_finite_number_below_the_best_however_huge_losses_are(before):
    """A snapshot holds it, and has no infinity."""
    region = update(Region(), before, [], 1)
    assert np.isfinite(region.goal)
    assert region.goal <= min(before)


def test_it_is_as_wide_as_the_loss_is_smooth():
    lengths, numbers = np.array([0.1, 0.4, 1.6, 7.0]), np.array([True, True, True, False])
    widths = half_widths(Region(side=0.8), lengths, numbers)
    assert widths == pytest.approx([0.1, 0.4, 1.6, np.inf])
    stretched = half_widths(Region(side=0.8), np.array([1e-3, 1.0, 1e3, 1.0]), numbers)
    assert stretched == pytest.approx([0.4 * STRETCH[0], 0.4, 0.4 * STRETCH[1], np.inf])


def test_choices_are_free():
    assert np.isinf(half_widths(Region(), np.ones(3), np.zeros(3, dtype=bool))).all()
