"""One driver at a time, with rivals in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import asdict

import pytest
from backends import on_every_store
from drivers import await_no_process, wait_until
from histories import all_runs, assert_no_loose_ends

from lepton_core.errors import DrivenElsewhereError, LeaseLostError
from lepton_tasks import lease as leases
from lepton_tasks import records, register
from lepton_tasks.host import Process, _started, this_process
from lepton_tasks.lease import Lease, acquire, is_driven, request_cancel
from lepton_tasks.sweep_yaml import read

TTL_S = 2.0


@pytest.fixture
def ledger(sweep_folder, store, monkeypatch):
    """The ledger run of a declared sweep."""
    monkeypatch.setenv("LEPTON_LEASE_SECONDS", str(TTL_S))
    declaration, _ = read(sweep_folder.path / "sweep.yaml").parse()
    return register.enter(store, declaration).ledger


@pytest.fixture
def claim_now(store, ledger):
    """Claims the sweep for this process."""

    def claim(**options) -> Lease:
        return acquire(store.client, ledger, name="demo", from_generation=lambda _: 0, **options)

    return claim


def ignore(_reason):
    pass


def driven(store, ledger):
    run = store.client.get_run(ledger)
    return is_driven(run.data.params, run.data.tags)


def claim_as(store, ledger, epoch, when="then", **changes):
    """Put another process's claim on record."""
    claim = records.Claim(
        epoch=epoch,
        owner=f"another {epoch}",
        process=Process(**{**asdict(this_process()), **changes}),
        ttl_s=TTL_S,
        from_generation=0,
        claimed_at=when,
        environment={},
    )
    store.client.plain.log_param(ledger, records.epoch_key(epoch), claim.text())


def beat(store, ledger, epoch, count):
    store.client.plain.set_tag(ledger, f"{records.HEARTBEAT}.{epoch:06d}", str(count))


@on_every_store
def test_of_eight_drivers_started_at_once_one_drives_and_the_others_leave(sweep_folder, drivers):
    sweep_folder.write(budget={"trials": 100_000}, workers=1)
    env = {"PAUSE": "0.02"}
    racers = [
        drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True, env=env)
        for _ in range(8)
    ]
    wait_until(lambda: sum(r.poll() is not None for r in racers) == 7, "seven to leave")
    (driver,) = [racer for racer in racers if racer.poll() is None]
    others = [racer for racer in racers if racer is not driver]
    assert [racer.code for racer in others] == [4] * 7
    for racer in others:
        assert "began" not in racer.said()
        assert f"driven by process {driver.pid} on" in racer.said()
    driver.await_line("sealed 0")
    driver.signal(signal.SIGTERM)
    assert driver.wait() == 143
    assert_no_loose_ends(sweep_folder.path)
    (ledger,) = [r for r in all_runs(sweep_folder.path) if "epoch/000001" in r.params]
    assert [key for key in ledger.params if key.startswith("epoch/")] == ["epoch/000001"]
    await_no_process(sweep_folder.mark)


@on_every_store
def test_a_dead_driver_of_this_machine_is_replaced_at_once(store, ledger, claim_now):
    dead = subprocess.Popen(["sleep", "60"])
    claim_as(store, ledger, 1, pid=dead.pid, started=_started(dead.pid))
    with pytest.raises(DrivenElsewhereError, match=f"driven by process {dead.pid} on"):
        claim_now()
    dead.kill()
    dead.wait()
    started = time.monotonic()
    assert claim_now().epoch == 2
    assert time.monotonic() - started < TTL_S / 2


@on_every_store
def test_a_living_driver_of_this_machine_is_never_replaced(store, ledger, claim_now):
    claim_now()
    with pytest.raises(DrivenElsewhereError, match="driven by process") as caught:
        claim_now()
    assert caught.value.exit_code == 4
    assert driven(store, ledger)


@on_every_store
def test_a_lease_that_was_released_is_free_at_once(store, ledger, claim_now):
    first = claim_now()
    first.start(stop_driving=lambda _: None)
    first.release()
    assert not driven(store, ledger)
    started = time.monotonic()
    assert claim_now().epoch == 2
    assert time.monotonic() - started < TTL_S / 2


@on_every_store
def test_a_driver_elsewhere_is_replaced_once_its_counter_stood_still_for_its_time_to_live(
    store, ledger, claim_now
):
    claim_as(store, ledger, 1, host="elsewhere")
    beat(store, ledger, 1, 41)
    said = []
    started = time.monotonic()
    assert claim_now(say=said.append).epoch == 2
    assert TTL_S <= time.monotonic() - started < 3 * TTL_S
    assert len(said) == 1
    assert "elsewhere" in said[0]


@on_every_store
def test_a_driver_elsewhere_whose_counter_moves_is_left_alone(store, ledger, claim_now):
    claim_as(store, ledger, 1, host="elsewhere")
    beat(store, ledger, 1, 41)
    looks = []

    def beat_once(_message):
        looks.append(beat(store, ledger, 1, 42))

    started = time.monotonic()
    with pytest.raises(DrivenElsewhereError, match="on elsewhere, since then"):
        claim_now(say=beat_once)
    assert looks
    assert time.monotonic() - started < TTL_S / 2  # within two heartbeats


def test_the_waiting_goes_by_our_own_clock_and_never_by_timestamps(store, ledger, claim_now):
    for epoch, when in enumerate(("1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"), 1):
        claim_as(store, ledger, 2 * epoch - 1, host="elsewhere", when=when)
        started = time.monotonic()
        assert claim_now().epoch == 2 * epoch
        assert time.monotonic() - started >= TTL_S


def test_a_driver_elsewhere_that_leaves_while_we_wait_makes_way_at_once(store, ledger, claim_now):
    claim_as(store, ledger, 1, host="elsewhere")

    def leave(_message):
        store.client.plain.log_param(ledger, records.released_key(1), "another 1")

    started = time.monotonic()
    assert claim_now(say=leave).epoch == 2
    assert time.monotonic() - started < TTL_S


@on_every_store
def test_only_the_owner_can_release_an_epoch(store, ledger, claim_now):
    claim_now()
    store.client.plain.log_param(ledger, records.released_key(1), "not the owner")
    with pytest.raises(DrivenElsewhereError):
        claim_now()


@on_every_store
def test_a_claim_taken_over_is_lost_at_the_next_look(store, ledger, claim_now):
    first = claim_now()
    second = claim_now(take_over=True)
    assert (first.epoch, second.epoch) == (1, 2)
    second.check(certain=True)
    with pytest.raises(LeaseLostError, match="nothing that this driver does now counts"):
        first.check()  # it was confirmed half its time to live ago
    first.release()
    held = leases.holder(*params_and_tags(store, ledger))
    assert (held.claim.epoch, held.released) == (2, False)


@on_every_store
def test_who_takes_over_waits_until_the_other_driver_has_noticed(store, ledger, claim_now):
    first, told = claim_now(), []
    first.start(stop_driving=told.append)
    started = time.monotonic()
    claim_now(take_over=True)
    assert told == [f"process {this_process().pid} on {this_process().host} took over"]
    assert time.monotonic() - started < TTL_S / 2
    with pytest.raises(LeaseLostError):
        first.check()
    first.release()


def test_who_takes_over_from_one_that_says_nothing_waits_until_it_would_look(
    store, ledger, claim_now
):
    claim_as(store, ledger, 1, host="elsewhere")
    started = time.monotonic()
    claim_now(take_over=True)
    assert TTL_S / 2 <= time.monotonic() - started < TTL_S
    claim_as(store, ledger, 3, pid=2**22 + 1)  # there is no such process
    started = time.monotonic()
    assert claim_now(take_over=True).epoch == 4
    assert time.monotonic() - started < TTL_S / 4


def params_and_tags(store, ledger):
    run = store.client.get_run(ledger)
    return run.data.params, run.data.tags


@on_every_store
def test_a_beating_driver_learns_by_itself_that_it_was_replaced(store, ledger, claim_now):
    first = claim_now()
    first.start(stop_driving=lambda _: None)
    claim_now(take_over=True)

    def lost():
        try:
            first.check()
        except LeaseLostError:
            return True
        return False

    wait_until(lost, "the loss to be noticed", TTL_S)
    first.release()


@on_every_store
def test_a_driver_beats_into_a_tag_of_its_own_epoch(store, ledger, claim_now):
    lease = claim_now()
    lease.start(stop_driving=lambda _: None)
    key = f"{records.HEARTBEAT}.000001"
    wait_until(lambda: params_and_tags(store, ledger)[1].get(key) == "2", "two beats", TTL_S)
    lease.release()


@on_every_store
def test_a_request_to_cancel_reaches_the_epoch_it_names_and_no_other(store, ledger, claim_now):
    lease, cancelled = claim_now(), []
    lease.start(stop_driving=cancelled.append)
    request_cancel(store.client, ledger, 7)
    time.sleep(TTL_S / 2)
    assert not cancelled
    request_cancel(store.client, ledger, 1)
    wait_until(lambda: cancelled, "the request to arrive", TTL_S)
    lease.release()


def test_a_wrong_time_to_live_is_the_usual_one(monkeypatch):
    monkeypatch.setenv("LEPTON_LEASE_SECONDS", "soon")
    assert leases.time_to_live() == 30.0
    monkeypatch.setenv("LEPTON_LEASE_SECONDS", "0")
    assert leases.time_to_live() == 1.0
    monkeypatch.delenv("LEPTON_LEASE_SECONDS")
    assert leases.time_to_live() == 30.0


@on_every_store
def test_a_lease_is_confirmed_without_reading_the_history(store, ledger, claim_now, monkeypatch):
    """That would take a second of every five where the history is long."""
    won = claim_now()

    def never(_run_id):
        raise AssertionError("the whole ledger run was read")

    with monkeypatch.context() as patched:
        patched.setattr(store.client, "get_run", never)
        won.check(certain=True)
    claim_as(store, ledger, 2)
    with pytest.raises(LeaseLostError):
        won.check(certain=True)
