import numpy as np
import pytest

from lepton_core.domains import Choice, Float
from lepton_core.judge.acquisition import log_expected_improvement
from lepton_core.judge.believer import Believer
from lepton_core.judge.cube import Cube
from lepton_core.judge.kernel import JITTER, LUCK, Kernel
from lepton_core.rng import rng
from lepton_core.space import Space

CUBE = Cube(Space({"x": Float(0, 1), "c": Choice(["a", "b"]), "y": Float(0, 1, when={"c": ["a"]})}))
N, M = 20, 30
FEATURES = CUBE.features(CUBE.snap(rng(0, "known").random((N, 3))))
ASKED = CUBE.features(CUBE.snap(rng(0, "asked").random((M, 3))))
TARGETS = rng(0, "targets").normal(size=N)


def kernel(noise=0.02):
    return Kernel(np.array([0.4, 1.1, 0.7]), 1.3, noise, CUBE.groups)


def matern(left, right, one):
    """Matern 5/2 pair by pair, from its formula."""
    found = np.zeros((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            r = np.sqrt(5 * (((a - b) / one.lengths[one.groups]) ** 2).sum())
            found[i, j] = one.signal * (1 + r + r**2 / 3) * np.exp(-r)
    return found


def textbook(one, features, targets, asked):
    """Mean and variance of the function (Rasmussen and Williams, eq. 2.25 and 2.26)."""
    inverse = np.linalg.inv(
        matern(features, features, one) + (one.noise + JITTER) * np.eye(len(targets))
    )
    across = matern(asked, features, one)
    mean = across @ inverse @ targets
    return mean, one.signal - np.einsum("ij,jk,ik->i", across, inverse, across)


def believer(one, *, asked=ASKED, beliefs=4):
    found = Believer(one, FEATURES, TARGETS, M + 10, beliefs)
    found.add(asked)
    return found


def test_the_kernel_is_matern_s():
    one = kernel()
    found = one.between(one.scaled(FEATURES), one.scaled(ASKED))
    assert found == pytest.approx(matern(FEATURES, ASKED, one), abs=1e-9)
    same = one.between(one.scaled(ASKED), one.scaled(ASKED))
    assert np.diagonal(same) == pytest.approx(np.full(M, 1.3), abs=1e-7)


@pytest.mark.parametrize("noise", [1e-5, 0.02, 0.5])
def test_means_and_variances_are_the_textbook_s(noise):
    found = believer(kernel(noise))
    mean, variance = textbook(kernel(noise), FEATURES, TARGETS, ASKED)
    assert found.means() == pytest.approx(mean, abs=1e-6)
    assert found._variance[:M] == pytest.approx(variance, abs=1e-6)


@pytest.mark.parametrize("noise", [1e-3, 0.02, 0.5])
def test_a_belief_is_a_trial_with_the_loss_that_is_predicted(noise):
    """As if the process were given the fantasies as trials; also for candidates that come later."""
    one, found = kernel(noise), believer(kernel(noise), asked=ASKED[:20])
    features, targets = FEATURES, TARGETS
    for chosen in (3, 17, 8):
        fantasy = textbook(one, features, targets, ASKED[chosen : chosen + 1])[0]
        features = np.concatenate([features, ASKED[chosen : chosen + 1]])
        targets = np.concatenate([targets, fantasy])
        found.believe(chosen)
        mean, variance = textbook(one, features, targets, ASKED[:20])
        assert found.means() == pytest.approx(mean, abs=1e-6)
        assert found._variance[:20] == pytest.approx(variance, abs=1e-6)
    found.add(ASKED[20:])
    mean, variance = textbook(one, features, targets, ASKED)
    assert found.means() == pytest.approx(mean, abs=1e-6)
    assert found._variance[:M] == pytest.approx(variance, abs=1e-6)


def test_scores_are_expected_improvements_on_the_target():
    found = believer(kernel())
    mean, variance = textbook(kernel(), FEATURES, TARGETS, ASKED)
    expected = log_expected_improvement(mean, np.sqrt(variance), found.target)
    assert found.scores() == pytest.approx(expected, abs=1e-4)


def test_without_noise_the_lowest_loss_is_to_be_improved_on():
    assert believer(kernel(1e-6)).target == pytest.approx(TARGETS.min(), abs=1e-4)


def test_with_much_noise_it_is_the_lowest_belief_and_between_it_is_between():
    for noise in (LUCK, 2 * LUCK):
        mean, _ = textbook(kernel(noise), FEATURES, TARGETS, FEATURES)
        assert believer(kernel(noise)).target == pytest.approx(mean.min(), abs=1e-4)
        assert mean.min() > TARGETS.min() + 0.01
    mean, _ = textbook(kernel(LUCK / 4), FEATURES, TARGETS, FEATURES)
    expected = 0.75 * TARGETS.min() + 0.25 * mean.min()
    assert believer(kernel(LUCK / 4)).target == pytest.approx(expected, abs=1e-4)


def test_a_belief_below_the_target_becomes_the_target():
    found = believer(kernel(0.5))
    least, most = int(np.argmin(found.means())), int(np.argmax(found.means()))
    found.target = before = float(found.means()[least]) + 0.1
    found.believe(most)
    assert found.target == before
    found.believe(least)
    assert found.target == found.means()[least]


def test_the_same_candidate_believed_again_and_again_is_no_accident():
    found = believer(kernel(1e-6), beliefs=8)
    for _ in range(8):
        found.believe(5)
        assert np.isfinite(found.scores()).all()
    assert found._variance[5] == pytest.approx(0, abs=1e-4)
