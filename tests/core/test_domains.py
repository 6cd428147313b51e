import dataclasses
import enum
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lepton_core.canonical import shown, value_text
from lepton_core.errors import SpaceError
from lepton_core.space import Choice, Fixed, Float, Int
from lepton_core.strategies import choices, numbers, whole_numbers

UNIT = st.floats(0, 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.one_of(numbers(), whole_numbers(), choices()), UNIT)
def test_what_is_decoded_is_valid_and_read_back_exactly_from_its_text(domain, u):
    value = domain.decode(u)
    again = domain.from_string(value_text(value))
    assert (type(again), repr(again)) == (type(value), repr(value))
    assert repr(domain.validate(value)) == repr(value)


@given(FINITE, FINITE, UNIT)
def test_any_float_between_any_bounds_is_read_back_exactly(a, b, u):
    assume(a != b and math.isfinite(a - b))
    domain = Float(min(a, b), max(a, b))
    for value in (domain.decode(u), domain.low, domain.high):
        assert domain.from_string(value_text(value)).hex() == value.hex()


@pytest.mark.parametrize("value", [5e-324, -5e-324, 2.2250738585072014e-308, 1e308, 0.1, -0.0, 3])
def test_extreme_floats_are_read_back_exactly(value):
    domain = Float(-1e308 / 2, 1e308) if value > 0 else Float(-1.0, 1.0)
    text = value_text(domain.validate(value))
    assert domain.from_string(text) == value
    assert text != "-0.0"


@given(st.one_of(whole_numbers(), choices()), UNIT)
def test_ints_and_choices_come_back_from_the_cube(domain, u):
    value = domain.decode(u)
    assert repr(domain.decode(domain.encode(value))) == repr(value)
    assert 0 <= domain.encode(value) <= 1


@given(numbers(), UNIT)
def test_floats_come_back_from_the_cube_up_to_rounding(domain, u):
    value = domain.decode(u)
    assert 0 <= domain.encode(value) <= 1
    again = domain.decode(domain.encode(value))
    if domain.step is not None:
        assert again == value
    else:
        scale = value if domain.log else max(abs(domain.low), abs(domain.high))
        assert abs(again - value) <= 1e-9 * abs(scale)


@given(st.integers(-(2**53), 2**53 - 1), st.integers(1, 10**9), UNIT)
def test_ints_are_exact_up_to_the_greatest_that_a_float_holds(low, span, u):
    high = min(2**53, low + span)
    domain = Int(low, high)
    value = domain.decode(u)
    assert domain.from_string(value_text(value)) == value
    assert domain.decode(domain.encode(value)) == value


@pytest.mark.parametrize(
    "domain",
    [
        Int(0, 4),
        Int(1, 5, log=True),
        Float(0.0, 2.0, step=0.5),
        Int(0, 9, step=2),
        Choice(["abcde", 1, 2, None]),
    ],
    ids=repr,
)
def test_every_value_of_a_grid_is_reached(domain):
    values = {repr(domain.decode(u)) for u in np.linspace(0, 1, 1001)}
    assert len(values) == (4 if isinstance(domain, Choice) else 5)


def test_the_values_of_a_grid_have_equal_shares():
    for domain in (Int(0, 4), Float(0.0, 2.0, step=0.5), Choice([1, 2, 3, 4, 5])):
        found = [domain.decode((k + 0.5) / 1000) for k in range(1000)]
        assert {found.count(value) for value in found} == {200}


def test_a_grid_holds_the_numbers_that_people_write():
    domain = Float(0, 1, step=0.1)
    found = [domain.decode(k / 11 + 0.01) for k in range(11)]
    assert found == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert domain.validate(0.1 + 0.1 + 0.1) == 0.3


def test_a_grid_ends_where_no_step_fits_any_more():
    assert Float(0, 1, step=0.3).decode(1.0) == 0.9
    assert Int(0, 10, step=4).decode(1.0) == 8
    assert Float(0, 1, step=1 / 11).decode(1.0) == 1.0
    assert Float(0, 0.7999999999999999, step=0.1).decode(1.0) == 0.7999999999999999


def test_a_log_scale_gives_each_decade_an_equal_share():
    domain = Float(1e-4, 1.0, log=True)
    found = [domain.decode((k + 0.5) / 1000) for k in range(1000)]
    assert sum(value < 1e-2 for value in found) == 500
    whole = [Int(1, 1000, log=True).decode((k + 0.5) / 1000) for k in range(1000)]
    assert 400 < sum(value <= 20 for value in whole) < 600


@pytest.mark.parametrize(
    ("declare", "message", "key"),
    [
        (lambda: Float("a", 1), "low is 'a'; expected a finite number", "low"),
        (lambda: Float(0, float("nan")), "high is nan; expected a finite number", "high"),
        (lambda: Float(0, float("inf")), "high is inf", "high"),
        (lambda: Float(0, 10**400), "high is 1000.*; expected a finite number", "high"),
        (lambda: Float(0, 10**5000), "high is <a whole number of 16610 bits>", "high"),
        (lambda: Float(True, 2), "low is True", "low"),
        (lambda: Float(1, 1), r"low 1.0 is not below high 1.0; for one value", "low"),
        (lambda: Float(-1.7e308, 1.7e308), "high - low is not finite", None),
        (lambda: Float(0, 1, log=True), "low is 0.0; a log scale needs it above 0", "low"),
        (lambda: Float(0, 1, log=1), "log is 1; expected true or false", "log"),
        (lambda: Float(0, 1, log=None), "log is None; expected true or false", "log"),
        (lambda: Float(1e300, 1.0000000000000001e300 * (1 + 1e-15), log=True), "too close", "log"),
        (lambda: Float(0, 1, step=0), "step is 0.0; expected above 0 and at most", "step"),
        (lambda: Float(0, 1, step=-1), "step is -1.0; expected above 0", "step"),
        (lambda: Float(0, 1, step=2), "step is 2.0; .* at most high - low = 1.0", "step"),
        (lambda: Float(0, 1, step="x"), "step is 'x'", "step"),
        (lambda: Float(0, 1, step=5e-324), "step is 5e-324; expected at least", "step"),
        (lambda: Float(1e16, 2e16, step=0.5), "step is 0.5; expected at least", "step"),
        (lambda: Int(0.5, 2), "low is 0.5; expected a whole number", "low"),
        (lambda: Int(0, True), "high is True; expected a whole number", "high"),
        (lambda: Int(0, 2**53 + 1), r"high is 9007199254740993; expected at most 2\*\*53", "high"),
        (lambda: Int(np.iinfo(np.int64).min, 0), "low is", "low"),
        (lambda: Int(0, 10**400), "high is", "high"),
        (lambda: Int(0, 5, log=True), "low is 0; a log scale needs it above 0", "low"),
        (lambda: Int(2**53 - 1, 2**53, log=True), "too close for a log scale", "log"),
        (lambda: Int(0, 5, step=0), "step is 0; expected above 0", "step"),
        (lambda: Int(0, 5, step=1.5), "step is 1.5; expected a whole number", "step"),
        (lambda: Int(3, 2), "low 3 is not below high 2", "low"),
        (lambda: Choice([]), r"choices is \[\]; expected a list", "choices"),
        (lambda: Choice("abc"), "choices is 'abc'; expected a list", "choices"),
        (lambda: Choice(b"abc"), "choices is b'abc'; expected a list", "choices"),
        (lambda: Choice(3), "choices is 3; expected a list", "choices"),
        (lambda: Choice([1, "1"]), "choices holds '1' more than once", "choices"),
        (lambda: Choice([True, "true"]), "choices holds 'true' more than once", "choices"),
        (lambda: Choice([[1]]), r"found \[1\] \(list\); expected a string, number", None),
        (lambda: Choice([float("nan")]), "found nan; a value must be finite", None),
        (lambda: Choice([""]), "found '' of 0 characters; expected 1 to 1000", None),
        (lambda: Choice(["x" * 1001]), "of 1001 characters", None),
        (lambda: Choice(["a\ud800"]), "surrogate", None),
        (lambda: Choice(["a\0"]), "NUL", None),
        (lambda: Fixed(10**1000), "expected at most 1000 digits", None),
        (lambda: Fixed({"a": 1}), r"\(dict\)", None),
        (lambda: Fixed(1j), r"\(complex\)", None),
        (lambda: Float(0, 1, when=3), "when is 3; expected a mapping", "when"),
        (lambda: Float(0, 1, when=(3,)), r"when is \(3,\); expected a mapping", "when"),
        (lambda: Float(0, 1, when=["a"]), r"when is \['a'\]; expected a mapping", "when"),
        (lambda: Float(0, 1, when={1: "a"}), r"when is \{1: 'a'\}; expected a mapping", "when"),
        (lambda: Int(0, 1, when={"a": []}), "when.a is an empty list", "when"),
        (lambda: Int(0, 1, when={"a": ()}), "when.a is an empty list; expected", "when"),
        (lambda: Choice([1], when={"a": {"b": 1}}), r"\(dict\); expected a string", None),
    ],
)
def test_a_wrong_declaration_says_what_was_found_and_what_is_allowed(declare, message, key):
    with pytest.raises(SpaceError, match=message) as caught:
        declare()
    assert getattr(caught.value, "key", None) == key


@pytest.mark.parametrize(
    ("domain", "value", "message"),
    [
        (Float(0, 1), 1.5, "found 1.5; expected a number from 0.0 to 1.0"),
        (Float(0, 1), "0.5", "found '0.5'"),
        (Float(0, 1), True, "found True"),
        (Float(0, 1), float("nan"), "found nan"),
        (Float(0, 1), 10**5000, "found <a whole number"),
        (Float(0, 1, step=0.25), 0.3, "found 0.3; .* in steps of 0.25"),
        (Int(0, 9), 1.5, "found 1.5; expected a whole number from 0 to 9"),
        (Int(0, 9), True, "found True"),
        (Int(0, 9), 10, "found 10"),
        (Int(0, 9, step=2), 3, "found 3; .* in steps of 2"),
        (Int(0, 9), None, "found None"),
        (Int(0, 9), 10**5000, "found <a whole"),
        (Choice(["a", 1, None]), "b", r"found 'b'; expected one of \[a, 1, null\]"),
        (Choice([1]), 1.0, r"found 1.0; expected one of \[1\]"),
        (Choice([1]), True, "found True"),
        (Choice(["a"]), ["a"], r"found \['a'\]; expected one of"),
        (Choice(["a"]), "", "found ''; expected one of"),
        (Fixed("a"), "b", r"found 'b'; expected one of \[a\]"),
    ],
    ids=shown,
)
def test_a_value_outside_says_what_was_found_and_what_is_allowed(domain, value, message):
    with pytest.raises(SpaceError, match=message):
        domain.validate(value)


@pytest.mark.parametrize("domain", [Float(0, 1), Int(0, 1), Choice(["a"]), Fixed("a")])
@pytest.mark.parametrize("text", ["x", "", "nan", "inf", "1e999", "2", "1" * 5000])
def test_a_text_that_is_no_value_is_a_space_error(domain, text):
    with pytest.raises(SpaceError, match=r"found '.*'|found <"):
        domain.from_string(text)


class Colour(str, enum.Enum):  # noqa: UP042  (its str() is not its value: the harder case)
    RED = "red"


class Rank(enum.IntEnum):
    TOP = 3


class Half(float):
    pass


def test_values_become_plain_ones():
    given_values = [np.int64(3), np.float64(0.5), np.bool_(True), np.str_("a"), Colour.RED, Half(2)]
    found = Choice(given_values).choices
    assert found == (3, 0.5, True, "a", "red", 2.0)
    assert [type(v) for v in found] == [int, float, bool, str, str, float]
    assert type(Fixed(Rank.TOP).value) is int
    assert type(Float(0, 1).validate(1)) is float
    assert type(Int(0, 1).validate(1.0)) is int
    assert Float(np.float32(0.5), np.float32(2)).validate(np.float32(1.5)) == 1.5
    assert Choice(["red"]).validate(Colour.RED) == "red"


def test_minus_zero_is_zero():
    assert repr(Float(-0.0, 1.0).low) == "0.0"
    assert repr(Float(-1.0, 1.0).validate(-0.0)) == "0.0"


def test_conditions_are_kept_in_one_form():
    forms = [{"b": "x", "a": [1]}, {"a": (1,), "b": ["x"]}, (("b", ("x",)), ("a", (1,)))]
    assert {Float(0, 1, when=form).when for form in forms} == {(("a", (1,)), ("b", ("x",)))}
    assert Float(0, 1, when=None).when == Float(0, 1).when == ()


def test_choices_that_are_written_differently_differ():
    assert Choice([1, 2]) == Choice([1, 2])
    assert hash(Choice([1, 2])) == hash(Choice([1, 2]))
    for other in (Choice([2, 1]), Choice([1.0, 2]), Choice([1, 2], when={"a": 1}), (1, 2)):
        assert Choice([1, 2]) != other


def test_a_fixed_value_is_the_same_everywhere():
    fixed = Fixed("a")
    assert (fixed.decode(0.9), fixed.encode("a"), fixed.validate("a"), fixed.from_string("a")) == (
        "a",
        0.5,
        "a",
        "a",
    )
    assert fixed.text() == "the fixed value a"
    assert fixed.to_dict() == "a"


def test_domains_cannot_be_changed():
    for domain in (Float(0, 1), Int(0, 1), Choice([1, 2]), Fixed(1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            domain.when = ()


def test_many_choices_are_checked_in_no_time():
    many = Choice(range(50_000))
    assert many.text() == "one of [0, 1, 2, 3, 4, 5, ...]"
