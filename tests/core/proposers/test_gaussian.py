"""The Gaussian's step against pycma, and what it does that pycma does not."""

from __future__ import annotations

import cma
import numpy as np
import pytest

from lepton_core.proposers.gaussian import MAX_FULL, Axes, Rates, round_gaussian, step


def ellipsoid(x):
    scales = 10.0 ** (3 * np.arange(len(x)) / (len(x) - 1))
    return float(scales @ (x * x))


@pytest.mark.parametrize(("n", "popsize"), [(5, 8), (10, 8), (10, 16), (20, 12)])
def test_told_the_same_points_it_moves_as_pycma_does(n, popsize):
    """60 steps on an ellipsoid: mean, step size and covariance, with active updates."""
    options = {"popsize": popsize, "seed": 3, "verbose": -9, "updatecovwait": 0}
    reference = cma.CMAEvolutionStrategy(np.full(n, 0.7), 0.25, options)
    ours = round_gaussian([0.7] * n, 0.25)
    for _ in range(60):
        points = reference.ask()
        found = [ellipsoid(point) for point in points]
        reference.tell(points, found)
        best_first = [np.array(points[i]) for i in np.argsort(found, kind="stable")]
        ours = step(ours, best_first, [False] * popsize)
        assert ours.mean == pytest.approx(reference.mean, abs=1e-9)
        assert ours.sigma == pytest.approx(reference.sigma, rel=1e-3)  # its chi is approximate
        scale = np.abs(reference.C).max()
        assert np.array(ours.covariance) == pytest.approx(reference.C, abs=2e-4 * scale)


def test_a_step_is_the_same_whatever_the_axes_are_called():
    """Rotating the space rotates the step: the direction of a coordinate means nothing."""
    n = 6
    generator = np.random.Generator(np.random.Philox(1))
    turn = np.linalg.qr(generator.standard_normal((n, n)))[0]
    points = [0.1 * generator.standard_normal(n) for _ in range(8)]
    plain = turned = round_gaussian([0.0] * n, 0.1)
    for _ in range(5):
        plain = step(plain, points, [False] * 8)
        turned = step(turned, [turn @ point for point in points], [False] * 8)
    assert turned.sigma == pytest.approx(plain.sigma)
    assert turned.mean == pytest.approx(turn @ np.array(plain.mean))


def test_a_foreign_point_far_away_does_not_tear_it_apart():
    """Hansen 2011: it is pulled near enough to have been drawn here."""
    start = round_gaussian([0.5] * 5, 0.01)
    generator = np.random.Generator(np.random.Philox(2))
    near = [0.5 + 0.01 * generator.standard_normal(5) for _ in range(3)]
    far = np.full(5, 100.0)
    pulled = step(start, [far, *near], [True, False, False, False])
    torn = step(start, [far, *near], [False] * 4)
    assert np.linalg.norm(np.array(pulled.mean) - 0.5) < 0.05 < np.linalg.norm(torn.mean)
    assert pulled.sigma < 0.03


def test_a_coordinate_of_which_points_say_nothing_stays_as_it_is():
    start = round_gaussian([0.5, 0.5], 0.1)
    points = [np.array([0.1 * k, np.nan]) for k in range(8)]
    after = step(start, points, [False] * 8)
    assert after.mean[1] == 0.5
    assert after.covariance[1][1] == pytest.approx(1.0, abs=0.2)
    assert np.isfinite(after.covariance).all()


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("count", [2, 4, 8, 64])
@pytest.mark.parametrize("n", [1, 2, 10, 48])
def test_utilities_reward_the_better_half_and_hold_the_worse_one_against_a_baseline(n, count, full):
    rates = Rates(n, count, full)
    weights = rates.weights
    assert weights[weights > 0].sum() == pytest.approx(1)
    assert (np.diff(weights[weights > 0]) < 0).all()
    assert 0 < rates.rank_one + rates.rank_many <= 1
    # Positive weights and what is kept: the covariance stays positive on average.
    assert 1 - rates.rank_one - rates.rank_many * weights.sum() >= -1e-12


def test_its_density_integrates_to_one_and_its_draws_have_its_covariance():
    gaussian = round_gaussian([0.3], 0.1)
    for k in range(4):
        gaussian = step(gaussian, [np.array([0.1 * k + 0.05 * j]) for j in range(4)], [False] * 4)
    axes = Axes(gaussian)
    grid = axes.mean[0] + axes.sigma * axes.scales[0] * np.linspace(-9, 9, 4001)
    density = np.exp([axes.log_density(np.array([x])) for x in grid])
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    generator = np.random.Generator(np.random.Philox(3))
    draws = np.array([axes.draw(generator) for _ in range(4000)])
    assert draws.std() == pytest.approx(axes.sigma * axes.scales[0], rel=0.05)


def test_a_cell_of_a_whole_number_is_left_even_by_a_tiny_deviation():
    gaussian = round_gaussian([0.5, 0.5], 1e-6)
    generator = np.random.Generator(np.random.Philox(4))
    axes = Axes(gaussian, np.array([0.1, 0.0]))
    draws = np.array([axes.draw(generator) for _ in range(200)])
    assert draws[:, 0].std() > 0.05
    assert draws[:, 1].std() < 1e-5


def test_in_many_dimensions_the_variances_alone_are_kept():
    n = MAX_FULL + 1
    gaussian = round_gaussian([0.5] * n, 0.1)
    generator = np.random.Generator(np.random.Philox(5))
    after = step(gaussian, [generator.random(n) for _ in range(8)], [False] * 8)
    assert np.shape(after.covariance) == (1, n)
    assert np.array(after.covariance).min() > 0
