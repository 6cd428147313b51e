import numpy as np
import pytest

from lepton_core.domains import Float, Int
from lepton_core.judge.archive import Archive, Entry
from lepton_core.judge.recommend import recommend
from lepton_core.rng import rng
from lepton_core.space import Space

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1), "n": Int(0, 9)})


def true_loss(points):
    return ((points - np.array([0.3, 0.6, 0.45])) ** 2).sum(axis=1)


def remembered(seed, n, noise):
    """An archive of random trials, and the true losses."""
    generator = rng(seed, "recommend")
    points = np.array([SPACE.encode(SPACE.decode(p)) for p in generator.random((n, 3))])
    true = true_loss(points)
    observed = true + noise * generator.standard_normal(n)
    entries = tuple(
        Entry(i, tuple(map(float, p)), float(loss))
        for i, (p, loss) in enumerate(zip(points, observed, strict=True))
    )
    return Archive(usable=entries, failed=(Entry(n, (0.5, 0.5, 0.5), None),)), true, observed


def test_without_a_usable_trial_there_is_nothing_to_recommend():
    assert recommend(Archive(), SPACE) is None
    assert recommend(Archive(failed=(Entry(0, (0.5, 0.5, 0.5), None),)), SPACE) is None


def test_of_one_trial_it_is_that_one():
    assert recommend(Archive(usable=(Entry(4, (0.5, 0.5, 0.5), 1.0),)), SPACE) == 4


def test_of_equal_losses_it_is_the_first():
    same = tuple(Entry(3 + i, (0.5, 0.5, 0.5), 2.0) for i in range(5))
    assert recommend(Archive(usable=same), SPACE) == 3


@pytest.mark.parametrize("n", [2, 5, 20, 60, 200])
def test_without_noise_it_is_the_lowest_observed(n):
    for seed in range(6):
        archive, _, observed = remembered(seed, n, noise=0.0)
        assert recommend(archive, SPACE) == int(np.argmin(observed))


def test_with_noise_it_is_better_on_average_than_the_lowest_observed():
    lowest, recommended = [], []
    for seed in range(25):
        archive, true, observed = remembered(seed, 60, noise=0.15)
        lowest.append(true[int(np.argmin(observed))])
        recommended.append(true[recommend(archive, SPACE)])
    assert np.mean(recommended) < 0.85 * np.mean(lowest)


def test_it_is_the_same_again():
    archive, _, _ = remembered(1, 40, noise=0.1)
    assert recommend(archive, SPACE) == recommend(archive, SPACE)
