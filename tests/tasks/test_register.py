"""The register of sweeps' names."""

from __future__ import annotations

import shutil

import pytest
from backends import on_every_store
from histories import of_kind

from lepton_core.errors import RecordError
from lepton_tasks import register
from lepton_tasks.store import connect
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.sweep_yaml import from_dict


def declaration(folder, **changes):
    return from_dict({**folder.content, **changes}, folder.path).parse()[0]


def declare_at_once(sweep_folder, drivers):
    """Four drivers declare the same sweep; all must get the same ledger."""
    told = drivers.race(sweep_folder.path, "declare", [{} for _ in range(4)])
    assert len({tuple(entry) for entry in told}) == 1, told
    ledgers = of_kind(sweep_folder.path, "ledger")
    valid = [run for run in ledgers if run.run_id == told[0][0]]
    assert len(valid) == 1
    assert SweepRecord(connect(), register.lookup(connect(), "demo")).declaration == (
        declaration(sweep_folder)
    )
    # The losers' ledger runs are nobody's, and say so.
    losers = [r for r in ledgers if "lepton.sweep" in r.tags and r.run_id != told[0][0]]
    assert all(run.status == "KILLED" and run.tags["lepton.killed"] for run in losers)
    assert not [run for run in ledgers if run.status == "RUNNING"]


@on_every_store
def test_drivers_that_declare_one_name_at_once_get_one_ledger(sweep_folder, drivers):
    declare_at_once(sweep_folder, drivers)


def test_drivers_that_make_the_database_at_once_get_one_ledger(sweep_folder, drivers):
    shutil.rmtree("mlruns")
    declare_at_once(sweep_folder, drivers)


@on_every_store
def test_a_name_belongs_to_the_first_identity_for_ever(sweep_folder, store):
    first = register.enter(store, declaration(sweep_folder))
    second = register.enter(store, declaration(sweep_folder, seed=8))
    assert second == first
    assert register.entries(store) == {"demo": first}


@on_every_store
def test_sweeps_are_listed_in_the_order_of_names(sweep_folder, store):
    for name in ("b.2", "a-1", "c_3"):
        register.enter(store, declaration(sweep_folder, name=name))
    assert list(register.entries(store)) == ["a-1", "b.2", "c_3"]


@on_every_store
def test_an_empty_store_has_no_sweeps(store):
    assert register.entries(store) == {}
    assert register.lookup(store, "demo") is None


@on_every_store
def test_a_register_that_lost_its_pointer_is_named(sweep_folder, store):
    register.enter(store, declaration(sweep_folder))
    pointer = store.client.get_experiment_by_name(register.EXPERIMENT)
    store.client.plain._tracking_client.store.delete_experiment_tag(
        pointer.experiment_id, register.REGISTER
    )
    with pytest.raises(RecordError, match=r"lost its tag lepton\.register"):
        register.lookup(store, "demo")


@on_every_store
def test_an_altered_declaration_is_named(sweep_folder, store):
    entry = register.enter(store, declaration(sweep_folder))
    text = store.client.get_run(entry.ledger).data.tags["lepton.declaration"]
    edited = text.replace('"seed":7', '"seed":8')
    store.client.plain.set_tag(entry.ledger, "lepton.declaration", edited)
    with pytest.raises(RecordError, match="declaration is torn or was altered"):
        SweepRecord(store, entry)


@on_every_store
def test_a_declaration_altered_together_with_its_digest_is_named(sweep_folder, store):
    entry = register.enter(store, declaration(sweep_folder))
    other = register.enter(store, declaration(sweep_folder, name="other"))
    for key, value in store.client.get_run(other.ledger).data.tags.items():
        if key.startswith("lepton.declaration"):
            store.client.plain.set_tag(entry.ledger, key, value)
    with pytest.raises(RecordError, match="its digest is not the registered one"):
        SweepRecord(store, entry)
