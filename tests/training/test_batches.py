import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.training.batches import Position, split, stream


def taken(rows, size, position, count, seed=0):
    batches = stream(rows, size, seed, position)
    return [next(batches) for _ in range(count)]


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 9))
def test_every_row_comes_once_an_epoch_in_batches_of_one_size(rows, size, seed):
    batches = taken(rows, size, Position(), 2 * rows, seed)
    assert {len(indices) for indices, _ in batches} == {min(rows, size)}
    seen = np.concatenate([indices for indices, _ in batches])
    for epoch in range(2):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 30))
def test_a_stream_goes_on_where_another_one_was_left(rows, size, before):
    whole = taken(rows, size, Position(), before + 5)
    position = whole[before - 1][1] if before else Position()
    rest = taken(rows, size, position, 5)
    for (indices, at), (again, at_again) in zip(whole[before:], rest, strict=True):
        assert at == at_again
        assert list(indices) == list(again)


def test_members_of_other_batch_sizes_see_the_rows_in_the_same_order():
    small = np.concatenate([indices for indices, _ in taken(30, 2, Position(), 30)])
    large = np.concatenate([indices for indices, _ in taken(30, 12, Position(), 5)])
    assert list(small) == list(large)


def test_epochs_and_seeds_have_orders_of_their_own():
    one, two = taken(50, 50, Position(), 2)
    assert list(one[0]) != list(two[0])
    (other,) = taken(50, 50, Position(), 1, seed=1)
    assert list(one[0]) != list(other[0])


@settings(deadline=None)  # scikit-learn is imported by the first one
@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_parts_the_rows_and_leaves_some_on_either_side(rows, share, seed):
    train, held = split(rows, share, seed)
    assert sorted([*train, *held]) == list(range(rows))
    assert min(len(train), len(held)) > 0
    assert abs(len(held) - rows * share) <= 1
    again = split(rows, share, seed)
    assert list(again[1]) == list(held)


@pytest.mark.parametrize("kind", [int, str, bool])
def test_classes_keep_their_shares(kind):
    target = np.array([0] * 80 + [1] * 20).astype(kind)
    _, held = split(100, 0.2, 0, target)
    assert sum(target[held] == target[-1]) == 4


@pytest.mark.parametrize(
    "target",
    [
        np.linspace(0, 1, 100),
        np.arange(100),
        np.array([0] * 99 + [1]),
        np.zeros((100, 3), dtype=int),
        [None] * 100,
    ],
    ids=["numbers", "a value a row", "a class of one", "a table", "nothing"],
)
def test_what_is_no_class_is_split_as_it_comes(target):
    train, held = split(100, 0.2, 0, target)
    assert (len(train), len(held)) == (80, 20)
