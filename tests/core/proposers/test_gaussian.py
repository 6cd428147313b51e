"""The Gaussian's step against pycma, and what it does that pycma does not."""

from __future__ import annotations

import cma
import numpy as np
import pytest

from lepton_core.proposers.gaussian import (
    MAX_FULL,
    Axes,
    Gaussian,
    Rates,
    lifted,
    round_gaussian,
    step,
)


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


def test_what_others_found_bad_takes_no_variance_away():
    """Four of eight are foreign and the worst, all along one axis, where the rest is nowhere."""
    start = round_gaussian([0.5, 0.5], 0.1)
    good = [np.array([0.5 + 0.05 * k, 0.5]) for k in (-2, -1, 1, 2)]
    bad = [np.array([0.5, 0.5 + 0.05 * k]) for k in (-2, -1, 1, 2)]
    own = step(start, good + bad, [False] * 8)
    others = step(start, good + bad, [False] * 4 + [True] * 4)
    assert others.mean == own.mean
    assert others.covariance[1][1] > own.covariance[1][1]
    least = np.linalg.eigvalsh(np.array(others.covariance))[0]
    kept = 1 - Rates(2, 8).rank_one - Rates(2, 8).rank_many
    assert least == pytest.approx(kept)


def test_a_coordinate_of_which_points_say_nothing_stays_as_it_is():
    start = round_gaussian([0.5, 0.5], 0.1)
    points = [np.array([0.1 * k, np.nan]) for k in range(8)]
    after = step(start, points, [False] * 8)
    assert after.mean[1] == 0.5
    assert after.covariance[1][1] == pytest.approx(1.0, abs=0.2)
    assert np.isfinite(after.covariance).all()


def correlated(rho, steps=50):
    still = (0.0, 0.0)
    return Gaussian((0.5, 0.5), 0.1, ((1.0, rho), (rho, 1.0)), still, still, steps)


def drawn(gaussian, count, seed):
    generator = np.random.Generator(np.random.Philox(seed))
    return [Axes(gaussian).draw(generator) for _ in range(count)]


@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("silent", [[np.nan, np.nan], [0.5, np.nan]])
def test_the_covariance_stays_positive_where_the_worse_half_is_silent(rho, silent):
    start = correlated(rho)
    for seed in range(20):
        points = drawn(start, 8, seed)
        worse = [np.where(np.isnan(silent), np.nan, point) for point in points[4:]]
        after = step(start, points[:4] + worse, [False] * 8)
        least, most = np.linalg.eigvalsh(np.array(after.covariance))
        assert least > 0
        assert least / most > 0.1 * (1 - rho) / (1 + rho)


def test_silence_about_one_of_two_that_hang_together_blows_nothing_up():
    """Without any selection, by a tenth of a step at most is sigma's course drawn off."""
    for seed in range(20):
        gaussian = correlated(0.99)
        for k in range(5):
            points = drawn(gaussian, 8, 100 * seed + k)
            for i in range(0, 8, 2):
                points[i][1] = np.nan
            gaussian = step(gaussian, points, [False] * 8)
            assert np.linalg.norm(gaussian.sigma_path) < 5
        assert 0.02 < gaussian.sigma < 0.5


def test_a_point_says_of_what_it_leaves_out_what_is_expected_given_the_rest():
    """Of a tied pair the silent one moves with the other."""
    after = step(correlated(0.999), [np.array([0.6, np.nan])] * 4, [False] * 4)
    assert after.mean[1] == pytest.approx(0.5 + 0.999 * (after.mean[0] - 0.5))
    assert after.mean[0] == pytest.approx(0.6)


@pytest.mark.parametrize("least", [1e-18, 0.0, -1e-16])
def test_a_covariance_beyond_rounding_is_one_again(least):
    """A valley so narrow that its smallest eigenvalue came out as nothing, or below."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    rows = tuple(tuple(row) for row in ((turn * [1.0, least]) @ turn.T).tolist())
    gaussian = Gaussian((0.5, 0.5), 0.1, rows, (0.0, 0.0), (0.0, 0.0))
    points = drawn(gaussian, 8, 1)
    assert np.isfinite(Axes(gaussian).log_density(points[0], [0, 1]))
    points[3][1] = np.nan
    after = step(gaussian, points, [False] * 8)
    assert Axes(after).deviations.min() > 0
    assert np.linalg.eigvalsh(Axes(gaussian).covariance)[0] > 0


@pytest.mark.parametrize("n", [2, MAX_FULL + 1])
def test_a_batch_that_says_nothing_changes_nothing(n):
    start = step(
        round_gaussian([0.5] * n, 0.1), drawn(round_gaussian([0.5] * n, 0.1), 8, 1), [False] * 8
    )
    assert step(start, [np.full(n, np.nan)] * 8, [False] * 8) == start


def test_a_batch_that_says_half_shrinks_sigma_no_faster_than_one_that_says_all():
    """Over many first steps without selection, of which the path is still short."""

    def drift(silent):
        grown = []
        for seed in range(300):
            start = round_gaussian([0.5] * 4, 0.1)
            points = drawn(start, 8, seed)
            for point in points:
                point[silent] = np.nan
            grown.append(np.log(step(start, points, [False] * 8).sigma / 0.1))
        return float(np.mean(grown))

    assert abs(drift([2, 3])) < 1.5 * abs(drift([])) < 0.1


def test_a_marginal_density_is_that_of_the_coordinates_alone():
    gaussian = correlated(0.8)
    point = np.array([0.6, 123.0])
    expected = -0.5 - np.log(0.1 * np.sqrt(2 * np.pi))
    assert Axes(gaussian).log_density(point, [0]) == pytest.approx(expected)
    assert Axes(gaussian).log_density(point, []) == 0.0


def test_a_lift_widens_what_is_too_narrow_and_nothing_else():
    gaussian = correlated(0.5)
    assert lifted(gaussian, np.array([0.1, 0.05])) is gaussian
    wider = Axes(lifted(gaussian, np.array([0.0, 0.3])))
    assert wider.deviations == pytest.approx([0.1, 0.3])
    wide = round_gaussian([0.5] * (MAX_FULL + 1), 0.1)
    least = np.zeros(MAX_FULL + 1)
    least[3] = 0.2
    assert Axes(lifted(wide, least)).deviations[[2, 3]] == pytest.approx([0.1, 0.2])


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
    density = np.exp([axes.log_density(np.array([x]), [0]) for x in grid])
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    generator = np.random.Generator(np.random.Philox(3))
    draws = np.array([axes.draw(generator) for _ in range(4000)])
    assert draws.std() == pytest.approx(axes.sigma * axes.scales[0], rel=0.05)


def test_a_cell_of_a_whole_number_is_left_even_by_a_tiny_deviation():
    gaussian = round_gaussian([0.5, 0.5], 1e-6)
    generator = np.random.Generator(np.random.Philox(4))
    axes = Axes(lifted(gaussian, np.array([0.1, 0.0])))
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
