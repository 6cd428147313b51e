"""Drivers killed and stopped at any moment: what follows is as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from aftermath import assert_as_if_nothing_had_happened
from drivers import MARK, PATIENCE_S, await_no_process, wait_until
from histories import all_runs, assert_sound, counted, trials

SEED = int(os.environ.get("LEPTON_TEST_SEED", "0"))
THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # every write point, not a sample


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_with_its_group_at_random_moments_and_resumed_at_once(
    sweep_folder, undisturbed, drivers, workers
):
    """Real workers. A chain kills one sweep six times, first in its start-up."""
    chance = random.Random(f"{SEED} {workers}")
    budget = {"trials": 24}
    sweep_folder.write(budget=budget, workers=workers)
    moments = []
    for kill in range(6):
        driver = drivers.start(sweep_folder.path, sweep_folder.mark, env={"PAUSE": "0.05"})
        if kill:
            line = chance.choice(["began", "trial", "sealed"])
            driver.await_line(line)
            delay = chance.uniform(0, 0.2)
        else:
            line, delay = "start", chance.uniform(0, 3)
        time.sleep(delay)
        driver.kill_group()
        moments.append((line, delay, driver.said()))
    told = drivers.run(sweep_folder.path, sweep_folder.mark).ending()
    assert (told["ending"], told["trials"]) == ("finished", 24), moments
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, told["best"], budget=budget)
    killed = [run for run in trials(sweep_folder.path) if run.status == "KILLED"]
    assert all(run.tags["lepton.killed"].startswith("orphaned:") for run in killed)


def test_killed_before_each_of_its_writes_to_the_store(
    sweep_folder, undisturbed, drivers, migrated, tmp_path
):
    """SIGKILL before the n-th write statement, in the middle of transactions too.

    The objective runs in the driver here: what is on trial is the record. After each kill the
    sweep goes on in the same store, to be killed again after more writes, until it is done.
    """
    changes = {"budget": {"trials": 6}, "generation": 3}
    step = 1 if THOROUGH else 8
    points = 0
    for first in range(1, 120 if THOROUGH else 30, step):
        folder = type(sweep_folder)(
            tmp_path / f"{first}", migrated, (sweep_folder.path / "objective.py").read_text()
        )
        folder.write(**changes)
        number, code = first, -signal.SIGKILL
        while code == -signal.SIGKILL:
            point = {"signal_before_write": [number, "SIGKILL"]}
            driver = drivers.start(folder.path, folder.mark, in_process=True, **point)
            code = driver.wait()
            assert code in (0, -signal.SIGKILL), driver.said()
            number += 23
            points += 1
        assert_as_if_nothing_had_happened(folder, undisturbed, driver.ending()["best"], **changes)
    assert points >= 10


def test_killed_while_it_makes_the_store(sweep_folder, undisturbed, drivers):
    """A first start, in a folder without a database: the tables are made by many statements."""
    for number in (2, 40, 130, 220):
        shutil.rmtree("mlruns")
        driver = drivers.start(
            sweep_folder.path,
            sweep_folder.mark,
            in_process=True,
            signal_before_write=[number, "SIGKILL"],
        )
        assert driver.wait() == -signal.SIGKILL, driver.said()
        assert not Path("mlruns/mlflow.db").exists()
    best = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best)


def killed_in_turn(sweep_folder, drivers, where, *, points, **options):
    """The best, once nothing kills any more: each driver before that dies at the next point."""
    kills = 0
    for _ in range(12):
        options[where] = [kills % points + 1, "SIGKILL"]
        driver = drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True, **options)
        if driver.wait() == 0:
            break
        assert driver.code == -signal.SIGKILL, driver.said()
        kills += 1
    assert kills >= points
    return driver.ending()["best"]


def test_killed_while_it_seals(sweep_folder, undisturbed, drivers):
    """Before each part of each seal's header, and before what follows it."""
    changes = {"budget": {"trials": 8}}
    sweep_folder.write(**changes)
    best = killed_in_turn(sweep_folder, drivers, "at_seal", points=3)
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, **changes)


def test_killed_while_it_keeps_a_snapshot(sweep_folder, undisturbed, drivers):
    """Before each of its parts, its header, and what follows it; the next goes on from the last."""
    changes = {"budget": {"trials": 24}}
    sweep_folder.write(**changes)
    best = killed_in_turn(sweep_folder, drivers, "at_snapshot", points=4, snapshot_every=1)
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, **changes)
    (ledger,) = [r for r in all_runs(sweep_folder.path) if "parent" in r.params]
    headers = [k for k in ledger.params if k.startswith("snapshot/") and k.count("/") == 2]
    parts = {k.rpartition("/")[0] for k in ledger.params if k.startswith("snapshot/")} - {
        k.rpartition("/")[0] for k in headers
    }
    assert headers
    assert parts - set(headers), "no snapshot was torn"


def test_killed_alone_its_workers_follow(sweep_folder, undisturbed, drivers):
    """SIGKILL to the driver only, not to its group, while trials run."""
    sweep_folder.write()
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, env={"PAUSE": "0.3"})
    driver.await_line("trial")
    driver.signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    await_no_process(sweep_folder.mark)
    told = drivers.run(sweep_folder.path, sweep_folder.mark).ending()
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, told["best"])
    orphans = [run for run in trials(sweep_folder.path) if run.status == "KILLED"]
    assert orphans
    assert all(run.tags["lepton.killed"].startswith("orphaned:") for run in orphans)


@pytest.mark.parametrize("begun", [0, 6])
def test_the_command_killed_with_its_group_and_resumed_by_name(
    sweep_folder, undisturbed, drivers, prefect_api, begun
):
    """The command line, its Prefect flow and real workers."""
    sweep_folder.write()
    env = {**os.environ, MARK: sweep_folder.mark, "PREFECT_API_URL": prefect_api, "PAUSE": "0.1"}

    def lepton(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "lepton", *arguments],
            cwd=sweep_folder.path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    with lepton("run", "sweep.yaml") as killed:
        wait_until(lambda: len(trials(sweep_folder.path)) >= begun, "trials to begin")
        if not begun:
            time.sleep(random.Random(SEED).uniform(1, 5))
        os.killpg(killed.pid, signal.SIGKILL)
    command = ("resume", "demo") if begun else ("run", "sweep.yaml")
    with lepton(*command) as again:
        said = again.communicate(timeout=PATIENCE_S)[0].decode()
        assert again.returncode == 0, said
    best = drivers.run(sweep_folder.path, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best)


def stop_between_transactions(driver, folder):
    """SIGSTOP, at a moment when the driver does not hold SQLite's lock: nobody could write then."""
    while True:
        driver.signal(signal.SIGSTOP)
        wait_until(lambda: " T " in Path(f"/proc/{driver.pid}/stat").read_text(), "it to stop")
        with closing(sqlite3.connect(folder.path / "mlruns" / "mlflow.db", timeout=0.2)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                driver.signal(signal.SIGCONT)
                time.sleep(0.01)
            else:
                return


def test_a_driver_stopped_past_its_lease_seals_nothing_that_counts_and_leaves(
    sweep_folder, undisturbed, drivers
):
    changes = {"budget": {"trials": 24}}
    sweep_folder.write(**changes)
    env = {"LEPTON_LEASE_SECONDS": "2", "PAUSE": "0.1"}
    sleeper = drivers.start(sweep_folder.path, sweep_folder.mark, env=env)
    sleeper.await_line("sealed 0")
    stop_between_transactions(sleeper, sweep_folder)
    successor = drivers.start(sweep_folder.path, sweep_folder.mark, env=env)
    successor.await_line("sealed")
    assert "waiting up to 2 s for a sign of it" in successor.said()
    before = sleeper.said()
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait() == 4, sleeper.said()
    assert "error LeaseLostError" in sleeper.said()
    assert "sealed" not in sleeper.said().removeprefix(before)
    assert successor.wait() == 0, successor.said()
    best = successor.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, **changes)


@pytest.mark.parametrize("write", range(30, 90, 1 if THOROUGH else 18))
def test_a_driver_stopped_between_asking_for_its_lease_and_writing_harms_nobody(
    sweep_folder, undisturbed, drivers, write
):
    """It is stopped just before a write, when it was sure of its lease, and writes when it wakes.

    The successor has driven the sweep to its end meanwhile, or goes on while the sleeper wakes.
    """
    sleeper = drivers.start(
        sweep_folder.path,
        sweep_folder.mark,
        in_process=True,
        env={"LEPTON_LEASE_SECONDS": "6"},
        signal_before_write=[write, "SIGSTOP"],
    )
    sleeper.await_line("signalled")
    successor = drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True, take_over=True)
    if write % 4:
        successor.await_line("began")
    else:
        assert successor.wait() == 0, successor.said()
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait() == 4, sleeper.said()
    assert successor.wait() == 0, successor.said()
    best = successor.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best)


def test_a_driver_that_sealed_last_when_its_lease_was_taken_does_not_say_that_it_is_done(
    sweep_folder, undisturbed, drivers
):
    """It is stopped inside its last seal, and woken while the other waits for it to notice."""
    changes = {"budget": {"trials": 4}}
    sweep_folder.write(**changes)
    sleeper = drivers.start(
        sweep_folder.path, sweep_folder.mark, in_process=True, at_seal=[1, "SIGSTOP"]
    )
    sleeper.await_line("signalled")
    successor = drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True, take_over=True)
    wait_until(
        lambda: any("epoch/000002" in run.params for run in all_runs(sweep_folder.path)),
        "the claim",
    )
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait() == 4, sleeper.said()
    assert successor.wait() == 0, successor.said()
    assert "ending" not in sleeper.said()
    best = successor.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, **changes)


def test_a_driver_that_works_is_taken_over_and_leaves(sweep_folder, undisturbed, drivers):
    changes = {"budget": {"trials": 24}}
    sweep_folder.write(**changes)
    env = {"LEPTON_LEASE_SECONDS": "6", "PAUSE": "0.2"}
    first = drivers.start(sweep_folder.path, sweep_folder.mark, env=env)
    first.await_line("sealed 0")
    second = drivers.start(sweep_folder.path, sweep_folder.mark, env=env, take_over=True)
    assert first.wait() == 4, first.said()
    assert second.wait() == 0, second.said()
    best = second.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, **changes)


def test_driven_from_elsewhere_it_is_left_alone(sweep_folder, drivers):
    driver = drivers.start(
        sweep_folder.path, sweep_folder.mark, in_process=True, env={"PAUSE": "1"}
    )
    driver.await_line("began")
    other = drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True)
    assert other.wait() == 4
    assert "lepton cancel" in other.said()
    driver.kill_group()
    drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True)
    assert_sound(sweep_folder.path)
    epochs = [key for run in all_runs(sweep_folder.path) for key in run.params if "epoch/" in key]
    assert sorted(epochs) == ["epoch/000001", "epoch/000002"]
    assert len(counted(sweep_folder.path)) == 12
