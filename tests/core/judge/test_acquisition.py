import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from lepton_core.judge.acquisition import FAR, log_expected_improvement


@pytest.mark.parametrize("deviation", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("u", [-4.9, -2.0, -0.5, 0.0, 0.3, 4.0, 30.0])
def test_it_is_the_mean_of_what_lies_below_the_target(u, deviation):
    """The integral of max(target - y, 0) over the normal distribution of y."""
    mean, target = 1.5, 1.5 + u * deviation
    integral, _ = quad(
        lambda z: (u - z) * norm.pdf(z), -40, u, points=[-3, 0, 3], epsabs=0, limit=200
    )
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), target)
    assert found[0] == pytest.approx(np.log(integral * deviation), abs=1e-6)


def test_far_away_it_is_the_tail():
    """Between the two forms there is no step to speak of, and the tail has the right slope."""
    u = np.array([FAR - 1e-9, FAR + 1e-9])
    near, far = log_expected_improvement(-u, np.ones(2), 0.0)
    assert near == pytest.approx(far, abs=0.15)
    for u in (-6.0, -8.0):
        integral, _ = quad(lambda z, u=u: (u - z) * norm.pdf(z), -40, u, epsabs=0, limit=200)
        found = log_expected_improvement(np.array([-u]), np.ones(1), 0.0)[0]
        assert found == pytest.approx(np.log(integral), abs=0.1)


def test_hopeless_candidates_can_be_told_apart():
    means = np.concatenate([np.linspace(-5, 60, 2000), 10.0 ** np.arange(2, 100)])
    found = log_expected_improvement(means, np.full(len(means), 0.7), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_of_equal_means_the_less_certain_promises_more():
    deviations = np.geomspace(1e-6, 10, 50)
    for target in (-3.0, 0.0, 0.5):
        found = log_expected_improvement(np.zeros(50), deviations, target)
        assert np.isfinite(found).all()
        assert (np.diff(found) > -1e-12).all()
