"""Imports killed, raced and put to sleep: what comes of them is a whole sweep, or none to drive."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from drivers import wait_until
from histories import all_runs, assert_no_loose_ends, full_list, trials

from lepton.cli import main
from lepton_core.errors import UnfinishedImportError
from lepton_core.verification import first_divergence
from lepton_tasks.doctor.audit import audit
from lepton_tasks.sweep_record import open_record
from lepton_tasks.transfer.import_sweep import import_sweep

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # every write point, not a sample
SLEEP = {"LEPTON_LEASE_SECONDS": "3"}


@pytest.fixture(scope="module")
def undisturbed(exported, tmp_path_factory, new_sweep_folder, drivers):
    """What an import that nobody disturbs gives."""
    folder = new_sweep_folder(tmp_path_factory.mktemp("undisturbed") / "sweep")
    drivers.run(folder.path, import_file=str(exported))
    return full_list(folder.path), len(trials(folder.path))


def assert_whole(folder, undisturbed):
    record = open_record("demo")
    assert audit(record) == []
    assert first_divergence(record.events) is None
    expected, attempts = undisturbed
    assert full_list(folder.path) == expected
    assert_no_loose_ends(folder.path)
    doubles = [run for run in trials(folder.path) if run.status == "KILLED"]
    assert len(trials(folder.path)) - attempts <= len(doubles)


def test_killed_before_each_of_its_writes_and_given_the_same_file_again(
    exported, here, undisturbed, drivers, new_sweep_folder, tmp_path, monkeypatch
):
    """SIGKILL before the n-th write statement; after each the same import goes on in that store."""
    points = 0
    for first in range(1, 120 if THOROUGH else 60, 1 if THOROUGH else 7):
        folder = new_sweep_folder(tmp_path / f"{first}")
        number, code = first, -signal.SIGKILL
        while code == -signal.SIGKILL:
            point = {"signal_before_write": [number, "SIGKILL"]}
            run = drivers.start(folder.path, import_file=str(exported), **point)
            code = run.wait()
            assert code in (0, -signal.SIGKILL), run.said()
            number += 61
            points += 1
        monkeypatch.chdir(folder.path)
        assert_whole(folder, undisturbed)
        assert len(trials(folder.path)) == undisturbed[1], "an attempt was imported twice"
    assert points >= 15


@pytest.mark.parametrize("write", [12, 60, 150])
def test_half_an_import_is_nobodys_to_drive(exported, here, drivers, capsys, write):
    killed = drivers.start(
        here.path, import_file=str(exported), signal_before_write=[write, "SIGKILL"]
    )
    assert killed.wait() == -signal.SIGKILL
    refused = drivers.start(here.path, in_process=True)
    assert refused.wait() == 2, refused.said()
    assert "give 'lepton import' the same file again" in refused.said()
    for command in (
        ("resume", "demo"),
        ("run", "sweep.yaml"),
        ("verify", "demo"),
        ("status", "demo"),
        ("export", "demo"),
        ("doctor", "demo"),
        ("doctor", "demo", "--repair"),
    ):
        assert main(list(command)) == 2
        assert "import of sweep 'demo'" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "being imported" in capsys.readouterr().out
    with pytest.raises(UnfinishedImportError):
        open_record("demo")
    drivers.run(here.path, import_file=str(exported))
    drivers.run(here.path, in_process=True)
    assert audit(open_record("demo")) == []


def test_another_file_cannot_go_on_with_half_an_import(
    exported, here, drivers, capsys, tmp_path, monkeypatch
):
    from exports import contents, edited, rechained

    killed = drivers.start(
        here.path, import_file=str(exported), signal_before_write=[60, "SIGKILL"]
    )
    assert killed.wait() == -signal.SIGKILL

    def other(lines):
        lines[0]["lepton"] = "0.1.1"
        rechained(lines)

    path = edited(exported, tmp_path / "other.jsonl", other)
    assert contents(path) != contents(exported)
    assert main(["import", str(path)]) == 2
    assert "an unfinished import of another file" in capsys.readouterr().err
    assert main(["import", str(path), "--as", "other"]) == 0
    assert audit(open_record("other")) == []


def test_of_imports_at_once_one_does_it(exported, here, undisturbed, drivers):
    runs = [drivers.start(here.path, import_file=str(exported)) for _ in range(4)]
    codes = [run.wait() for run in runs]
    said = "\n".join(run.said() for run in runs)
    assert set(codes) <= {0, 4}, said
    assert said.count('ending "imported"') == 1, said
    assert_whole(here, undisturbed)


@pytest.mark.parametrize("wakes", ["while the other writes", "when the other is done"])
@pytest.mark.parametrize("start", ["INSERT INTO runs", "INSERT INTO params", "UPDATE runs"])
def test_an_import_that_slept_past_its_lease_harms_nobody(
    exported, here, undisturbed, drivers, start, wakes
):
    """It is stopped before a write of its seventh run or so; another process goes on."""
    sleeper = drivers.start(
        here.path,
        import_file=str(exported),
        env=SLEEP,
        signal_before_write=[9, "SIGSTOP", start],
    )
    sleeper.await_line("signalled")
    epochs = len(claimed_epochs(here))
    successor = drivers.start(here.path, import_file=str(exported), env=SLEEP)
    if wakes == "while the other writes":
        wait_until(lambda: len(claimed_epochs(here)) > epochs, "the other's claim")
    else:
        assert successor.wait() == 0, successor.said()
    sleeper.signal(signal.SIGCONT)
    assert sleeper.wait() in (0, 4), sleeper.said()
    assert successor.wait() == 0, successor.said()
    assert_whole(here, undisturbed)


def claimed_epochs(folder):
    return [key for run in all_runs(folder.path) for key in run.params if key.startswith("epoch/")]


def test_a_sweep_killed_in_the_middle_of_its_import_is_finished_elsewhere(
    exported, here, undisturbed, drivers, tmp_path, monkeypatch
):
    """The half-written store is moved to another folder with its file, and the import goes on."""
    killed = drivers.start(
        here.path, import_file=str(exported), signal_before_write=[100, "SIGKILL"]
    )
    assert killed.wait() == -signal.SIGKILL
    moved = tmp_path / "moved"
    shutil.copytree(here.path, moved)
    monkeypatch.chdir(moved)
    assert import_sweep(exported).ending == "imported"
    here.path = moved
    assert_whole(here, undisturbed)
