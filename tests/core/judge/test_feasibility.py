import numpy as np
import pytest

from lepton_core.domains import Choice, Float
from lepton_core.judge.cube import Cube
from lepton_core.judge.feasibility import LEAST, Feasibility
from lepton_core.rng import rng
from lepton_core.space import Space

CUBE = Cube(Space({"x": Float(0, 1), "c": Choice(["a", "b", "c"]), "y": Float(0, 1)}))


def asked(n=400, seed=7):
    return CUBE.snap(rng(seed, "asked").random((n, 3)))


def learned(fails, n=60, seed=0):
    at = CUBE.snap(rng(seed, "trials").random((n, 3)))
    failed = fails(at)
    features = CUBE.features(at)
    return Feasibility(features[~failed], features[failed], CUBE.groups)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "fails",
    [lambda at: at[:, 0] > 0.6, lambda at: at[:, 1] > 2 / 3],
    ids=["half of a number", "one of a choice"],
)
def test_where_trials_always_fail_success_is_unlikely(fails, seed):
    at = asked()
    found = np.exp(learned(fails, seed=seed).log_probability(CUBE.features(at)))
    bad, near = fails(at), np.abs(at[:, 0] - 0.6) < 0.1
    assert np.median(found[bad & ~near]) < 0.2
    assert np.median(found[~bad & ~near]) > 0.9
    assert ((found >= LEAST * 0.999) & (found <= 1)).all()


def test_where_failures_have_no_pattern_candidates_differ_less_and_are_right_on_average():
    """Chance is at times taken for a pattern; where there is one, nearly all of [0, 1] is used."""
    spreads, means = [], []
    for seed in range(8):
        coin = rng(seed, "coin").random(80) < 0.3
        model = learned(lambda _, coin=coin: coin, n=80, seed=seed)
        found = np.exp(model.log_probability(CUBE.features(asked())))
        spreads.append(np.quantile(found, 0.95) - np.quantile(found, 0.05))
        means.append(found.mean())
    assert np.mean(spreads) < 0.5
    assert np.mean(means) == pytest.approx(0.7, abs=0.05)


def test_a_single_failure_makes_its_surroundings_less_likely_than_others():
    at = np.array([[0.1, 0.5, 0.1], [0.9, 0.5, 0.9], [0.5, 0.5, 0.5]])
    features = CUBE.features(CUBE.snap(at))
    found = Feasibility(features[:2], features[2:], CUBE.groups).log_probability(features)
    assert found[2] < found[0]
    assert found[2] < found[1]


def test_any_number_of_trials_is_learned_from():
    at = asked(600)
    failed = at[:, 0] > 0.8
    features = CUBE.features(at)
    model = Feasibility(features[~failed], features[failed][:100], CUBE.groups)
    found = np.exp(model.log_probability(features))
    assert found[failed].mean() < 0.3
    assert found[~failed].mean() > 0.8
