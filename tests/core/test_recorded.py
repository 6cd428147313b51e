"""Recorded objects are read field by field, and each field is what Lepton writes or an error."""

from __future__ import annotations

import json

import pytest

from lepton_core.canonical import canonical_json, visible
from lepton_core.declaration import Budget, Declaration, Settings
from lepton_core.errors import LeptonError, RecordError
from lepton_core.events import Proposal
from lepton_core.proposers.origins import check_origin
from lepton_core.recorded import Fields, is_plain_json, is_short_text
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.sweep_file import parse_sweep

SPACE = Space({"x": Float(0, 1), "n": Int(1, 9), "c": Choice(["a", "b"])})
SWEEP = {
    "name": "demo",
    "objective": "objective.py:objective",
    "space": {
        "x": {"type": "float", "low": 0, "high": 1},
        "n": {"type": "int", "low": 1, "high": 9},
    },
    "budget": {"trials": 8},
    "start_from": [{"x": 0.5, "n": 3}],
}


def record(**changes):
    declaration, _ = parse_sweep(SWEEP)
    content = json.loads(canonical_json(declaration.to_record()))
    return {**content, **changes}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../demo"),
        ("name", ".."),
        ("name", "a" * 101),
        ("name", "a\n"),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.0),
        ("seed", True),
        ("generation", 0),
        ("generation", 10**9),
        ("generation", "4"),
        ("metric", ""),
        ("metric", "../loss"),
        ("direction", "sideways"),
        ("direction", None),
        ("space", {}),
        ("space", [["x"]]),
        ("space", [["x", {"type": "float", "low": 0, "high": 1}]] * 2),
        ("space", [["x", {"type": "object", "low": 0, "high": 1}]]),
        ("portfolio", None),
        ("portfolio", {"proposers": [], "judge": False, "settings": {}}),
        ("portfolio", {"proposers": ["ga", "ga"], "judge": False, "settings": {}}),
        ("portfolio", {"proposers": [["ga"]], "judge": False, "settings": {}}),
        ("portfolio", {"proposers": ["ga"], "judge": 1, "settings": {}}),
        ("portfolio", {"proposers": ["ga"], "judge": False, "settings": {"ga": 3}}),
        ("portfolio", {"proposers": ["ga"], "judge": False, "settings": {"ga": {"step": "a"}}}),
        ("start_from", [{"x": 2, "n": 3}]),
        ("start_from", [3]),
        ("start_from", "x"),
        ("schema", 0),
    ],
)
def test_a_declaration_that_no_file_could_declare_is_refused(key, value):
    with pytest.raises(RecordError):
        Declaration.from_record(record(**{key: value}))


@pytest.mark.parametrize("key", ["name", "seed", "generation", "space", "portfolio", "direction"])
def test_a_declaration_without_a_field_is_refused(key):
    content = record()
    del content[key]
    with pytest.raises(RecordError):
        Declaration.from_record(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": 3},
        {"budget": {"trials": 0}},
        {"budget": {"hours": float("inf")}},
        {"workers": 0},
        {"workers": 10**6},
        {"timeout": -1},
        {"objective": 3},
        {"objective": "\x1b[31m"},
        {"file": "x" * 5000},
        {"nightly": []},
    ],
)
def test_settings_that_no_driver_writes_are_refused(changes):
    with pytest.raises(RecordError):
        Settings.from_record({**Settings(budget=Budget(trials=3)).to_record(), **changes})


@pytest.mark.parametrize("content", [None, 3, [], "text", [["a", 1]]])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(RecordError, match="expected a JSON object"):
        Fields(content, "it")


def test_json_of_bounded_depth_and_finite_numbers_is_plain():
    assert is_plain_json({"a": [1, 0.5, None, True, "x", {"b": []}]})
    deep: list = []
    for _ in range(10):
        deep = [deep]
    for bad in (float("nan"), float("inf"), 10**400, {1: 2}, {"a": b""}, object(), deep):
        assert not is_plain_json([bad])


def test_a_text_that_a_terminal_would_obey_is_no_short_text():
    assert is_short_text("é ☃")
    assert not any(map(is_short_text, ["\x1b", "a\nb", "\u202e", "\ud800", "x" * 1001, 3, None]))


ORIGINS = {
    "sobol": {"index": 3},
    "ga": {"parents": [1, 2]},
    "pso": {"particle": 2, "at": [0.1, 0.2, 0.3], "velocity": [-0.1, 0.0, 0.1]},
    "rl": {"log_prob": -1.5, "start": [0.1, 0.2]},
}


def proposal(proposer, origin):
    return Proposal(
        generation=1, slot=0, slots=4, number=4, params={}, proposer=proposer, origin=origin, seed=1
    )


@pytest.mark.parametrize("proposer", ORIGINS)
def test_an_origin_as_its_proposer_writes_it_is_taken(proposer):
    check_origin(proposal(proposer, ORIGINS[proposer]), SPACE)


@pytest.mark.parametrize(
    ("proposer", "change"),
    [
        ("sobol", {"index": 10**9}),
        ("sobol", {"index": -1}),
        ("sobol", {"index": "3"}),
        ("sobol", {"index": True}),
        ("ga", {"parents": [1, 2, 3]}),
        ("ga", {"parents": [4]}),
        ("ga", {"parents": "12"}),
        ("ga", {"parents": None}),
        ("pso", {"particle": 10**6}),
        ("pso", {"at": [0.1, 0.2]}),
        ("pso", {"at": [0.1, 0.2, 3.0]}),
        ("pso", {"at": [0.1, 0.2, float("nan")]}),
        ("pso", {"velocity": [1e300, 0.0, 0.0]}),
        ("pso", {"velocity": None}),
        ("rl", {"start": [0.1]}),
        ("rl", {"start": ["a", "b"]}),
    ],
)
def test_an_origin_that_its_proposer_could_not_write_is_refused(proposer, change):
    with pytest.raises(RecordError, match=f"which {proposer} does not write"):
        check_origin(proposal(proposer, {**ORIGINS[proposer], **change}), SPACE)


def test_errors_hold_nothing_that_a_terminal_would_obey():
    error = LeptonError("found \x1b[31m\u202e\ud800\r\x9b\ttext\nnext")
    assert error.message == "found \\x1b[31m\\u202e\\ud800\\r\\x9b    text\nnext"
    assert str(error) == error.message
    assert visible("é ☃ 日本") == "é ☃ 日本"
