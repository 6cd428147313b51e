"""Days on which the store or the machine fails: the sweep says so, waits or ends, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter

import pytest
from aftermath import assert_as_if_nothing_had_happened
from histories import assert_no_loose_ends, assert_sound, counted, of_kind, trials

from tests.conftest import OBJECTIVE, SweepFolder

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # every write point, not a sample
DRIVEN = ["trial.run", "trial.params", "trial.result", "trial.status", "seal.part", "seal.header"]


@pytest.fixture
def small_disk(tmp_path, migrated, monkeypatch):
    """A sweep in the current directory, on a disk of its own with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root with CAP_SYS_ADMIN")
    try:
        folder = SweepFolder(disk / "sweep", migrated, OBJECTIVE)
        folder.write(workers=1)
        monkeypatch.chdir(folder.path)
        yield folder
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def start(drivers, folder, **request):
    """Start a driver whose own output goes to another disk."""
    output = str(folder.path.parents[1] / "said")
    return drivers.start(folder.path, folder.mark, in_process=True, output=output, **request)


def fill(folder):
    """Leave no room on the folder's disk."""
    filler = folder.path / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_on_a_full_disk_it_ends_with_what_to_do_and_goes_on_when_there_is_room(
    small_disk, undisturbed, drivers
):
    env = {"PAUSE": "0.3", "LEPTON_STORE_PATIENCE_SECONDS": "1"}
    driver = start(drivers, small_disk, env=env)
    driver.await_line("sealed 0")
    filler = fill(small_disk)
    assert driver.wait() == 7, driver.said()
    assert "disk is full" in driver.said()
    assert "the same command goes on from there" in " ".join(driver.said().split())
    filler.unlink()
    best = drivers.run(small_disk.path, small_disk.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(small_disk, undisturbed, best, workers=1)


def test_it_waits_for_room_on_a_full_disk_and_says_so(small_disk, undisturbed, drivers):
    driver = start(drivers, small_disk, env={"PAUSE": "0.3"})
    driver.await_line("sealed 0")
    filler = fill(small_disk)
    driver.await_line("say the tracking store mlruns/mlflow.db is away")
    filler.unlink()
    assert driver.wait() == 0, driver.said()
    assert "say the tracking store is back after" in driver.said()
    assert_as_if_nothing_had_happened(small_disk, undisturbed, driver.ending()["best"], workers=1)


def test_a_store_that_cannot_be_written_is_told_at_once_and_goes_on_when_it_can(
    small_disk, undisturbed, drivers
):
    killed = {"kill_at": ["trial.params", "after", 6], "in_process": True}
    assert drivers.start(small_disk.path, small_disk.mark, **killed).wait() == -signal.SIGKILL
    disk = str(small_disk.path.parent)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    driver = start(drivers, small_disk)
    assert driver.wait() == 7, driver.said()
    assert "mlruns cannot be written" in driver.said()
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    best = drivers.run(small_disk.path, small_disk.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(small_disk, undisturbed, best, workers=1)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("raise MemoryError", "memory"),
        ("raise ValueError('no')", "exception"),
        ("bytearray(1 << 60)", "memory"),
    ],
)
def test_an_exception_or_too_little_memory_costs_one_trial(sweep_folder, drivers, what, kind):
    sweep_folder.let_objective_begin_with(f"    if trial.number == 5:\n        {what}\n")
    drivers.run(sweep_folder.path, sweep_folder.mark)
    assert_sound(sweep_folder.path)
    (failed,) = [run for run in counted(sweep_folder.path) if run.tags["lepton.number"] == "5"]
    assert failed.status == "FAILED"
    assert f'"kind":"{kind}"' in failed.tags["lepton.result"]


def test_a_worker_that_the_kernel_kills_for_its_memory_is_tried_three_times(sweep_folder, drivers):
    """The kernel's way to end a process that takes too much is SIGKILL, from nowhere."""
    hungry = "    if trial.number == 5:\n        os.kill(os.getpid(), 9)\n"
    sweep_folder.let_objective_begin_with(hungry)
    drivers.run(sweep_folder.path, sweep_folder.mark)
    assert_sound(sweep_folder.path)
    statuses = Counter(
        run.status for run in trials(sweep_folder.path) if run.tags["lepton.number"] == "5"
    )
    assert statuses == {"KILLED": 2, "FAILED": 1}


@pytest.mark.parametrize(("how", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
@pytest.mark.parametrize("point", DRIVEN if THOROUGH else DRIVEN[1::2])
def test_asked_to_stop_at_a_write_point_it_leaves_cleanly(
    sweep_folder, undisturbed, drivers, point, how, code
):
    sweep_folder.write(workers=1)
    number = 2 if point.startswith("seal.") else 6
    driver = drivers.start(
        sweep_folder.path,
        sweep_folder.mark,
        in_process=True,
        kill_at=[point, "before", number, how],
    )
    assert driver.wait() == code, driver.said()
    assert_no_loose_ends(sweep_folder.path)
    (parent,) = of_kind(sweep_folder.path, "sweep")
    assert parent.status == "KILLED"
    best = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)


@pytest.mark.parametrize("point", ["seal.header", "end.parent_status", "end.released"])
def test_a_store_that_fails_for_a_moment_costs_nothing_in_a_drivers_last_calls_either(
    sweep_folder, undisturbed, drivers, point
):
    sweep_folder.write(workers=1)
    driver = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True, fail_once_at=point)
    best = driver.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)


def test_clocks_that_are_minutes_apart_change_nothing(sweep_folder, undisturbed, drivers):
    """Each driver's clock is set otherwise; the second is behind the first."""
    sweep_folder.write(workers=1)
    first = drivers.start(
        sweep_folder.path,
        sweep_folder.mark,
        in_process=True,
        skew_s=600,
        kill_at=["trial.params", "after", 6],
    )
    assert first.wait() == -signal.SIGKILL
    second = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True, skew_s=-600)
    best = second.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)
