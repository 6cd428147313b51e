"""What earlier versions recorded is read to the same state, for ever. See README.md."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from lepton_core.events import FailureKind, GenerationSealed
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.pools import POOLS
from lepton_core.proposers import PROPOSERS
from lepton_core.verification import proposal_text
from lepton_tasks.doctor.audit import audit
from lepton_tasks.environment import environment
from lepton_tasks.sweep_record import open_record
from lepton_tasks.transfer.export_check import check_file
from lepton_tasks.transfer.import_sweep import import_sweep

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from canonical_state import canonical_state, differences  # noqa: E402

FILES = sorted(HERE.glob("*.jsonl.gz"))
NAMES = [file.name.removesuffix(".jsonl.gz") for file in FILES]
DECIDE = ("machine", "numpy", "scipy", "scikit-learn")  # what proposals' last digits depend on
golden = pytest.mark.parametrize("name", NAMES)


def file_of(name):
    return HERE / f"{name}.jsonl.gz"


def expected(name):
    return json.loads((HERE / f"{name}.expected.json").read_text(encoding="utf-8"))


def lines(name):
    return [json.loads(line) for line in gzip.decompress(file_of(name).read_bytes()).splitlines()]


def departures(proposal, recorded):
    """Where a proposal is another than the recorded one, by more than processors differ."""
    return differences(json.loads(proposal_text(proposal)), json.loads(recorded), "proposal")


def require_equal_versions(name):
    """Skip, in words, where other versions may rightly propose otherwise."""
    then, now = expected(name)["next"]["environment"], environment()
    changed = [key for key in DECIDE if then.get(key) != now.get(key)]
    differ = [f"{key} {then.get(key)} -> {now.get(key)}" for key in changed]
    if differ:
        pytest.skip(f"proposals are not compared, as versions differ: {', '.join(differ)}")


@golden
def test_a_golden_file_is_as_it_was_committed(name):
    assert hashlib.sha256(file_of(name).read_bytes()).hexdigest() == expected(name)["file"]


@golden
def test_it_folds_to_the_recorded_state(name):
    state = canonical_state(check_file(file_of(name)).state)
    assert differences(state, expected(name)["state"]) == []


@golden
def test_what_comes_next_is_proposed_as_it_was(name):
    require_equal_versions(name)
    state = check_file(file_of(name)).state
    proposals = plan(state, state.declaration.generation)
    recorded = expected(name)["next"]["proposals"]
    for proposal, text in zip(proposals, recorded, strict=True):
        assert departures(proposal, text) == []


@golden
def test_imported_it_is_proved_and_folds_to_the_same_state(name, sweep_folder):
    imported = import_sweep(file_of(name))
    record = open_record(imported.record.entry.name)
    assert audit(record) == []
    state = replay(record.events)
    assert differences(canonical_state(state), expected(name)["state"]) == []
    assert state.generations_done > 0


@golden
def test_imported_its_proposals_recompute(name, sweep_folder):
    require_equal_versions(name)
    imported = import_sweep(file_of(name))
    generations = 0
    state = None
    for event in open_record(imported.record.entry.name).events:
        if isinstance(event, GenerationSealed):
            for trial, again in zip(event.trials, plan(state, len(event.trials)), strict=True):
                assert departures(again, proposal_text(trial.proposal)) == []
            generations += 1
        state = evolve(state, event)
    assert generations == state.generations_done


def test_together_they_hold_whatever_a_history_can_hold():
    every = [line for name in NAMES for line in lines(name)]
    rows = [row for x in every if x["line"] == "seal" for row in json.loads(x["text"])["trials"]]
    runs = [line for line in every if line["line"] == "run"]
    declared = [line["declaration"] for line in every if line["line"] == "header"]
    assert {row[2] for row in rows} == {*PROPOSERS, *POOLS, "start"}
    assert {row[7][0] for row in rows if row[7]} == {*get_args(FailureKind)} - {"told"}
    assert {run["status"] for run in runs} == {"FINISHED", "FAILED", "KILLED", "RUNNING"}
    assert any(row[1] for row in rows), "no attempt was issued again"
    assert {d["generation"] for d in declared} == {1, 4, 16}
    assert {d["direction"] for d in declared} == {"minimize", "maximize"}
    assert any(d["start_from"] for d in declared)
    kinds = Counter(one["type"] for d in declared for _, one in d["space"] if type(one) is dict)
    assert set(kinds) == {"float", "int", "choice"}
    for name in ("killed", "maximize"):
        drivers = [line for line in lines(name) if line["line"] == "driver"]
        budgets = [driver["settings"]["budget"]["trials"] for driver in drivers]
        assert len(set(budgets)) == len(budgets) >= 2, "no budget was raised"


def test_another_state_is_told_from_the_recorded_one():
    state = expected("portfolio")["state"]
    altered = json.loads(json.dumps(state))
    altered["members"]["rl"]["gaussian"]["sigma"] *= 1 + 1e-6
    altered["best"]["attempt"] += 1
    found = differences(altered, state)
    assert len(found) == 2
    assert "state.members.rl.gaussian.sigma" in found[1]
    altered = json.loads(json.dumps(state))
    altered["members"]["rl"]["gaussian"]["sigma"] *= 1 + 1e-13
    assert differences(altered, state) == []
