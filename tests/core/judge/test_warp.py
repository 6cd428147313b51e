import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.judge.warp import warped
from lepton_core.rng import rng

LOSSES = st.lists(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from((0.0, 1.0, 1e300, -1e300, 5e-324, 1.7e308, -1.7e308)),
    min_size=1,
    max_size=30,
).map(np.array)


@given(LOSSES)
def test_any_losses_become_finite_targets_in_the_same_order(losses):
    """Huge, equal and tiny ones too: equal ones stay equal, and lower ones stay lower."""
    targets = warped(losses)
    assert np.isfinite(targets).all()
    order = np.argsort(losses, kind="stable")
    grown, rises = np.diff(losses[order]) > 0, np.diff(targets[order])
    assert (rises[grown] > 0).all()
    assert (rises[~grown] == 0).all()
    assert np.abs(targets).max() < 20


@pytest.mark.parametrize("losses", [[7.0], [3.0] * 5, [1e300] * 3, [5e-324] * 2])
def test_losses_that_do_not_differ_teach_nothing(losses):
    assert warped(np.array(losses)).tolist() == [0.0] * len(losses)


def test_one_endless_loss_leaves_the_others_told_apart():
    usual = np.linspace(0, 1, 20)
    targets = warped(np.append(usual, 1e300))
    assert np.ptp(targets[:-1]) > 1
    assert targets[-1] == targets.max()


def test_scale_and_shift_of_losses_do_not_matter():
    losses = rng(1, "losses").gamma(0.5, size=40)
    assert warped(1000 * losses - 5) == pytest.approx(warped(losses), abs=1e-9)


def test_targets_are_about_standardised():
    targets = warped(rng(1, "losses").lognormal(sigma=3, size=200))
    assert abs(targets.mean()) < 0.02
    assert targets.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "losses",
    [[1.7e308, -1.7e308, 1.7e308, 0.0], [1.7e308] * 5 + [-1.7e308] * 5, [0.0] * 9 + [1e300]],
    ids=["far apart", "half and half", "one endless"],
)
def test_differences_that_overflow_are_no_accident(losses):
    """An infinity's difference to another would be no number, and end the fit."""
    targets = warped(np.array(losses))
    assert np.isfinite(targets).all()
    assert targets[np.argmax(losses)] - targets[np.argmin(losses)] > 1
