"""``lepton verify``: what it proves, and what it names."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest


def test_verify_proves_an_untouched_history(driven, lepton, lepton_json):
    code, answer = lepton_json("verify", "demo")
    assert (code, answer["intact"], answer["same_proposals"]) == (0, True, True)
    code, shown = lepton("verify", "demo")
    assert "every proposal comes out the same" in shown


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("update latest_metrics set value = value + 1 where key = 'loss'", "metric loss"),
        ("update params set value = '0.5' where key = 'x'", "param x"),
        ("update runs set status = 'RUNNING' where name = 'gen01-02'", "status is RUNNING"),
        ("delete from tags where key = 'lepton.result'", "tag lepton.result is missing"),
        ("update tags set value = 'ga' where key = 'lepton.proposer'", "tag lepton.proposer"),
        (
            "update runs set lifecycle_stage = 'deleted' where name = 'gen00-01'",
            "its run is deleted",
        ),
    ],
)
def test_verify_names_what_was_edited_behind_our_back(driven, lepton, edit, said):
    with sqlite3.connect("mlruns/mlflow.db") as store:
        assert store.execute(edit).rowcount > 0
    code, shown = lepton("verify", "demo")
    assert code == 5
    assert said in shown


@pytest.mark.parametrize("key", ["seal/00000001/000001", "seal/00000001/000001/0000"])
def test_verify_names_an_edited_seal(driven, lepton, key):
    with sqlite3.connect("mlruns/mlflow.db") as store:
        edited = store.execute(
            "update params set value = replace(value, '0', '1') where key = ?", (key,)
        )
        assert edited.rowcount == 1
    code, shown = lepton("verify", "demo")
    assert code == 5
    assert "seal/00000001/000001" in shown


def test_verify_names_a_seal_that_was_taken_out(driven, lepton):
    with sqlite3.connect("mlruns/mlflow.db") as store:
        store.execute("delete from params where key like 'seal/00000001/%'")
    code, shown = lepton("verify", "demo")
    assert code == 5
    assert "the seal of generation 1 of sweep 'demo' is missing" in shown


def test_verify_tells_a_search_that_changed_from_a_history_that_was_altered(
    driven, lepton, lepton_json, monkeypatch
):
    from lepton_core.pools import POOLS

    def changed(elite, generator, m):
        return POOLS["random"](elite, generator, m)

    monkeypatch.setitem(POOLS, "ga", changed)
    code, answer = lepton_json("verify", "demo")
    assert (code, answer["intact"], answer["same_proposals"]) == (6, True, False)
    assert answer["divergence"]["generation"] == 2  # the first that the judge filled
    code, shown = lepton("verify", "demo")
    assert code == 6
    assert "recomputing differs from trial" in shown


def test_verify_proves_a_snapshot_and_names_one_that_is_not_what_the_replay_gives(driven, lepton):
    from lepton_core.fold import replay
    from lepton_tasks.snapshots import snapshot_key, snapshot_texts
    from lepton_tasks.sweep_record import open_record

    def keep(generations, epoch, **changes):
        record = open_record("demo")
        first = len(record.events) - len(record.seals)
        state = replay(record.events[: first + generations])
        parts, header = snapshot_texts(replace(state, **changes), record.seals.head(generations))
        key = snapshot_key(generations, epoch)
        texts = {**{f"{key}/{n:04d}": part for n, part in enumerate(parts)}, key: header}
        for name, text in texts.items():
            record.store.client.plain.log_param(record.entry.ledger, name, text)

    keep(2, 1)
    assert lepton("verify", "demo")[0] == 0
    keep(2, 7, failed=99)
    code, shown = lepton("verify", "demo")
    assert code == 5
    assert "snapshot/00000002/000007 is another state" in " ".join(shown.split())
    code, shown = lepton("doctor", "demo")
    assert code == 5
    assert "DELETE FROM params" in shown
    assert "snapshot/00000002/000001" not in shown
