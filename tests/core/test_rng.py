import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.rng import TRIAL_SEEDS, rng, trial_seed
from lepton_core.strategies import SEEDS

PATHS = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.sampled_from(("a", "b")))


def stream(seed, *path):
    return rng(seed, *path).integers(2**63, size=2).tolist()


@given(SEEDS, PATHS)
def test_a_key_gives_the_same_stream_each_time(seed, path):
    assert stream(seed, *path) == stream(seed, *path)


@given(st.lists(st.tuples(st.integers(0, 1000), PATHS), min_size=2, max_size=2, unique=True))
def test_each_key_has_its_own_stream(keys):
    (a, path_a), (b, path_b) = keys
    assert stream(a, *path_a) != stream(b, *path_b)


def test_drawing_from_one_generator_moves_no_other():
    first = rng(0, 1, "x")
    first.random(1000)
    assert rng(0, 1, "x").random() == rng(0, 1, "x").random()


def test_the_streams_are_those_of_the_first_release():
    assert (
        repr(rng(0, 0, 0, "random").random(2).tolist()) == "[0.598999777506503, 0.6285846861320691]"
    )
    assert [trial_seed(0, 0, slot) for slot in range(3)] == [1968845677, 525571665, 1342422303]


@given(SEEDS, st.integers(0, 10_000), st.integers(0, 63))
def test_a_trial_seed_fits_32_bit_libraries(seed, generation, slot):
    found = trial_seed(seed, generation, slot)
    assert type(found) is int
    assert 0 <= found < TRIAL_SEEDS == 2**31
    np.random.RandomState(found)  # noqa: TID251  (what scikit-learn will make of it)


def test_each_slot_has_its_own_trial_seed():
    seeds = {trial_seed(0, generation, slot) for generation in range(20) for slot in range(20)}
    assert len(seeds) == 400


def test_a_negative_key_is_refused():
    with pytest.raises(ValueError, match="negative"):
        rng(-1, "x")
