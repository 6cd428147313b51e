"""What an audit finds in a generation that is not sealed, and of seals that are gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from lepton_core.errors import RecordError
from lepton_core.events import GenerationSealed, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_tasks import lease, register
from lepton_tasks.doctor.audit import audit, notes
from lepton_tasks.doctor.repairs import heal
from lepton_tasks.lease import acquire
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.objective import Outcome
from lepton_tasks.sweep_record import SweepRecord, open_record
from lepton_tasks.sweep_yaml import read


@pytest.fixture
def take_wheel(sweep_folder, store, monkeypatch):
    """Makes this process the driver of the sweep, once more each time."""

    def take(**changes):
        monkeypatch.setattr(lease, "_await_farewell", lambda *_: None)
        declaration, settings = read(sweep_folder.write(**changes)).parse()
        entry = register.enter(store, declaration)
        won = acquire(
            store.client,
            entry.ledger,
            name="demo",
            from_generation=lambda _: len(SweepRecord(store, entry).seals),
            take_over=True,
        )
        ledger = MlflowLedger(SweepRecord(store, entry), won)
        ledger.start(settings)
        return ledger

    return take


def do_slot(ledger, proposal, value=0.5):
    run_id = ledger.begin(proposal, 0)
    record = TrialRecord(proposal=proposal, value=value)
    ledger.finish(run_id, record, Outcome())
    return record, run_id


def seal(ledger, state):
    """A whole generation, done and sealed; the state after it."""
    records = [do_slot(ledger, proposal, proposal.slot + 0.5)[0] for proposal in plan(state, 4)]
    event = GenerationSealed(generation=state.generations_done, trials=tuple(records))
    after = evolve(state, event)
    ledger.seal(event, after)
    return after


def edit(store, statement, *values):
    with closing(sqlite3.connect(store.address.database)) as db, db:
        assert db.execute(statement, values).rowcount > 0


EDITS = {
    "param x": "update params set value = '0.123' where key = 'x' and run_uuid = ?",
    "metric loss": "update latest_metrics set value = 9 where key = 'loss' and run_uuid = ?",
    "tag lepton.result of another attempt": (
        "update tags set value = replace(value, '\"attempt\":0', '\"attempt\":1') "
        "where key = 'lepton.result' and run_uuid = ?"
    ),
    "tag lepton.result": "update tags set value = '{' where key = 'lepton.result' and run_uuid = ?",
    "tag lepton.proposal": (
        "update tags set value = replace(value, '0', '1') where key = 'lepton.proposal' "
        "and run_uuid = ?"
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_open_trial_that_contradicts_itself_is_issued_again(take_wheel, store, what):
    ledger = take_wheel()
    first, second, *_ = plan(replay(ledger.record.events), 4)
    _, run_id = do_slot(ledger, first)
    kept, other = do_slot(ledger, second)
    ledger.lease.release()
    assert audit(open_record("demo")) == []
    edit(store, EDITS[what], run_id)

    (finding,) = audit(open_record("demo"))
    assert finding.what in what or what in finding.what
    assert (finding.meaning, finding.run_id) == ("open", run_id)
    assert [one.repair.action for one in heal("demo") if one.repair.target == run_id] == [
        "mark killed"
    ]
    assert audit(open_record("demo")) == []
    slots = take_wheel().open_slots(0)
    assert (slots[0].result, slots[0].attempts) == (None, 1)
    assert (slots[1].result, slots[1].run_id) == (kept, other)


SHOWN = {
    "its run": "update runs set lifecycle_stage = 'deleted' where run_uuid = ?",
    "status": "update runs set status = 'KILLED' where run_uuid = ?",
    "tag lepton.kind": "delete from tags where key = 'lepton.kind' and run_uuid = ?",
    "tag lepton.sweep": "update tags set value = 'x' where key = 'lepton.sweep' and run_uuid = ?",
    "tag lepton.seed": "update tags set value = '1' where key = 'lepton.seed' and run_uuid = ?",
    "tag mlflow.parentRunId": (
        "delete from tags where key = 'mlflow.parentRunId' and run_uuid = ?"
    ),
}


@pytest.mark.parametrize("what", SHOWN)
def test_an_open_trial_that_others_changed_for_the_eye_only_keeps_its_result(
    take_wheel, store, what
):
    ledger = take_wheel()
    kept, run_id = do_slot(ledger, plan(replay(ledger.record.events), 4)[0])
    before = store.client.get_run(run_id)
    ledger.lease.release()
    edit(store, SHOWN[what], run_id)

    assert [(one.what, one.run_id) for one in audit(open_record("demo"))] == [(what, run_id)]
    assert [one.repair.target for one in heal("demo")] == [run_id, ledger.parent]
    assert audit(open_record("demo")) == []
    after = store.client.get_run(run_id)
    assert (after.info.status, after.info.lifecycle_stage) == ("FINISHED", "active")
    assert before.data.tags.items() <= after.data.tags.items()
    assert take_wheel().open_slots(0)[0].result == kept


def test_the_next_driver_puts_the_status_of_an_open_trial_right(take_wheel, store):
    ledger = take_wheel()
    kept, run_id = do_slot(ledger, plan(replay(ledger.record.events), 4)[0])
    edit(store, SHOWN["status"], run_id)
    assert take_wheel().open_slots(0)[0].result == kept
    assert store.client.get_run(run_id).info.status == "FINISHED"


def test_an_open_trial_of_a_later_schema_is_nobodys_to_judge(take_wheel, store):
    ledger = take_wheel()
    _, run_id = do_slot(ledger, plan(replay(ledger.record.events), 4)[0])
    store.client.plain.set_tag(run_id, "lepton.schema", "2")
    ledger.lease.release()
    (finding,) = audit(open_record("demo"))
    assert (finding.found, finding.repairs) == ("of schema 2", ())
    assert "upgrade Lepton" in finding.remedy
    with pytest.raises(RecordError, match=r"schema 2.*Upgrade"):
        open_record("demo").attempts(0)
    with pytest.raises(RecordError, match=r"schema 2.*Upgrade"):
        take_wheel().open_slots(0)
    store.client.plain.delete_run(run_id)  # as the remedy says, where the run is none of ours
    assert take_wheel().open_slots(0) == {}


def test_what_a_dead_driver_left_is_no_alteration_and_can_be_ended(take_wheel, store):
    ledger = take_wheel()
    run_id = ledger.begin(plan(replay(ledger.record.events), 4)[0], 0)
    assert (audit(open_record("demo")), notes(open_record("demo"))) == ([], [])  # it is driven
    ledger.lease.release()
    assert audit(open_record("demo")) == []
    assert [note.run_id for note in notes(open_record("demo"))] == [run_id, ledger.parent]
    heal("demo")
    assert notes(open_record("demo")) == []
    assert store.client.get_run(run_id).data.tags["lepton.killed"].startswith("orphaned")
    assert store.client.get_run(ledger.parent).info.status == "KILLED"
    assert take_wheel().open_slots(0)[0].attempts == 1


def test_a_trial_of_the_next_generation_shows_that_a_last_seal_was_there(take_wheel, store):
    ledger = take_wheel(portfolio={"proposers": ["random"], "judge": False})
    state = seal(ledger, seal(ledger, replay(ledger.record.events)))
    before = plan(state, 4)
    _, run_id = do_slot(ledger, before[0])
    ledger.lease.release()
    edit(store, "delete from params where key like 'seal/00000001/%'")
    edit(store, "delete from metrics where run_uuid = ?", ledger.parent)
    edit(store, "delete from latest_metrics where run_uuid = ?", ledger.parent)

    (finding,) = audit(open_record("demo"))
    assert (finding.what, finding.reopens) == ("the seal of generation 1", 1)
    assert run_id in finding.recorded
    assert heal("demo") == []
    assert [one.repair.action for one in heal("demo", reopen=True)][:1] == ["reopen"]
    assert audit(open_record("demo")) == []
    again = take_wheel()
    assert all(slot.result is not None for slot in again.open_slots(1).values())
    assert store.client.get_run(run_id).info.status == "KILLED"


def test_what_a_driver_that_lost_its_lease_sealed_shows_nothing(take_wheel):
    slept = take_wheel(portfolio={"proposers": ["random"], "judge": False})
    state = seal(slept, replay(slept.record.events))
    driver = take_wheel()
    slept.lease._lost = None
    slept.lease.check = lambda **_: None  # it slept between looking and writing
    after = seal(slept, state)
    do_slot(slept, plan(after, 4)[0])
    seal(driver, state)
    driver.lease.release()
    found = [finding.what for finding in audit(open_record("demo"))]
    assert all("beside" in f.found for f in audit(open_record("demo"))), found
    assert len(found) == 4  # the slots that both evaluated: the driver that woke up marks its own


def test_what_was_being_written_at_the_first_look_is_no_alteration(take_wheel, store, monkeypatch):
    ledger = take_wheel()
    _, run_id = do_slot(ledger, plan(replay(ledger.record.events), 4)[0], 0.5)
    whole = "update latest_metrics set is_nan = {} where key = 'loss' and run_uuid = ?"
    edit(store, whole.format(1), run_id)
    record = open_record("demo")
    assert [finding.what for finding in audit(record)] == ["metric loss"]

    look_again = record.refresh

    def refresh():
        edit(store, whole.format(0), run_id)
        look_again()

    monkeypatch.setattr(record, "refresh", refresh)
    assert audit(record) == []


def test_a_run_made_twice_by_the_store_is_no_alteration(take_wheel, store):
    ledger = take_wheel()
    before = replay(ledger.record.events)
    run_id = ledger.begin(plan(before, 4)[0], 0)
    seal(ledger, before)
    assert (audit(open_record("demo")), notes(open_record("demo"))) == ([], [])
    ledger.lease.release()
    assert audit(open_record("demo")) == []
    assert [note.run_id for note in notes(open_record("demo"))] == [run_id, ledger.parent]
    heal("demo")
    assert notes(open_record("demo")) == []


def test_what_a_driver_finished_after_it_lost_its_lease_is_a_note(take_wheel, store):
    slow = take_wheel()
    before = replay(slow.record.events)
    fast = take_wheel()
    _, run_id = do_slot(slow, plan(seal(slow, before), 4)[0])
    assert (audit(open_record("demo")), notes(open_record("demo"))) == ([], [])
    fast.lease.release()
    assert audit(open_record("demo")) == []
    assert run_id in [note.run_id for note in notes(open_record("demo"))]
    heal("demo")
    assert notes(open_record("demo")) == []
    assert store.client.get_run(run_id).info.status == "KILLED"
