"""How many configurations a space has: held against a space that is simply tried out."""

from itertools import product

import pytest
from hypothesis import given

from lepton_core import configurations
from lepton_core.configurations import MAX_COUNTED, MAX_OPEN
from lepton_core.space import MAX_LISTED, Choice, Float, Int, Space
from lepton_core.strategies import small_spaces

YES = Choice([True, False])


def tried_out(space: Space, points: int = 20) -> set[str]:
    """The keys at the points of a grid so fine that it meets every cell."""
    axis = [(i + 0.5) / points for i in range(points)]
    return {space.key(space.decode(at)) for at in product(axis, repeat=len(space))}


@given(small_spaces())
def test_a_space_has_as_many_as_are_found_by_trying(space):
    found = tried_out(space)
    assert space.size == len(found)
    assert set(space.configurations) == found


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"n": Int(1, 9, step=2), "c": YES}, 10),
        ({"x": Float(0.0, 1.0, step=0.25), "k": "fixed"}, 5),
        ({"c": YES, "n": Int(1, 7, when={"c": True})}, 8),
        # a value that no condition names, an inactive parent, two conditions at once
        ({"n": Int(1, 9), "a": YES, "b": Int(1, 5, when={"n": [2, 3], "a": True})}, 9 * 2 - 2 + 10),
        ({"a": YES, "b": Choice([True, False], when={"a": True}), "d": Int(1, 3, when={"b": True})}
         , 1 + 1 + 3),
        # a continuous param that may be active makes it endless, one that never is does not
        ({"a": "off", "n": YES, "x": Float(0, 1, when={"n": True, "m": 3}), "m": 3}, None),
        ({"a": YES, "b": Choice(["u"], when={"a": True}),
          "x": Float(0, 1, when={"a": False, "b": "u"})}, 2),
        ({"a": YES, "x": Float(0, 1, when={"a": True})}, None),
        ({"n": Int(0, 2**53)}, None),
        ({"n": Int(1, MAX_COUNTED)}, MAX_COUNTED),
        ({"n": Int(0, MAX_COUNTED)}, None),
        # so many that they can only be counted: 11 switches, each with a child of 3
        ({**{f"a{i}": YES for i in range(11)},
          **{f"b{i}": Int(1, 3, when={f"a{i}": True}) for i in range(11)}}, 4**11),
    ],
)  # fmt: skip
def test_conditions_are_counted_through(params, size):
    assert Space(params).size == size


def test_conditions_too_entangled_count_as_endless_and_never_as_too_few():
    switches = {f"a{i}": Choice([True, False]) for i in range(14)}
    one = Int(1, 2, when={name: [True] for name in switches})
    assert Space({**switches, "n": one, "m": one}).size is None
    assert MAX_OPEN >= MAX_LISTED  # else a space of few configurations might not be listed


def test_a_space_of_few_configurations_is_listed_whatever_its_product():
    kinds = Choice(["a", "b", "c", "d"])
    params = {f"n{kind}": Int(1, 50, when={"kind": kind}) for kind in "abcd"}
    space = Space({"kind": kinds, **params})
    assert len(space.configurations) == space.size == 200


def test_they_are_listed_in_the_order_of_their_values():
    """The one that is drawn from what is left depends on the order: `verify` relies on it."""
    space = Space({"n": Int(1, 2, when={"c": ["b"]}), "c": Choice(["a", "b"])})
    assert list(space.configurations.values()) == [
        {"c": "a"},
        {"n": 1, "c": "b"},
        {"n": 2, "c": "b"},
    ]


def test_a_deep_chain_of_conditions_is_no_deep_recursion():
    chain = {"p0": YES} | {
        f"p{i}": Choice([True, False], when={f"p{i - 1}": True}) for i in range(1, 900)
    }
    assert Space(chain).size == 901
    assert len(list(configurations.each(Space(chain).params))) == 901
