import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json, shown
from lepton_core.errors import DeclarationError, SpaceError
from lepton_core.space import Choice, Fixed, Float, Int, Space
from lepton_core.space_file import parse_space
from lepton_core.strategies import numbers, small_spaces, spaces, whole_numbers

SPACE = Space(
    {
        "drop": Float(0.0, 0.5, when={"booster": ["dart"], "depth": [2, 3]}),
        "booster": Choice(["gbtree", "dart"]),
        "depth": Int(2, 4),
        "kind": "binary:logistic",
        "skip": Int(1, 9, when={"drop_more": [True]}),
        "drop_more": Choice([True, False], when={"booster": "dart"}),
    }
)


def points(space):
    return st.lists(st.floats(0, 1), min_size=len(space), max_size=len(space))


@given(spaces(), st.data())
def test_params_are_read_back_exactly_from_their_strings(space, data):
    params = space.decode(data.draw(points(space)))
    again = space.from_strings(json.loads(json.dumps(space.to_strings(params))))
    assert repr(again) == repr(params)


@given(spaces(), st.data())
def test_params_come_back_from_the_cube(space, data):
    params = space.decode(data.draw(points(space)))
    point = space.encode(params)
    assert point.shape == (len(space),)
    assert all(0 <= u <= 1 for u in point)
    again = space.decode(point)
    assert list(again) == list(params)
    for name, value in params.items():
        domain = space.params[name]
        if isinstance(domain, Float) and domain.step is None:
            assert again[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * domain.high)
        else:
            assert repr(again[name]) == repr(value)


@given(spaces())
def test_a_space_is_read_back_from_its_declaration_in_order(space):
    pairs = json.loads(json.dumps(list(space.to_dict().items())))
    again = parse_space(dict(pairs))
    assert list(again) == list(space)
    assert (again, hash(again)) == (space, hash(space))
    assert again.to_dict() == space.to_dict()


@given(spaces(), st.data())
def test_equal_keys_mean_equal_params(space, data):
    a, b = (space.decode(data.draw(points(space))) for _ in range(2))
    assert (space.key(a) == space.key(b)) == (repr(a) == repr(b))
    assert space.key(dict(reversed(a.items()))) == space.key(a)


def test_inactive_params_are_left_out():
    #                   drop, booster, depth, skip, drop_more
    assert SPACE.decode([0.5, 0.0, 0.0, 0.5, 0.0]) == {
        "booster": "gbtree",
        "depth": 2,
        "kind": "binary:logistic",
    }
    assert list(SPACE.decode([0.5, 0.9, 0.0, 0.5, 0.0])) == list(SPACE)
    # all conditions must hold, those of a parent too
    assert "drop" not in SPACE.decode([0.5, 0.9, 1.0, 0.5, 0.0])
    assert "skip" not in SPACE.decode([0.5, 0.9, 0.0, 0.5, 0.9])


def test_an_inactive_param_lies_in_the_middle_of_the_cube():
    params = {"booster": "gbtree", "depth": 4, "kind": "binary:logistic"}
    assert SPACE.encode(params).tolist() == [0.5, 0.25, 2.5 / 3, 0.5, 0.5]


def test_a_point_outside_the_cube_is_clipped():
    space = Space(
        {"c": Choice(["a", "b", "c"]), "n": Int(1, 3), "x": Float(1, 2), "y": Float(1, 2)}
    )
    found = space.decode([-0.3, 7, float("nan"), float("inf")])
    assert found == {"c": "a", "n": 3, "x": 1.0, "y": 2.0}


def test_a_point_of_another_dimension_is_refused():
    with pytest.raises(SpaceError, match="the point has 2 coordinates; this space has 5"):
        SPACE.decode([0, 0])


def test_only_searched_params_are_dimensions():
    assert SPACE.free == ("drop", "booster", "depth", "skip", "drop_more")
    assert len(SPACE) == 5
    assert list(SPACE)[3] == "kind"


def test_a_condition_is_met_in_the_type_of_its_parent():
    space = Space({"depth": Int(1, 2), "x": Float(0, 1, when={"depth": [2.0]})})
    assert space.params["x"].when == (("depth", (2,)),)
    assert list(space.decode([0.9, 0.5])) == ["depth", "x"]
    assert list(space.decode([0.1, 0.5])) == ["depth"]


def test_a_condition_on_a_fixed_value_or_a_boolean_holds():
    space = Space({"on": True, "x": Float(0, 1, when={"on": True}), "n": Choice([1, 2])})
    assert "x" in space.decode([0.5, 0.5])


def test_the_order_of_params_and_the_type_of_values_make_another_space():
    a = Space({"x": Float(0, 1), "y": Int(0, 1)})
    assert a == Space({"x": Float(0.0, 1.0), "y": Int(0, 1)})
    assert a != Space({"y": Int(0, 1), "x": Float(0, 1)})
    assert Space({"x": Float(0, 1), "k": 1}) != Space({"x": Float(0, 1), "k": True})
    assert a != "a"


def test_a_missing_fixed_value_is_filled_in_and_the_order_restored():
    found = SPACE.validate({"depth": 4.0, "booster": "gbtree"})
    assert list(found.items()) == [
        ("booster", "gbtree"),
        ("depth", 4),
        ("kind", "binary:logistic"),
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dept": 2}, r"dept: is not a param of this space; there are: \[drop, booster"),
        ({1: 2}, "1: is not a param"),
        ({10**5000: 2}, "<a whole number of 16610 bits>: is not a param"),
        ({"booster": "gbtree"}, "depth: is missing; expected a whole number from 2 to 4"),
        ({"booster": "x", "depth": 2}, r"booster: found 'x'; expected one of \[gbtree, dart\]"),
        ({"booster": "gbtree", "depth": 2, "drop": 0.1}, "drop: has a value but is inactive"),
        ({"booster": "gbtree", "depth": 2, "kind": "x"}, "kind: found 'x'"),
    ],
)
def test_params_that_are_no_point_of_the_space_are_refused(params, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.validate(params)


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ({"dept": "2"}, "dept: is not a param of this space"),
        ({"booster": "gbtree", "depth": "x"}, "depth: found 'x'"),
        ({"booster": "gbtree"}, "depth: is missing"),
    ],
)
def test_strings_that_are_no_point_of_the_space_are_refused(strings, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.from_strings(strings)


X = Float(0, 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"found \{\}; expected a mapping of at least one param"),
        ([X], "expected a mapping of at least one param"),
        ({f"x{i}": X for i in range(1001)}, "found 1001 params; expected 1000 at most"),
        ({"a": 1, "b": "x"}, "every param of the space is fixed"),
        ({"x": X, "l": [1, 2]}, r"l: found \[1, 2\] \(list\)"),
        ({"a": Choice([1, 2], when={"b": 1}), "b": Choice([1, 2], when={"a": 1})}, "in a circle"),
        ({"x": Float(0, 1, when={"x": 1})}, r"x.when.x: is not another param of this space"),
        ({"x": Float(0, 1, when={"y": 1}), "z": 1}, r"x.when.y: .*there are: \[z\]"),
        ({"x": Float(0, 1, when={"y": 0.5}), "y": X}, "x.when.y: is a float; a condition needs"),
        ({"x": Float(0, 1, when={"y": 5}), "y": Int(0, 1)}, "x.when.y: found 5; expected a whole"),
        ({"x": Float(0, 1, when={"y": "b"}), "y": "a"}, r"x.when.y: found 'b'; .*\[a\]"),
    ],
)
def test_a_wrong_space_is_refused_in_words(params, message):
    with pytest.raises(SpaceError, match=message):
        Space(params)


def test_a_circle_is_shown():
    one = {"when": {"b": 1}}, {"when": {"c": 1}}, {"when": {"a": 1}}
    with pytest.raises(SpaceError, match=r"(\w) -> (\w) -> (\w) -> \1; remove one of them"):
        Space({name: Choice([1, 2], **when) for name, when in zip("abc", one, strict=True)})


def test_a_long_chain_of_conditions_is_no_problem():
    chain = {"p0": Choice([1, 2])} | {
        f"p{i}": Choice([1, 2], when={f"p{i - 1}": 1}) for i in range(1, 1000)
    }
    space = Space(dict(reversed(chain.items())))
    assert len(space.decode([0.0] * 1000)) == 1000
    assert list(space.decode([0.9] * 1000)) == ["p0"]


@pytest.mark.parametrize("name", ["lr", "a/b", "a.b-c:d_e", "a b", "σ", "x" * 250, "...", "a..b"])
def test_names_that_mlflow_takes_are_taken(name):
    assert list(Space({name: X})) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("", " a", "a ", "/a", "a/", "a//b", "./a", "a/../b", "..", "a=b", "a\n", "a\0", "\ud800"),
        *("x" * 251, 1, None, True, ("a",), 10**5000),
    ],
    ids=shown,
)
def test_names_that_mlflow_refuses_are_refused(name):
    with pytest.raises(SpaceError, match="cannot name a param; allowed: letters"):
        Space({name: X})
    with pytest.raises(DeclarationError, match=r"space.*cannot name a param"):
        parse_space({name: {"type": "float", "low": 0, "high": 1}})


def test_a_space_in_a_file_may_hold_domains_already():
    declared = {"x": X, "f": Fixed(2), "d": {"type": "int", "low": 0, "high": 3}}
    assert parse_space(declared) == Space({"x": X, "f": 2, "d": Int(0, 3)})


def test_the_key_of_a_configuration_is_canonical_text():
    assert SPACE.key({"depth": 2, "booster": "dart"}) == canonical_json(
        {"booster": "dart", "depth": "2"}
    )


@given(small_spaces(), st.integers(0, 2**32))
def test_the_configurations_of_a_small_space_are_all_that_a_point_can_be(space, seed):
    generator = np.random.Generator(np.random.Philox(seed))
    found = {space.key(space.decode(generator.random(len(space)))) for _ in range(300)}
    assert found <= set(space.configurations)
    assert all(space.key(params) == key for key, params in space.configurations.items())
    assert all(space.validate(params) == params for params in space.configurations.values())


def test_configurations_are_not_listed_where_there_are_many_or_no_number_of_them():
    assert Space({"x": Float(0, 1), "c": Choice(["a"])}).configurations is None
    assert Space({"n": Int(1, 64), "m": Int(1, 65)}).configurations is None
    assert len(Space({"n": Int(1, 64), "m": Int(1, 64)}).configurations) == 4096


def test_a_point_outside_has_the_cell_at_the_border():
    space = Space({"n": Int(1, 2**53, log=True)})
    assert space.cell(0, 1e6) == space.cell(0, 1.0)
    assert space.cell(0, -1e6) == space.cell(0, 0.0)


@given(whole_numbers() | numbers(), st.floats(0, 1), st.integers(-1, 1))
def test_a_cell_holds_its_point_and_the_cell_aside_the_next_value(domain, u, aside):
    space = Space({"n": domain})
    ends = space.cell(0, u)
    if not domain.cells:
        assert ends is None
        return
    slack = 1e-9
    assert ends[0] - slack <= u <= ends[1] + slack
    low, high = space.cell(0, u, aside)
    pace = domain.step or 1
    steps = (domain.decode((low + high) / 2) - domain.decode(u)) / pace
    assert abs(abs(steps) - abs(aside)) < 1e-6


def test_low_values_of_a_log_scale_have_wide_cells():
    space = Space({"n": Int(1, 1000, log=True)})
    widths = [high - low for low, high in (space.cell(0, u) for u in (0.05, 0.2, 0.9))]
    assert widths[0] > 0.14 > widths[1] > 0.05 > 10 * widths[2]
