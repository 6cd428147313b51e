"""The primitive that leases and seals rest on, with rivals in processes of their own."""

from __future__ import annotations

import pytest
from backends import on_every_store
from mlflow.exceptions import MlflowException

from lepton_tasks.write_once import MAX_VALUE, write_once
from lepton_tasks.write_points import NAME

RACERS, KEYS = 6, 15
pytestmark = on_every_store


def ledger_run(store):
    return store.client.plain.create_run(store.ledger_id).info.run_id


def test_of_racing_processes_one_wins_each_register_and_all_agree_who(sweep_folder, store, drivers):
    run_id = ledger_run(store)
    racers = [{"run_id": run_id, "keys": KEYS, "value": f"racer {n}"} for n in range(RACERS)]
    told = drivers.race(sweep_folder.path, "write", racers)
    stored = store.client.get_run(run_id).data.params
    expected = [stored[f"key/{key}"] for key in range(KEYS)]
    assert len(stored) == KEYS
    assert all(held == expected for held in told), told


def test_the_first_value_stands(store):
    run_id = ledger_run(store)
    assert write_once(store.client, NAME, run_id, "key", "first") == "first"
    assert write_once(store.client, NAME, run_id, "key", "second") == "first"
    assert store.client.get_run(run_id).data.params == {"key": "first"}


def test_the_same_value_again_succeeds(store):
    run_id = ledger_run(store)
    twice = [write_once(store.client, NAME, run_id, "key", "mine") for _ in range(2)]
    assert twice == ["mine"] * 2


def test_the_longest_value_comes_back_whole(store):
    run_id = ledger_run(store)
    value = "é" * MAX_VALUE
    assert write_once(store.client, NAME, run_id, "key", value) == value
    assert store.client.get_run(run_id).data.params["key"] == value


def test_a_value_that_the_store_refuses_is_an_error_and_not_cut(store):
    run_id = ledger_run(store)
    with pytest.raises(MlflowException):
        write_once(store.client, NAME, run_id, "key", "x" * 6001)
    assert store.client.get_run(run_id).data.params == {}


def test_a_store_that_fails_is_an_error_and_not_a_lost_race(store):
    with pytest.raises(MlflowException):
        write_once(store.client, NAME, "no-such-run", "key", "value")
