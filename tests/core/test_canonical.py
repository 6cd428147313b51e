import enum
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json, digest, shown, value_text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_from_its_text_to_the_last_bit(value):
    assert float(value_text(value)).hex() == value.hex()


@given(st.integers())
def test_an_int_is_read_back_from_its_text(value):
    assert int(value_text(value)) == value


def test_one_and_true_and_the_strings_that_look_like_them_are_told_apart():
    assert [value_text(v) for v in (1, 1.0, True, None, "x")] == ["1", "1.0", "true", "null", "x"]
    assert value_text(False) == "false"


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": 1, "a": [0.1, "σ"]}) == '{"a":[0.1,"σ"],"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_canonical_json_refuses_what_json_has_no_number_for(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": value})


@given(st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=3), max_size=3))
def test_canonical_json_reads_back(content):
    assert json.loads(canonical_json(content)) == content


def test_a_digest_is_the_sha256_of_the_text():
    assert digest("abc").startswith("ba7816bf8f01cfea414140de5dae2223")


class Broken:
    def __repr__(self):
        raise RuntimeError


def test_any_value_can_be_shown_in_a_message():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    endless = []
    endless.append(endless)
    kind = enum.IntEnum("kind", {"huge": 10**5000})
    odd = [10**5000, deep, endless, Broken(), {Broken(): 1}, "x" * 10**6, {10**5000}, kind.huge]
    for value in [*odd, np.float64(1), b"x" * 1000, None]:
        assert 1 <= len(shown(value)) < 400


def test_a_huge_int_is_shown_by_its_size():
    assert shown(10**5000) == "<a whole number of 16610 bits>"
    assert shown(12) == "12"
