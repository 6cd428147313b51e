"""The ledger's records as text."""

from __future__ import annotations

import json

import pytest

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.errors import RecordError
from lepton_core.events import Failure, Proposal, TrialRecord
from lepton_core.space import Choice, Float, Int, Space
from lepton_tasks import records
from lepton_tasks.host import this_process
from lepton_tasks.records import Claim, long_tag, read_long_tag

SPACE = Space(
    {
        "z": Float(1e-8, 0.1, log=True),
        "a": Int(1, 9),
        "c": Choice([True, None, 1.5, "e\u0301 ☃ \\ \" '"]),
        "d": Float(0, 1, when={"a": [3]}),
        "fixed": "x",
    }
)
DECLARATION = Declaration(name="demo", space=SPACE, portfolio=Portfolio(proposers=("random",)))
PROPOSAL = Proposal(
    generation=3,
    slot=1,
    slots=8,
    number=25,
    params={"z": 0.1 + 0.2 - 0.25, "a": 3, "c": None, "d": 1 / 3, "fixed": "x"},
    proposer="random",
    origin={"draw": 2, "parents": [1, 2], "w": 0.1},
    seed=2**31 - 1,
)


@pytest.mark.parametrize("length", [0, 1, 4999, 5000, 5001, 23_456])
def test_a_text_of_any_length_comes_back_from_its_tags(length):
    text = "äx" * (length // 2) + "y" * (length % 2)
    tags = long_tag("key", text)
    assert read_long_tag({"other": "1", **tags}, "key") == text
    assert all(len(value) <= 5000 for value in tags.values())


@pytest.mark.parametrize("lost", ["key", "key.1", "key.2", "key.digest"])
def test_a_text_with_a_lost_tag_is_no_text(lost):
    tags = long_tag("key", "x" * 12_000 + "end")
    del tags[lost]
    assert read_long_tag(tags, "key") is None


def test_a_text_with_an_altered_tag_is_no_text():
    tags = long_tag("key", "x" * 12_000)
    assert read_long_tag({**tags, "key.1": tags["key.1"] + "x"}, "key") is None


def test_a_proposal_comes_back_exactly_and_in_the_spaces_order():
    found = records.read_proposal(records.proposal_tags(PROPOSAL), DECLARATION)
    assert found == PROPOSAL
    assert list(found.params) == ["z", "a", "c", "d", "fixed"]
    assert type(found.params["a"]) is int
    assert type(found.params["z"]) is float


def test_a_proposal_outside_the_space_is_no_proposal():
    impossible = Proposal(**{**vars_of(PROPOSAL), "params": {**PROPOSAL.params, "a": 99}})
    assert records.read_proposal(records.proposal_tags(impossible), DECLARATION) is None


def vars_of(proposal):
    return {name: getattr(proposal, name) for name in proposal.__dataclass_fields__}


@pytest.mark.parametrize(
    ("value", "failure"),
    [(0.1 + 0.2, None), (-1e308, None), (None, Failure(kind="nan", reason="é\n'\""))],
)
def test_a_result_comes_back_exactly(value, failure):
    record = TrialRecord(
        proposal=PROPOSAL, attempt=2, value=value, failure=failure, duration_s=1.23
    )
    assert records.read_outcome(records.outcome_text(record, 4), PROPOSAL) == record


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", "3", '{"failure": 3}', "null"])
def test_a_torn_result_is_no_result(text):
    assert records.read_outcome(text, PROPOSAL) is None


def test_a_claim_comes_back_exactly():
    claim = Claim(
        epoch=7,
        owner="nonce",
        process=this_process(),
        ttl_s=2.5,
        from_generation=3,
        claimed_at="2026-01-01T00:00:00+00:00",
        environment={"numpy": "2"},
    )
    assert Claim.parse(claim.text()) == claim


def test_claims_come_in_the_order_of_epochs():
    def text(epoch):
        return Claim(
            epoch=epoch,
            owner=str(epoch),
            process=this_process(),
            ttl_s=30.0,
            from_generation=0,
            claimed_at="",
            environment={},
        ).text()

    params = {records.epoch_key(n): text(n) for n in (10, 2, 1)}
    found = records.claims({**params, "seal/00000000/000001": "{}", "parent": "x"})
    assert [claim.epoch for claim in found] == [1, 2, 10]


def test_a_declaration_comes_back_exactly():
    found = records.read_declaration(records.declaration_tags(DECLARATION))
    assert found == DECLARATION
    assert list(found.space) == list(SPACE)


def test_half_a_declaration_is_no_sweep():
    tags = records.declaration_tags(DECLARATION)
    torn = {**tags, "lepton.declaration": tags["lepton.declaration"][:-20]}
    with pytest.raises(RecordError, match="torn or was altered"):
        records.read_declaration(torn)


def test_a_declaration_of_a_later_schema_asks_for_an_upgrade():
    text = json.dumps({**DECLARATION.to_record(), "schema": 99})
    with pytest.raises(RecordError, match=r"schema 99.*Upgrade"):
        records.read_declaration(long_tag("lepton.declaration", text))
