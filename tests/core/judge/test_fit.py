import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lepton_core.domains import Choice, Float
from lepton_core.judge.cube import Cube
from lepton_core.judge.fit import DIGITS, IMPOSSIBLE, LENGTHS, NOISES, SIGNALS, _Posterior, fit
from lepton_core.judge.kernel import JITTER, Kernel
from lepton_core.judge.warp import warped
from lepton_core.rng import rng
from lepton_core.space import Space

MIXED = Cube(
    Space(
        {
            "kind": Choice(["a", "b", "c"]),
            "x": Float(0, 1),
            "y": Float(0, 1, when={"kind": ["a", "b"]}),
        }
    )
)
PLANE = Cube(Space({"x": Float(0, 1), "y": Float(0, 1)}))


def points(cube, n, seed=0):
    return cube.snap(rng(seed, "points").random((n, cube.size)))


def posterior(n=25):
    features = MIXED.features(points(MIXED, n))
    targets = warped(rng(1, "targets").random(n))
    middle, spread = np.array([0.1, -0.5, 0.3, 0.0, -5.0]), np.array([1.0, 1.0, 1.0, 1.0, 2.0])
    return _Posterior(features, MIXED.groups, targets, middle, spread), features, targets


THETAS = (
    np.array([0.1, -0.5, 0.3, 0.0, -5.0]),
    np.array([-1.0, 0.7, -2.0, 1.5, -1.0]),
    np.array([2.0, -3.0, 0.0, -2.0, -10.0]),
)


@pytest.mark.parametrize("theta", THETAS, ids=str)
def test_the_gradient_is_that_of_the_value(theta):
    """By central differences."""
    value, _, _ = posterior()
    _, gradient = value(theta)
    step = 1e-5
    numeric = [
        (value(theta + step * e)[0] - value(theta - step * e)[0]) / (2 * step) for e in np.eye(5)
    ]
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("theta", THETAS[:2], ids=str)
def test_the_value_is_the_negative_logarithm_of_likelihood_and_prior(theta):
    """But for constants."""
    value, features, targets = posterior()

    def textbook(theta):
        kernel = Kernel(np.exp(theta[:3]), np.exp(theta[3]), np.exp(theta[4]), MIXED.groups)
        scaled = kernel.scaled(features)
        covariance = kernel.between(scaled, scaled) + (kernel.noise + JITTER) * np.eye(25)
        prior = (((theta - value.middle) / value.spread) ** 2).sum() / 2
        return prior - multivariate_normal.logpdf(targets, np.zeros(25), covariance)

    start = THETAS[0] + 0.3
    assert value(theta)[0] - value(start)[0] == pytest.approx(
        textbook(theta) - textbook(start), rel=1e-6
    )


def test_a_matrix_that_cannot_be_factored_is_no_accident():
    """Of a signal so strong that, beside it, there is no jitter, and of two equal points."""
    features = np.full((2, MIXED.features(points(MIXED, 1)).shape[1]), 0.5)
    value = _Posterior(features, MIXED.groups, np.ones(2), THETAS[0], np.ones(5))
    found, gradient = value(np.array([0.0, 0.0, 0.0, 50.0, -12.0]))
    assert found == IMPOSSIBLE
    assert gradient.tolist() == [0.0] * 5


@pytest.mark.parametrize("seed", range(3))
def test_a_param_that_matters_has_a_shorter_length_than_one_that_does_not(seed):
    at = points(PLANE, 40, seed)
    found = fit(PLANE.features(at), PLANE.groups, warped(np.sin(6 * at[:, 0])))
    assert found.lengths[1] > 3 * found.lengths[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_that_matters_is_told_from_one_that_does_not(seed):
    cube = Cube(Space({"c": Choice([1, 2, 3]), "d": Choice([1, 2, 3]), "x": Float(0, 1)}))
    at = points(cube, 50, seed)
    losses = np.array([0.0, 5.0, 1.0])[(at[:, 0] * 3).astype(int)] + at[:, 2]
    found = fit(cube.features(at), cube.groups, warped(losses))
    assert found.lengths[1] > 3 * found.lengths[0]


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_found_where_there_is_noise(seed):
    at = points(PLANE, 60, seed)
    bowl = ((at - 0.4) ** 2).sum(axis=1)
    noise = rng(seed, "noise").normal(size=60)
    smooth, rough, chaos = (
        fit(PLANE.features(at), PLANE.groups, warped(losses)).noise
        for losses in (bowl, bowl + 0.5 * bowl.std() * noise, noise)
    )
    assert smooth < 0.01
    assert 0.05 < rough < chaos


def test_what_is_found_is_rounded_and_within_bounds():
    at = points(PLANE, 30)
    for losses in (np.sin(9 * at[:, 0]), np.zeros(30), rng(2, "losses").random(30)):
        found = fit(PLANE.features(at), PLANE.groups, warped(losses))
        logs = np.log([*found.lengths, found.signal, found.noise])
        assert logs == pytest.approx(logs.round(DIGITS), abs=1e-12)
        slack = 10.0**-DIGITS
        low, high = np.log(LENGTHS)
        assert low - slack <= logs[:2].min() <= logs[:2].max() <= high + slack
        assert SIGNALS[0] - slack <= logs[2] <= SIGNALS[1] + slack
        assert NOISES[0] - slack <= logs[3] <= NOISES[1] + slack


def test_without_anything_learned_the_fit_is_the_prior_s():
    """From one point nothing is learned of lengths: they are the prior's, which grow with d."""
    for d in (1, 4, 16):
        found = fit(np.full((1, d), 0.5), np.arange(d), np.zeros(1))
        assert found.lengths == pytest.approx(0.4 * d**0.25, rel=1e-2)
