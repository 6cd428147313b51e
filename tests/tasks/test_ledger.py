"""What is on record for an open generation, and what a driver makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatch

import pytest
from backends import on_every_store, transaction
from histories import all_runs, counted, full_list, trials
from mlflow.exceptions import MlflowException
from places import place_of
from sqlalchemy import text

from lepton_core.errors import LeaseLostError, RecordError
from lepton_core.events import Failure, GenerationSealed, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_tasks import lease, register, snapshots
from lepton_tasks.lease import acquire
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.objective import Outcome
from lepton_tasks.seals import Seals
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.sweep_yaml import read

pytestmark = on_every_store

# -- a ledger in this process ------------------------------------------------------------------


@pytest.fixture
def take_wheel(sweep_folder, store, monkeypatch):
    """Makes this process the driver of the sweep, once more each time."""

    def take(**changes):
        monkeypatch.setattr(lease, "_await_farewell", lambda *_: None)  # as if it slept for long
        declaration, settings = read(sweep_folder.write(**changes)).parse()
        entry = register.enter(store, declaration)
        won = acquire(
            store.client,
            entry.ledger,
            name="demo",
            from_generation=lambda params: len(Seals(params, declaration, entry.digest)),
            take_over=True,
        )
        ledger = MlflowLedger(SweepRecord(store, entry), won)
        ledger.start(settings)
        return ledger

    return take


def state_of(ledger):
    return replay(ledger.record.events)


def result(proposal, value=0.5, attempt=0):
    return TrialRecord(proposal=proposal, attempt=attempt, value=value)


def do_slot(ledger, proposal, value=0.5, attempt=0):
    run_id = ledger.begin(proposal, attempt)
    ledger.finish(run_id, result(proposal, value, attempt), Outcome())
    return run_id


def test_what_is_recorded_of_the_open_generation_stands_and_the_rest_are_orphans(
    take_wheel, store, sweep_folder
):
    ledger = take_wheel()
    first, second, third, _ = plan(state_of(ledger), 4)
    done = do_slot(ledger, first)
    running = ledger.begin(second, 0)
    half_ended = ledger.begin(third, 0)
    record = TrialRecord(proposal=third, failure=Failure(kind="nan", reason="why"))
    ledger.finish(half_ended, record, Outcome())
    store.client.plain.update_run(half_ended, status="RUNNING")  # killed before the status was set

    slots = take_wheel().open_slots(0)
    assert {n: (s.attempts, s.run_id) for n, s in slots.items()} == {
        0: (1, done),
        1: (1, None),
        2: (1, half_ended),
    }
    assert slots[0].result == result(first)
    assert slots[2].result == record
    assert [slots[n].proposal for n in range(3)] == [first, second, third]
    status = {run.run_id: run.status for run in trials(sweep_folder.path)}
    assert status == {done: "FINISHED", running: "KILLED", half_ended: "FAILED"}
    killed = next(run for run in trials(sweep_folder.path) if run.run_id == running)
    assert killed.tags["lepton.killed"].startswith("orphaned:")


def test_a_run_that_user_code_ended_does_not_count_without_the_drivers_record(take_wheel, store):
    ledger = take_wheel()
    proposal = plan(state_of(ledger), 4)[0]
    run_id = ledger.begin(proposal, 0)
    store.client.plain.log_metric(run_id, "loss", -1e9)
    store.client.plain.set_terminated(run_id, "FINISHED")
    slots = take_wheel().open_slots(0)
    assert slots[0].result is None
    assert slots[0].attempts == 1
    assert store.client.get_run(run_id).info.status == "KILLED"


def test_a_result_record_on_a_killed_attempt_does_not_count(take_wheel):
    ledger = take_wheel()
    proposal = plan(state_of(ledger), 4)[0]
    run_id = do_slot(ledger, proposal)
    ledger.kill(run_id, "orphaned: by a driver that thought it dead")
    assert take_wheel().open_slots(0)[0].result is None


def test_of_two_results_for_a_slot_the_first_attempts_counts_and_the_other_is_killed(
    take_wheel, sweep_folder
):
    ledger = take_wheel()
    proposal = plan(state_of(ledger), 4)[0]
    kept, late = do_slot(ledger, proposal, 0.5), do_slot(ledger, proposal, 0.25, attempt=1)
    slot = take_wheel().open_slots(0)[0]
    assert (slot.result.value, slot.run_id) == (0.5, kept)
    (killed,) = [run for run in trials(sweep_folder.path) if run.status == "KILLED"]
    assert killed.run_id == late


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"lepton.slot": "zero", "lepton.attempt": "0"},
        {"lepton.slot": "0"},
        {"lepton.slot": "0", "lepton.attempt": "5"},
        {"lepton.slot": "0", "lepton.attempt": "0", "lepton.proposal": "{}"},
        {"lepton.slot": "0", "lepton.attempt": "0", "lepton.result": "{}"},
        {"lepton.slot": "99", "lepton.attempt": "0"},
    ],
)
def test_a_run_that_only_looks_like_a_trial_gives_no_result_and_no_proposal(
    take_wheel, store, tags
):
    ledger = take_wheel()
    look = {"lepton.kind": "trial", "lepton.sweep": "demo", "lepton.generation": "0"}
    store.client.plain.create_run(ledger.experiment_id, tags={**look, **tags})
    for slot in take_wheel().open_slots(0).values():
        assert (slot.result, slot.proposal) == (None, None)


def test_foreign_runs_are_left_alone(take_wheel, store, drivers, sweep_folder):
    ledger = take_wheel()
    foreign = [
        store.client.plain.create_run(ledger.experiment_id, tags=tags).info.run_id
        for tags in ({}, {"lepton.sweep": "demo"}, {"mlflow.parentRunId": ledger.parent})
    ]
    store.client.plain.log_metric(foreign[0], "loss", -5.0)
    store.client.plain.set_terminated(foreign[1], "FAILED")
    ledger.end("KILLED")
    ledger.lease.release()
    drivers.run(sweep_folder.path, in_process=True)
    statuses = {run.run_id: run.status for run in all_runs(sweep_folder.path)}
    assert [statuses[run] for run in foreign] == ["RUNNING", "FAILED", "RUNNING"]


def sealed_generation(ledger, generation=0):
    state = state_of(ledger)
    proposals = plan(state, 4)
    ledger.open_slots(generation)
    for proposal in proposals:
        do_slot(ledger, proposal, value=proposal.slot + 0.5)
    event = GenerationSealed(
        generation=generation,
        trials=tuple(result(p, p.slot + 0.5) for p in proposals),
        driven_s=1.5,
    )
    return event, evolve(state, event)


def test_what_was_sealed_is_what_the_next_driver_reads(take_wheel):
    ledger = take_wheel()
    event, state = sealed_generation(ledger)
    ledger.seal(event, state)
    found = take_wheel()
    assert found.record.events[-1] == event
    assert state_of(found).best == state.best


def test_a_driver_that_lost_its_lease_seals_nothing_that_counts(take_wheel, sweep_folder):
    """Even if it wakes between asking for its lease and writing: the seal is there, and void."""
    sleeper = take_wheel()
    event, state = sealed_generation(sleeper)
    successor = take_wheel()
    sleeper.lease._confirmed = math.inf  # so sure of its lease that it does not ask
    sleeper.seal(event, state)
    assert state_of(successor).trials_done == 0
    successor.record.refresh()
    assert len(successor.record.seals) == 0
    sleeper.lease._confirmed = -math.inf
    with pytest.raises(LeaseLostError):
        sleeper.seal(event, state)
    # What it measured stands: the results were recorded while it held the lease.
    assert [slot.result for slot in successor.open_slots(0).values()] == list(event.trials)


@pytest.mark.parametrize("when", ["begin", "finish", "kill", "seal", "end", "open_slots", "start"])
def test_every_write_asks_for_the_lease(take_wheel, when):
    sleeper = take_wheel()
    event, state = sealed_generation(sleeper)
    proposal = event.trials[0].proposal
    take_wheel()
    sleeper.lease._confirmed = -math.inf
    arguments = {
        "begin": (proposal, 1),
        "finish": ("run", event.trials[0], {}),
        "kill": ("run", "cancelled: x"),
        "seal": (event, state),
        "end": ("FINISHED",),
        "open_slots": (0,),
        "start": (state.settings,),
    }
    with pytest.raises(LeaseLostError):
        getattr(sleeper, when)(*arguments[when])


def test_a_sleeper_that_ended_a_run_its_successor_had_killed_puts_that_right(take_wheel, store):
    """It slept inside `finish`: after asking for its lease, before writing."""
    sleeper = take_wheel()
    proposal = plan(state_of(sleeper), 4)[0]
    run_id = sleeper.begin(proposal, 0)
    successor = take_wheel()
    successor.open_slots(0)
    sleeper.lease._confirmed = math.inf
    sleeper.finish(run_id, result(proposal), Outcome())
    sleeper.lease._confirmed = -math.inf
    with pytest.raises(LeaseLostError):
        sleeper.lease.check()
    sleeper.abandon()
    assert store.client.get_run(run_id).info.status == "KILLED"


def test_a_sleeper_leaves_alone_what_its_successor_counts(take_wheel, sweep_folder):
    sleeper = take_wheel()
    event, state = sealed_generation(sleeper)
    successor = take_wheel()
    successor.open_slots(0)
    successor.seal(event, state)
    sleeper.abandon()
    assert [run.status for run in counted(sweep_folder.path)] == ["FINISHED"] * 4


def test_strays_of_closed_generations_are_marked(take_wheel, store):
    ledger = take_wheel()
    event, state = sealed_generation(ledger)
    ledger.seal(event, state)
    stray = ledger.begin(event.trials[0].proposal, 1)
    open_one = ledger.begin(plan(state, 4)[0], 0)
    take_wheel().kill_strays(but_generation=1)
    assert store.client.get_run(stray).info.status == "KILLED"
    assert store.client.get_run(stray).data.tags["lepton.killed"].startswith("orphaned")
    assert store.client.get_run(open_one).info.status == "RUNNING"


def test_a_proposal_made_on_a_void_seal_is_no_proposal(take_wheel):
    """A driver that lost its lease may have gone on from a seal that does not count."""
    sleeper = take_wheel()
    event, state = sealed_generation(sleeper)
    successor = take_wheel()
    sleeper.lease._confirmed = math.inf
    sleeper.seal(event, state)
    do_slot(sleeper, plan(state, 4)[0], value=-99.0)  # of generation 1, on the void seal
    successor.open_slots(0)
    successor.seal(GenerationSealed(**{**fields(event), "driven_s": 9.0}), state)
    slot = successor.open_slots(1)[0]
    assert (slot.proposal, slot.result, slot.attempts) == (None, None, 1)


def fields(event):
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


def test_maximised_metrics_keep_the_users_sign(sweep_folder, drivers, another_folder):
    sweep_folder.write(direction="maximize")
    told = drivers.run(sweep_folder.path, in_process=True).ending()
    values = [run.metrics["loss"] for run in counted(sweep_folder.path) if run.metrics]
    assert told["best"]["value"] == max(values) > 0
    lower = drivers.run(another_folder.path, in_process=True).ending()
    assert lower["best"]["value"] == min(
        run.metrics["loss"] for run in counted(another_folder.path) if run.metrics
    )


def test_an_altered_seal_stops_the_sweep_and_is_named(sweep_folder, drivers, store):
    drivers.run(sweep_folder.path, in_process=True)
    entry = register.lookup(store, "demo")
    with transaction(place_of(sweep_folder.path).database) as db:
        changed = db.execute(
            text(
                "UPDATE params SET value = replace(value, '0.', '1.') "
                "WHERE key = 'seal/00000001/000001/0000'"
            )
        )
        assert changed.rowcount == 1
    with pytest.raises(RecordError, match="seal/00000001/000001"):
        SweepRecord(store, entry)
    sweep_folder.write(budget={"trials": 16})
    again = drivers.start(sweep_folder.path, in_process=True)
    assert again.wait() == 5
    assert len(full_list(sweep_folder.path)) == 12


# -- scale --------------------------------------------------------------------------------------


@pytest.fixture
def kept_often(monkeypatch):
    """A snapshot after every generation."""
    monkeypatch.setattr(snapshots, "EVERY", 1)
    monkeypatch.setattr(snapshots, "SHARE", 0)


def snapshot_keys(store, ledger):
    params = store.client.get_run(ledger.record.entry.ledger).data.params
    return sorted(key for key in params if key.startswith("snapshot/") and key.count("/") == 2)


def sealed_after(ledger, state, generation):
    """Drive one generation to its seal."""
    ledger.open_slots(generation)
    proposals = plan(state, 4)
    for proposal in proposals:
        do_slot(ledger, proposal, value=proposal.slot + 0.5)
    event = GenerationSealed(
        generation=generation, trials=tuple(result(p, p.slot + 0.5) for p in proposals)
    )
    state = evolve(state, event)
    ledger.seal(event, state)
    return state


def test_the_next_driver_goes_on_from_the_snapshot_as_from_all_seals(take_wheel, kept_often, store):
    ledger = take_wheel()
    state = ledger.record.state
    for generation in range(3):
        state = sealed_after(ledger, state, generation)
    keys = [f"snapshot/{done:08d}/000001" for done in (1, 2, 3)]
    assert snapshot_keys(store, ledger) == keys
    found = take_wheel()
    assert replace(found.record.state, settings=None) == replace(state, settings=None)
    assert found.record.state == state_of(found)
    assert plan(found.record.state, 4) == plan(state, 4)


@pytest.mark.parametrize("refused", ["snapshot/*", "snapshot/*/0000"])
def test_a_snapshot_that_the_store_refuses_hurts_nothing(
    take_wheel, kept_often, store, monkeypatch, refused
):
    write = store.client.plain.log_param

    def log_param(run_id, key, value):
        if fnmatch(key, refused):
            raise MlflowException("no room for this")
        write(run_id, key, value)

    monkeypatch.setattr(store.client.plain, "log_param", log_param)
    ledger = take_wheel()
    state = ledger.record.state
    for generation in range(2):
        state = sealed_after(ledger, state, generation)
    assert snapshot_keys(store, ledger) == []
    assert take_wheel().record.state.trials_done == 8


def test_a_driver_looks_for_others_trials_until_there_are_none_ahead(take_wheel, monkeypatch):
    """A search takes the longer the more runs there are: it is made no more than need be."""
    sleeper = take_wheel()
    event, state = sealed_generation(sleeper)
    sleeper.seal(event, state)
    do_slot(sleeper, plan(state, 4)[0])
    ledger, asked = take_wheel(), []
    search = ledger.client.search_runs

    def searching(experiments, condition, **options):
        asked.append(condition)
        return search(experiments, condition, **options)

    monkeypatch.setattr(ledger.client, "search_runs", searching)
    state = ledger.record.state
    for generation in range(1, 5):
        state = sealed_after(ledger, state, generation)
    assert [c[-4:] for c in asked if "generation" in c] == [" '1'", " '2'"]
