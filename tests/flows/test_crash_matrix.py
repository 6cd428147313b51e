"""The crash matrix: killed before and after each write, what follows is as if nothing had happened.

`docs/crashes.md` holds the table of what each crash costs, which ``make crashes`` writes anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import trainings
from aftermath import assert_as_if_nothing_had_happened
from damages import sql
from histories import assert_sound, counted, full_list, of_kind, trials
from kill_points import kill_at

from lepton_tasks.doctor.audit import audit
from lepton_tasks.sweep_record import open_record
from lepton_tasks.transfer.export import export_sweep
from lepton_tasks.write_points import POINTS

PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"
WRITE = bool(os.environ.get("LEPTON_TEST_WRITE_CRASHES"))  # write the table instead of comparing
ROW = re.compile(r"^\| `([a-z_.]+)` \| .* \| (\d+) \| (\d+) \|$", re.MULTILINE)
KILLED = -signal.SIGKILL

# Which of its writes at a point the driver is killed at: the first, or one in the midst.
MIDST = {name: 6 for name in POINTS if name.startswith("trial.")}
MIDST |= {"seal.part": 2, "seal.header": 2, "seal.curves": 2, "driver.heartbeat": 2}
MIDST |= {"trial.killed_reason": 1, "trial.killed_status": 1, "trial.restored": 1}
MIDST |= {"trial.reported": 1}  # its objective reports once, in the midst
DOCTORING = [name for name in POINTS if name.startswith("doctor.")]
TRAINING = [name for name in POINTS if name.startswith("training.")]
IMPORTING = [name for name in POINTS if name.startswith("import.")]
ELSEWHERE = ("cancel", *DOCTORING, *IMPORTING, *TRAINING)  # what no driver writes
MIDST |= {"training.checkpoint": 4, "training.curves": 4, "training.member": 2}
MIDST |= {"snapshot.part": 2, "snapshot.header": 2}
BY_A_SECOND_DRIVER = ("trial.killed_reason", "trial.killed_status")
BY_WORKERS = ("trial.output", "trial.restored")  # what only a trial in a worker brings about

LOST_SEAL_AND_EDITED_TAG = (
    "delete from params where key like 'seal/00000001/%'",
    "update tags set value = 'me' where key = 'lepton.number' and value = '1'",
)
PRINTS_AND_DELETES_ITS_RUN = """
    print("said by", trial.number)
    if trial.number == 5:
        import mlflow
        mlflow.delete_run(mlflow.active_run().info.run_id)
"""
REPORTS_ONCE = """
    if trial.number == 5 and not os.path.exists("reported"):
        open("reported", "w").close()
        trial.report(0, 0.5)
"""

# The worker's own points, and what the objective's file does to die there, once.
WORKER_POINTS = {
    "worker.start": ("while it imports the objective", "die()"),
    "worker.asked": (
        "when it has received a trial",
        "channel.receive = lambda *a, **k: (receive(*a, **k), die(5))[0]",
    ),
    "worker.objective": ("in the objective", ""),
    "worker.answer": (
        "when it has a result, before it answers",
        "channel.send = lambda c, m: (die(5) if 'duration_s' in m else None, send(c, m))",
    ),
    "worker.answered": (
        "when it has answered",
        "channel.send = lambda c, m: (send(c, m), die(5) if 'duration_s' in m else None)",
    ),
}
DIES = """
import signal
from lepton_tasks.channel import Channel as channel
receive, send = channel.receive, channel.send
calls = [0]


def die(at=1):
    calls[0] += 1
    if calls[0] == at and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)


"""


@pytest.fixture(scope="session")
def table():
    """What each crash cost, compared with the page, or written into it."""
    page = PAGE.read_text()
    recorded = {name: (int(before), int(after)) for name, before, after in ROW.findall(page)}
    found = {}

    def note(name, when, again):
        found[name, when] = again
        if not WRITE:
            assert name in recorded, f"{name} is not in the table: make crashes"
            assert recorded[name][when == "after"] == again, "the table is not true: make crashes"

    yield note
    if WRITE:
        PAGE.write_text(with_table(page, found))


def with_table(page, found):
    head, _, rest = page.partition("<!-- table -->\n")
    _, _, tail = rest.partition("<!-- end -->")
    lines = [
        "| point | what is written | if it was the last write | again: before | after |",
        "|---|---|---|---|---|",
    ]
    rows = {name: (point.writes, point.if_last) for name, point in POINTS.items()}
    rows |= {
        name: (f"(nothing: a worker dies {when})", "the slot is issued again, with the same seed")
        for name, (when, _) in WORKER_POINTS.items()
    }
    for name, (writes, if_last) in rows.items():
        before, after = (found.get((name, when), "?") for when in ("before", "after"))
        lines.append(f"| `{name}` | {writes} | {if_last} | {before} | {after} |")
    return "\n".join([f"{head}<!-- table -->", *lines, "<!-- end -->"]) + tail


def killed_and_resumed(folder, drivers, undisturbed, point, when, **request):
    """Kill a driver at a point, drive on, and return how many trials were begun again."""
    at = [point, when, MIDST.get(point, 1)]
    driver = drivers.start(folder.path, folder.mark, kill_at=at, **request)
    assert driver.wait() == KILLED, driver.said()
    assert f"signalled {when} {point}" in driver.said()
    best = drivers.run(folder.path, folder.mark, **request).ending()["best"]
    assert_as_if_nothing_had_happened(folder, undisturbed, best, workers=1)
    orphaned = [r for r in trials(folder.path) if r.status == "KILLED"]
    assert all(run.tags["lepton.killed"].startswith("orphaned:") for run in orphaned)
    return len(orphaned) - (point in BY_A_SECOND_DRIVER)  # one of them by the first


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", [name for name in POINTS if name not in ELSEWHERE])
def test_killed_at_each_write_point_and_resumed(
    sweep_folder, undisturbed, drivers, table, point, when
):
    sweep_folder.write(workers=1)
    request = {"in_process": True}
    if point == "store.database":
        shutil.rmtree("mlruns")
    if point in BY_A_SECOND_DRIVER:
        first = drivers.start(
            sweep_folder.path, sweep_folder.mark, kill_at=["trial.params", "after", 6], **request
        )
        assert first.wait() == KILLED, first.said()
    if point in BY_WORKERS:
        request = {}
        sweep_folder.let_objective_begin_with(PRINTS_AND_DELETES_ITS_RUN)
    if point == "trial.reported":
        sweep_folder.let_objective_begin_with(REPORTS_ONCE)
    if point.startswith("snapshot."):
        request["snapshot_every"] = 1
    if point == "driver.heartbeat":
        request["env"] = {"LEPTON_LEASE_SECONDS": "1", "PAUSE": "0.2"}
    again = killed_and_resumed(sweep_folder, drivers, undisturbed, point, when, **request)
    assert again <= 1
    # It beats at any moment, whether a trial runs or not: the table says what it costs at most.
    table(point, when, 1 if point == "driver.heartbeat" else again)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_request_to_cancel_is_heard_or_was_not_made(
    sweep_folder, undisturbed, drivers, table, when
):
    sweep_folder.write(workers=1)
    env = {"LEPTON_LEASE_SECONDS": "1", "PAUSE": "0.4"}
    driver = drivers.start(sweep_folder.path, sweep_folder.mark, in_process=True, env=env)
    driver.await_line("sealed 0")
    canceller = drivers.start(
        sweep_folder.path, race="cancel", arguments={"name": "demo"}, kill_at=["cancel", when, 1]
    )
    assert canceller.wait() == KILLED, canceller.said()
    driver.wait()
    assert driver.ending()["ending"] == ("finished" if when == "before" else "interrupted")
    (parent,) = of_kind(sweep_folder.path, "sweep")
    assert parent.status == ("FINISHED" if when == "before" else "KILLED")
    best = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)
    table("cancel", when, 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", DOCTORING)
def test_a_doctor_killed_at_its_own_points_is_asked_again(
    sweep_folder, undisturbed, drivers, table, point, when
):
    """A lost seal opens generation 1 again: the four trials after it are evaluated anew by that."""
    sweep_folder.write(workers=1)
    drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True)
    sql(*LOST_SEAL_AND_EDITED_TAG)
    request = {"race": "doctor", "arguments": {"name": "demo"}}
    killed = drivers.start(sweep_folder.path, kill_at=[point, when, 1], **request)
    assert killed.wait() == KILLED, killed.said()
    assert f"signalled {when} {point}" in killed.said()
    drivers.run(sweep_folder.path, **request)
    best = drivers.run(sweep_folder.path, sweep_folder.mark, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)
    assert audit(open_record("demo")) == []
    killed_runs = [run for run in trials(sweep_folder.path) if run.status == "KILLED"]
    table(point, when, max(0, len(killed_runs) - 4))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", IMPORTING)
def test_an_import_killed_at_its_own_points_goes_on_with_the_same_file(
    sweep_folder, another_folder, drivers, table, tmp_path, monkeypatch, point, when
):
    drivers.run(sweep_folder.path, in_process=True)
    file = tmp_path / "demo.jsonl"
    with file.open("wb") as stream:
        export_sweep(open_record("demo"), stream)
    request = {"import_file": str(file)}
    killed = drivers.start(another_folder.path, kill_at=[point, when, 1], **request)
    assert killed.wait() == KILLED, killed.said()
    assert f"signalled {when} {point}" in killed.said()
    drivers.run(another_folder.path, **request)
    assert full_list(another_folder.path) == full_list(sweep_folder.path)
    assert_sound(another_folder.path)
    monkeypatch.chdir(another_folder.path)
    assert audit(open_record("demo")) == []
    again = len(trials(another_folder.path)) - len(trials(sweep_folder.path))
    assert again == 0
    table(point, when, again)


@pytest.fixture(scope="session")
def undisturbed_training(new_sweep_folder, tmp_path_factory):
    """The states of trainings that nobody disturbed, by their steps, one call after another."""
    known = {}

    def trained(*steps):
        if steps not in known:
            folder = new_sweep_folder(tmp_path_factory.mktemp("trained") / "sweep").path
            for wanted in steps:
                assert train(folder, wanted) == 0, (folder / "out").read_text()
            known[steps] = trainings.state(folder)
        return known[steps]

    return trained


def train(folder, steps, **options):
    """Train in a process of its own, to be killed at a point; returns its code."""

    def work():
        os.chdir(folder)
        if "kill_at" in options:
            kill_at(*options["kill_at"])
        trainings.train(steps=steps)

    return trainings.forked(work, folder / "out")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", TRAINING)
def test_a_training_killed_at_its_own_points_goes_on(
    sweep_folder, undisturbed_training, table, point, when
):
    """A member's run is there and not running where an earlier driver came to its end."""
    folder = sweep_folder.path
    steps = (8, 16) if point == "training.member_running" else (12,)
    for before in steps[:-1]:
        assert train(folder, before) == 0, (folder / "out").read_text()
    killing = (point, when, MIDST.get(point, 1))
    assert train(folder, steps[-1], kill_at=killing) == KILLED, (folder / "out").read_text()
    assert f"signalled {when} {point}" in (folder / "out").read_text()
    assert train(folder, steps[-1]) == 0, (folder / "out").read_text()
    assert trainings.state(folder) == undisturbed_training(*steps)
    assert audit(open_record("demo")) == []
    table(point, when, len([run for run in trials(folder) if run.status == "KILLED"]))


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_killed_at_its_own_points_costs_no_more_than_its_trial(
    sweep_folder, undisturbed, drivers, table, point
):
    sweep_folder.write(workers=1)
    if point == "worker.objective":
        sweep_folder.let_objective_begin_with("    die(5)\n")
    text, deadly = Path("objective.py").read_text(), WORKER_POINTS[point][1]
    Path("objective.py").write_text(DIES + text + "\n\n" + deadly + "\n")
    driver = drivers.start(sweep_folder.path, sweep_folder.mark)
    if point == "worker.start":
        assert driver.wait() == 2, driver.said()
        assert "importing the objective ended its process (killed by SIGKILL)" in driver.said()
        assert counted(sweep_folder.path) == []
        driver = drivers.start(sweep_folder.path, sweep_folder.mark)
    assert driver.wait() == 0, driver.said()
    assert Path("died").exists()
    best = driver.ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, workers=1)
    dead = [
        run.tags["lepton.killed"] for run in trials(sweep_folder.path) if run.status == "KILLED"
    ]
    assert all(reason.startswith("died: ") and "SIGKILL" in reason for reason in dead)
    assert len(dead) == (0 if point == "worker.start" else 1)
    table(point, "before", len(dead))
    table(point, "after", len(dead))


def test_the_page_names_every_point_and_no_other():
    named = [name for name, *_ in ROW.findall(PAGE.read_text())]
    assert named == [*POINTS, *WORKER_POINTS]
