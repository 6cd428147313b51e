"""What is fuzzed: how inputs are made, and what must be true whatever they are.

Each target takes one input; anything but an error of Lepton's own is a finding. Inputs are either
any bytes, or sound ones in which some values were put in the place of others, so that they get past
the first check.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_inputs import (
    CLAIM,
    CLAIM_RECORD,
    DECLARATION,
    EXPORT,
    HISTORY,
    JSON,
    PARAMS,
    PROPOSAL,
    PYTHON,
    RECORDS,
    SEAL_RECORD,
    START,
    STRINGS,
    SWEEP,
    YAML,
    changed,
    histories,
    json_text,
    spliced,
)
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json, digest
from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import LeptonError, RecordError
from lepton_core.events import SweepDeclared
from lepton_core.export_format import read_line
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.space_file import parse_space
from lepton_core.sweep_file import parse_sweep
from lepton_tasks import records, register
from lepton_tasks.records import Claim
from lepton_tasks.seals import seal_key, seals
from lepton_tasks.sweep_yaml import parse_bytes
from lepton_tasks.transfer.export_check import ExportCheck

FILE = Path("sweep.yaml")
MOST_SHOWN = 20_000  # characters of an error


def sweep_file_bytes(data: bytes) -> None:
    """Bytes of a sweep file are a sweep, or refused."""
    try:
        parse_bytes(data, FILE).parse()
    except LeptonError as error:
        _check(error, 2)


def sweep_dict(content: Any) -> None:
    """A dict is a sweep that is recorded and read back as it is, or refused."""
    try:
        declaration, settings = parse_sweep(content)
    except LeptonError as error:
        _check(error, 2)
        return
    text = canonical_json(declaration.to_record())
    assert Declaration.from_record(json.loads(text)) == declaration
    assert Settings.from_record(json.loads(canonical_json(settings.to_record()))) == settings


def space(given: tuple[Any, Any, Any]) -> None:
    """A space takes no params but its own, and gives back those that it takes."""
    declared, params, strings = given
    try:
        found = parse_space(declared)
        assert parse_space(found.to_dict()) == found
        point = found.decode([0.37] * len(found))
        assert found.from_strings(found.to_strings(point)) == point
    except LeptonError:
        return
    for read, value in ((found.validate, params), (found.from_strings, strings)):
        try:
            point = read(value)
        except LeptonError:
            continue
        assert found.from_strings(found.to_strings(point)) == point
        found.encode(point)
        found.key(point)


def record_text(text: str) -> None:
    """A text in the place of any record is that record, or refused."""
    tags = records.long_tag(records.PROPOSAL, text) | records.long_tag(records.DECLARATION, text)
    _only_record_errors(lambda: records.read_declaration(tags))
    _only_record_errors(lambda: records.claims({"epoch/000001": text}))
    _only_record_errors(lambda: register.read_entry("demo", text))
    settings = records.read_settings(text)
    if settings is not None:
        canonical_json(settings.to_record())
    proposal = records.read_proposal(tags, DECLARATION)
    if proposal is not None:
        assert records.read_proposal(records.proposal_tags(proposal), DECLARATION) == proposal
        canonical_json(dict(proposal.origin))
    outcome = records.read_outcome(text, PROPOSAL)
    if outcome is not None:
        assert records.read_outcome(records.outcome_text(outcome, 1), PROPOSAL) == outcome


def claim(content: Any) -> None:
    """A claim that is taken is one that is compared, waited for and shown without harm."""
    found = _only_record_errors(lambda: records.claims({"epoch/000001": json_text(content)}))
    for one in found or ():
        assert 0 <= one.process.pid < 2**31
        assert 0 < one.ttl_s <= 86_400
        assert one.process.host.isprintable()
        assert Claim.parse(one.text()) == one


def declaration(content: Any) -> None:
    """A declaration that is taken can be planned from."""
    text = json_text(content)
    tags = records.long_tag(records.DECLARATION, text)
    found = _only_record_errors(lambda: records.read_declaration(tags))
    if found is not None:
        assert Declaration.from_record(json.loads(canonical_json(found.to_record()))) == found
        _only_record_errors(lambda: evolve(None, SweepDeclared(declaration=found)))


def seal(content: Any) -> None:
    """A seal whose hashes fit is folded and planned from, or refused."""
    body = json_text(content)
    key = seal_key(0, 1)
    parts = [body[i : i + 5000] for i in range(0, len(body), 5000)]
    header = {"hash": digest(START + body), "previous": START, "count": len(parts)}
    params = {
        "epoch/000001": CLAIM.text(),
        key: canonical_json(header),
        **{f"{key}/{i:04d}": part for i, part in enumerate(parts)},
    }
    found = _only_record_errors(lambda: tuple(seals(params, DECLARATION, START)))
    if found:
        events = [*HISTORY[:2], *(one.event for one in found)]
        state = _only_record_errors(lambda: replay(events))
        if state is not None:
            plan(state, 2)


def seal_registers(given: tuple[str, str]) -> None:
    """A header and a part that are any texts are refused."""
    header, part = given
    key = seal_key(0, 1)
    params = {"epoch/000001": CLAIM.text(), key: header, f"{key}/0000": part}
    _only_record_errors(lambda: tuple(seals(params, DECLARATION, START)))


def fold(events: list[Any]) -> None:
    """Any events in any order give a state that can be planned from, or are refused."""
    state = _only_record_errors(lambda: replay(events))
    if state is not None:
        _only_record_errors(lambda: plan(state, 3))


def export_lines(contents: Any) -> None:
    """Lines of an export are taken as the history that they tell, or refused."""
    check = ExportCheck()
    for content in contents if isinstance(contents, list) else [contents]:
        try:
            text = canonical_json(content)
        except (ValueError, TypeError):  # NaN: no canonical text
            text = json_text(content)
        try:
            check.take(read_line(text))
        except LeptonError as error:
            _check(error, 2)
            return
    assert check.sealed == 1 or contents != EXPORT


def _check(error: LeptonError, code: int) -> None:
    """An error has its exit code, and shows little of what it found, and nothing to obey."""
    assert error.exit_code == code, error
    assert all(c.isprintable() or c == "\n" for c in str(error))
    assert len(str(error)) < MOST_SHOWN


def _only_record_errors(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except RecordError as error:
        _check(error, 5)
        return None


@dataclass(frozen=True)
class Target:
    """What one input is made of, and what is done with it."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]


TARGETS: dict[str, Target] = {
    "sweep file, any bytes": Target(st.binary(max_size=200), sweep_file_bytes),
    "sweep file, changed bytes": Target(spliced(YAML.encode()), sweep_file_bytes),
    "sweep file, changed values": Target(
        changed(SWEEP).map(lambda content: json_text(content).encode()), sweep_file_bytes
    ),
    "sweep as a dict": Target(changed(SWEEP, PYTHON), sweep_dict),
    "space": Target(
        st.tuples(changed(SWEEP["space"], PYTHON), changed(PARAMS, PYTHON), changed(STRINGS)),
        space,
    ),
    "records, any text": Target(st.one_of(st.text(max_size=60), JSON.map(json_text)), record_text),
    "records, changed text": Target(
        st.sampled_from(RECORDS)
        .flatmap(lambda record: spliced(json_text(record).encode()))
        .map(lambda data: data.decode(errors="surrogateescape")),
        record_text,
    ),
    "records, changed values": Target(
        st.sampled_from(RECORDS).flatmap(changed).map(json_text), record_text
    ),
    "claim": Target(changed(CLAIM_RECORD), claim),
    "declaration": Target(changed(DECLARATION.to_record()), declaration),
    "seal whose hashes fit": Target(changed(SEAL_RECORD), seal),
    "seal's registers": Target(
        st.tuples(st.one_of(st.text(max_size=60), JSON.map(json_text)), st.text(max_size=60)),
        seal_registers,
    ),
    "export's lines": Target(changed(EXPORT), export_lines),
    "events of the fold": Target(histories(), fold),
}
