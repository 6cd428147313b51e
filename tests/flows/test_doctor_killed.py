"""A doctor killed after any of its writes is asked again: all is mended, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
from itertools import count

import pytest
from damages import EDITED, PARENT, purge, sql
from deep_damages import BLOCKING, BROKEN
from histories import assert_sound, full_list, of_kind

from lepton_tasks.doctor.audit import audit, notes
from lepton_tasks.doctor.examination import examine
from lepton_tasks.sweep_record import open_record

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # every write, not a sample
DOCTOR = {"race": "doctor", "arguments": {"name": "demo"}}
DAMAGES = {
    name: (EDITED | BLOCKING)[name][0]
    for name in (
        "the run was deleted and edited",
        "the register's experiment is gone",
        "the entry is garbage",
        "the declaration is torn",
        "the claim is gone",
        "the parent run is gone",
    )
}
POINTS = ("doctor.told", "doctor.repair")


def damage(statements):
    sql(*(purge(PARENT) if statements == [PARENT] else statements))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", DAMAGES)
def test_killed_after_any_of_its_writes_and_asked_again(
    sweep_folder, drivers, tmp_path, monkeypatch, name, point
):
    sweep_folder.write(workers=1)
    drivers.run(sweep_folder.path, in_process=True)
    whole = full_list(sweep_folder.path)
    for number in count(1, 1 if THOROUGH else 3):
        folder = tmp_path / f"copy{number}"
        shutil.copytree(sweep_folder.path, folder)
        monkeypatch.chdir(folder)
        damage(DAMAGES[name])
        killed = drivers.start(folder, kill_at=[point, "after", number], **DOCTOR)
        if killed.wait() == 0:
            assert number > 1, "it was never killed"
            break
        assert killed.wait() == -signal.SIGKILL, killed.said()
        drivers.run(folder, **DOCTOR)
        assert examine("demo").findings == []
        record = open_record("demo")
        assert (audit(record), notes(record)) == ([], [])
        assert full_list(folder) == whole
        (parent,) = of_kind(folder, "sweep")
        assert parent.run_id == record.parent
        if name not in BLOCKING:
            continue
        content = json.loads((folder / "sweep.yaml").read_text())
        (folder / "sweep.yaml").write_text(json.dumps({**content, "budget": {"trials": 16}}))
        drivers.run(folder, in_process=True)
        assert_sound(folder)
        assert full_list(folder)[:12] == whole
        assert audit(open_record("demo")) == []


@pytest.mark.parametrize(
    ("broken", "point", "number"),
    [
        ("a seal was edited", "driver.claim", 1),
        ("the last seal is gone", "driver.claim", 1),
        ("a seal was edited", "doctor.told", 2),
        ("a seal was edited", "doctor.superseded", 3),
    ],
)
def test_killed_while_it_opens_a_sweep_again_and_asked_again(
    sweep_folder, undisturbed, drivers, broken, point, number
):
    sweep_folder.write(workers=1)
    drivers.run(sweep_folder.path, in_process=True)
    sql(BROKEN[broken][0])
    killed = drivers.start(sweep_folder.path, kill_at=[point, "after", number], **DOCTOR)
    assert killed.wait() == -signal.SIGKILL, killed.said()
    drivers.run(sweep_folder.path, **DOCTOR)
    assert examine("demo").findings == []
    assert notes(open_record("demo")) == []
    drivers.run(sweep_folder.path, in_process=True)
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed(workers=1)[0]
    assert (audit(open_record("demo")), notes(open_record("demo"))) == ([], [])
