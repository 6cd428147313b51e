"""Inputs for fuzzing: any values, and sound sweeps and records in which some values are others."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json, digest
from lepton_core.events import (
    Failure,
    GenerationSealed,
    SettingsAmended,
    SweepDeclared,
    TrialRecord,
)
from lepton_core.export_format import Driver, Header, Parent, Run, Sealed, line_text
from lepton_core.fold import replay
from lepton_core.plan import plan
from lepton_core.space import Space
from lepton_core.sweep_file import parse_sweep
from lepton_tasks import records
from lepton_tasks.host import Process
from lepton_tasks.records import Claim
from lepton_tasks.seals import seal_texts

RUN = "0" * 32

SWEEP: dict[str, Any] = {
    "name": "demo",
    "objective": "objective.py:objective",
    "metric": "loss",
    "direction": "minimize",
    "space": {
        "lr": {"type": "float", "low": 1e-4, "high": 0.5, "log": True},
        "x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1},
        "depth": {"type": "int", "low": 2, "high": 12, "step": 2},
        "kind": {"type": "choice", "choices": ["good", 1, 1.5, True, None]},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"kind": ["good"], "depth": 4}},
        "fixed": "binary:logistic",
    },
    "budget": {"trials": 64, "hours": 1.5},
    "generation": 4,
    "workers": 2,
    "seed": 7,
    "timeout": 300,
    "start_from": [{"lr": 0.1, "x": 0.5, "depth": 6, "kind": None}],
    "portfolio": {
        "proposers": ["ga", "pso", "rl", "random"],
        "judge": False,
        "ga": {"population": 8},
    },
    "nightly": {"trials": 8},
    "hooks": {"improved": "hooks.py:tell"},
}

YAML = """\
# A comment
name: demo
objective: objective.py:objective
metric: &m "loss"
space:
  lr: {type: float, low: 1e-4, high: .5, log: true}
  depth:
    type: int
    low: 0x2
    high: +12
  kind: {type: choice, choices: [good, 'b a d', ~, 1.5]}
  text: |
    several
    lines
budget: {trials: 1_000}
start_from:
  - {lr: 0.1, depth: 3, kind: good}
"""

DECLARATION, SETTINGS = parse_sweep(SWEEP)


def _history() -> list[Any]:
    """Three sealed generations, as they would be proposed and might end."""
    events: list[Any] = [
        SweepDeclared(declaration=DECLARATION),
        SettingsAmended(settings=SETTINGS),
    ]
    for generation in range(3):
        trials = []
        for proposal in plan(replay(events), DECLARATION.generation):
            failed = proposal.slot == 3
            trials.append(
                TrialRecord(
                    proposal=proposal,
                    value=None if failed else 0.5 / (1 + proposal.number),
                    failure=Failure(kind="exception", reason="no") if failed else None,
                    duration_s=1.0,
                )
            )
        events.append(
            GenerationSealed(
                generation=generation, trials=tuple(trials), driven_s=float(generation)
            )
        )
    return events


HISTORY = _history()
CLAIM = Claim(
    epoch=1,
    owner="nonce",
    process=Process("host", "boot", 1, "1"),
    ttl_s=30.0,
    from_generation=0,
    claimed_at="2026-01-01T00:00:00+00:00",
    environment={"numpy": "2"},
)
START = digest(canonical_json(DECLARATION.to_record()))
SEAL_PARTS, _, SEAL_HASH = seal_texts(
    HISTORY[2], DECLARATION, {slot: f"{RUN}{slot}" for slot in range(4)}, epoch=1, previous=START
)
PROPOSAL = HISTORY[3].trials[1].proposal

# -- values to put in the place of others ---------------------------------------------------

_NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 10**9]),
    st.floats(),
)
_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "\x1b[31m", "\u202e", "\ud800", "../../x", "a" * 2000, "1e999", "NaN"]),
)
_SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
PYTHON = st.one_of(
    JSON,
    st.binary(max_size=8),
    st.complex_numbers(),
    st.decimals(),
    st.sets(st.integers(), max_size=3),
    st.dictionaries(st.one_of(st.integers(), st.none(), st.binary(max_size=2)), JSON, max_size=2),
    st.sampled_from([np.float64("nan"), np.int64(3), np.array([1, 2]), object(), Space, 1j, ...]),
)


def _paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield from _paths(value, (*path, key))


@st.composite
def changed(draw: st.DrawFn, sound: Any, values: st.SearchStrategy[Any] = JSON) -> Any:
    """A sound content in which up to three values are others, missing, or under other keys."""
    content = copy.deepcopy(sound)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(_paths(content))))
        if not path:
            content = draw(values) if draw(st.integers(0, 9)) == 0 else content
            continue
        at = content
        for key in path[:-1]:
            at = at[key]
        how = draw(st.integers(0, 5))
        if how == 0:
            del at[path[-1]]
        elif how == 1 and isinstance(at, dict):
            at[draw(_TEXTS)] = at.pop(path[-1])
        elif how == 2 and isinstance(at, list):
            at.append(draw(values))
        else:
            at[path[-1]] = draw(values)
    return content


@st.composite
def spliced(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sound text with pieces cut out, doubled, or replaced by any bytes."""
    data = sound
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        middle = draw(st.one_of(st.binary(max_size=6), _TOKENS, st.just(data[start:end] * 2)))
        data = data[:start] + middle + data[end:]
    return data


_TOKENS = st.sampled_from(
    [
        *(b"[", b"]", b"{", b"}", b":", b"- ", b"? ", b"&a ", b"*a", b"!!", b"!<", b"%YAML 1.1\n"),
        *(b"---\n", b"...\n", b"|2\n", b">-\n", b"<<: ", b"\t", b"\r", b"\x00", b"\xef\xbb\xbf"),
        *(b"!!python/name:os.system ", b"!!binary ", b"!!timestamp ", b"1e999", b"0x", b"-.inf"),
        *(b"\xe2\x80\xa8", b"\xc2\x85", b"'", b'"', b"\\", b"#", b"@", b"`", b"9" * 5000),
        *(b"[" * 300, b"- " * 200, b"{a: " * 100, b"NaN", b"null", b"\\ud800", b"~"),
    ]
)


def json_text(content: Any) -> str:
    """As JSON, with NaN and infinities, which some writers put into it."""
    return json.dumps(content, default=str)


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    events = list(HISTORY)
    for _ in range(draw(st.integers(0, 2))):
        i, j = draw(st.integers(0, len(events) - 1)), draw(st.integers(0, len(events) - 1))
        how = draw(st.integers(0, 3))
        if how == 0:
            events[i], events[j] = events[j], events[i]
        elif how == 1:
            events.insert(i, draw(st.sampled_from([*HISTORY, None, 3, "event"])))
        elif isinstance(events[i], GenerationSealed):
            events[i] = draw(_changed_seal(events[i]))
    return events


@st.composite
def _changed_seal(draw: st.DrawFn, event: GenerationSealed) -> GenerationSealed:
    trials = list(event.trials)
    if trials:
        at = draw(st.integers(0, len(trials) - 1))
        trial = trials[at]
        name = draw(
            st.sampled_from(["generation", "slot", "number", "proposer", "origin", "value"])
        )
        if name == "value":
            trials[at] = replace(trial, value=draw(_SCALARS))
        elif name == "origin":
            origin = draw(changed(dict(trial.proposal.origin)))
            if isinstance(origin, dict):
                trials[at] = replace(trial, proposal=replace(trial.proposal, origin=origin))
        elif name == "proposer":
            members = st.sampled_from(["ga", "pso", "rl", "sobol", "random", "start", "stranger"])
            proposal = replace(trial.proposal, proposer=draw(members))
            trials[at] = replace(trial, proposal=proposal)
        else:
            changes: dict[str, Any] = {name: draw(_SCALARS)}
            trials[at] = replace(trial, proposal=replace(trial.proposal, **changes))
    if draw(st.integers(0, 4)) == 0:
        trials = trials[: draw(st.integers(0, len(trials)))]
    return replace(event, trials=tuple(trials))


PARAMS = {"lr": 0.1, "x": 0.5, "depth": 4, "kind": "good", "drop": 0.25}
STRINGS = {"lr": "0.1", "x": "0.5", "depth": "4", "kind": "good", "drop": "0.25"}
CLAIM_RECORD: dict[str, Any] = json.loads(CLAIM.text())
SEAL_RECORD: dict[str, Any] = json.loads("".join(SEAL_PARTS))
RESULT_RECORD = {"attempt": 0, "value": 0.5, "failure": None, "duration_s": 1.0, "epoch": 1}
FAILED_RECORD = {**RESULT_RECORD, "value": None, "failure": {"kind": "nan", "reason": "it was"}}
PROPOSAL_RECORD = json.loads(records.proposal_tags(PROPOSAL)[records.PROPOSAL])
SETTINGS_RECORD = SETTINGS.to_record()
ENTRY_RECORD = {"ledger": RUN, "digest": START}
RECORDS = [
    CLAIM_RECORD,
    SETTINGS_RECORD,
    PROPOSAL_RECORD,
    RESULT_RECORD,
    FAILED_RECORD,
    ENTRY_RECORD,
    DECLARATION.to_record(),
]


def _run(trial: TrialRecord) -> Run:
    """A trial as an export tells it."""
    proposal = trial.proposal
    tags = {
        **records.trial_tags(
            proposal, trial.attempt, sweep=DECLARATION.name, parent=RUN, epoch=1, base=START
        ),
        records.RESULT: records.outcome_text(trial, 1),
        **records.proposal_tags(proposal),
    }
    return Run(
        run=f"{RUN}{proposal.slot}",
        name="",
        status="FAILED" if trial.failure else "FINISHED",
        start=0,
        end=1,
        tags=tags,
        params=DECLARATION.space.to_strings(proposal.params),
        metrics=() if trial.value is None else (("loss", trial.value, 1, 0),),
    )


def _export() -> list[Any]:
    """A generation as an export tells it."""
    lines = [
        Header(
            format=1,
            lepton="0",
            declaration=DECLARATION.to_record(),
            digest=START,
            head=SEAL_HASH,
        ),
        Parent(
            run=RUN, name="demo", status="FINISHED", start=0, end=1, tags={}, params={}, metrics=()
        ),
        Driver(epoch=1, from_generation=0, claimed_at="", environment={}, settings=SETTINGS_RECORD),
        *(_run(trial) for trial in HISTORY[2].trials),
        Sealed(generation=0, epoch=1, previous=START, hash=SEAL_HASH, text="".join(SEAL_PARTS)),
    ]
    return [json.loads(line_text(line)) for line in lines]


EXPORT = _export()
