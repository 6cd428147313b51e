"""Texts from the store, whatever they are."""

from __future__ import annotations

import doctest

import pytest

from lepton_tasks import records, untrusted
from lepton_tasks.doctor import findings
from lepton_tasks.untrusted import is_number, is_whole, read_json, read_object, whole_number


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "NaN", "-Infinity", "1" * 5000, '{"a": NaN}', " " * 5_000_000]
)
def test_what_is_no_json_of_ours_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"'])
def test_what_is_no_object_is_a_value_error(text):
    with pytest.raises(ValueError, match="not an object"):
        read_object(text)


@pytest.mark.parametrize("text", [None, "", "-1", "+1", "01", " 1", "1_0", "²", "1.0", "9" * 10])
def test_what_is_no_plain_decimal_is_no_number(text):
    assert whole_number(text) is None


def test_bools_and_infinities_are_no_numbers():
    assert [is_whole(v) for v in (0, 7, True, -1, 2**60, 1.0)] == [True, True, *[False] * 4]
    finite = [is_number(v) for v in (0, -1.5, True, float("inf"), float("nan"), 10**400, "1")]
    assert finite == [True, True, *[False] * 5]


@pytest.mark.parametrize(
    "change",
    [
        {"pid": -1},
        {"pid": 2**40},
        {"ttl_s": 0},
        {"ttl_s": "30"},
        {"from_generation": -1},
        {"epoch": True},
        {"environment": []},
        {"host": 3},
    ],
)
def test_a_claim_with_an_impossible_value_is_none(change):
    from lepton_core.canonical import canonical_json

    process = {"host": "h", "boot": "b", "pid": 1, "started": ""}
    process |= {key: change[key] for key in change if key in process}
    content = {"epoch": 1, "owner": "x", "ttl_s": 30.0, "from_generation": 0, "claimed_at": ""}
    content |= {"environment": {}, **{k: v for k, v in change.items() if k not in process}}
    with pytest.raises(ValueError, match="not a claim"):
        records.Claim.parse(canonical_json({**content, "process": process}))


@pytest.mark.parametrize("module", [untrusted, findings])
def test_the_examples_are_true(module):
    assert doctest.testmod(module).failed == 0
