"""``lepton doctor``: every kind of damage is named, told what it means, and mended if it can be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from damages import (
    EDITED,
    HOSTILE,
    LEDGER,
    PARENT,
    REGISTER,
    TRIAL,
    ask,
    new_run,
    purge,
    sql,
)
from deep_damages import BLOCKING, BROKEN, BY_HAND
from histories import all_runs, full_list, of_kind, trials

HERE = Path()


def go_on(lepton, edit_sweep_file) -> list:
    """Raise the budget and drive on: what the sweep has then."""
    edit_sweep_file(budget={"trials": 16})
    code, shown = lepton("run", "sweep.yaml")
    assert code == 0, shown
    return proposals()


def proposals() -> list:
    return [row[:5] for row in full_list(HERE)]


@pytest.fixture(scope="session")
def expected(finished, tmp_path_factory, prefect_api):
    """The proposals of the same sweep driven to 16 trials with nothing in its way."""
    import json
    import os
    import shutil
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    shutil.copytree(finished[0].path, folder)
    content = json.loads((folder / "sweep.yaml").read_text())
    (folder / "sweep.yaml").write_text(json.dumps({**content, "budget": {"trials": 16}}))
    environment = {**os.environ, "PREFECT_API_URL": prefect_api}
    command = [sys.executable, "-m", "lepton", "run", "sweep.yaml", "--json"]
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return [row[:5] for row in full_list(folder)]


def test_a_whole_record_has_nothing_wrong_and_nothing_is_done_to_it(driven, lepton, lepton_json):
    before = ask("select * from tags order by run_uuid, key")
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["findings"], answer["notes"], answer["repaired"]) == (0, [], [], [])
    assert "nothing is wrong with demo" in lepton("doctor", "demo")[1]
    assert ask("select * from tags order by run_uuid, key") == before


@pytest.mark.parametrize("damage", EDITED)
def test_what_was_edited_is_named_and_mended(driven, lepton, lepton_json, damage):
    statements, what = EDITED[damage]
    whole = full_list(HERE)
    sql(*statements)

    code, answer = lepton_json("verify", "demo")
    assert code == 5, answer
    assert what in [one["what"] for one in answer["alterations"]]
    code, answer = lepton_json("doctor", "demo")
    assert (code, answer["repaired"]) == (5, [])
    assert what in [one["what"] for one in answer["findings"]]
    assert all(one["repairs"] for one in answer["findings"])
    for command in ("status", "list", "best"):
        assert lepton(command, *(["demo"] if command != "list" else []))[0] == 0

    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["findings"]) == (0, []), answer
    assert answer["repaired"]
    assert lepton_json("verify", "demo")[0] == 0
    told = [key for run in all_runs(HERE) for key in run.tags if key.startswith("lepton.repaired.")]
    assert told or "experiment" in what
    assert full_list(HERE) == whole


@pytest.mark.parametrize("damage", BLOCKING)
def test_what_stands_in_the_way_is_named_and_mended_and_the_sweep_goes_on_the_same(
    driven, lepton, lepton_json, edit_sweep_file, expected, damage
):
    statements, what = BLOCKING[damage]
    sql(*(purge(PARENT) if statements == [PARENT] else statements))
    said = 7 if what in ("the experiment lepton", "the experiment lepton-ledger") else 5

    for command in (["verify", "demo"], ["run", "sweep.yaml"], ["resume", "demo"]):
        if what == "record parent" and command[0] != "verify":
            continue  # the next driver finds the parent run by its tags, or makes another
        code, shown = lepton(*command)
        assert code == said, (command, shown)
        assert "Traceback" not in shown
    for command in (["status", "demo"], ["best", "demo"], ["list"]):
        assert lepton(*command)[0] in (0, said), command

    code, answer = lepton_json("doctor", "demo")
    assert (code, [one["what"] for one in answer["findings"]][:1]) == (5, [what])
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["findings"]) == (0, []), answer
    assert lepton_json("verify", "demo")[0] == 0
    assert go_on(lepton, edit_sweep_file) == expected
    assert lepton_json("verify", "demo")[0] == 0


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_chain_says_what_still_stands_and_is_opened_again_only_when_asked(
    driven, lepton, lepton_json, edit_sweep_file, expected, damage
):
    statement, found, generation = BROKEN[damage]
    sql(statement)
    code, shown = lepton("verify", "demo")
    assert (code, f"generation {generation}" in shown or f"seal/{generation:08d}" in shown) == (
        5,
        True,
    )
    if generation < 2:
        for command in (["status", "demo"], ["best", "demo"], ["run", "sweep.yaml"]):
            assert lepton(*command)[0] == 5, command

    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["repaired"], answer["reopens"]) == (5, [], generation)
    finding = answer["findings"][0]
    assert finding["what"] == f"the seal of generation {generation}"
    assert found in finding["found"]
    assert "backup" in finding["by_hand"]
    shown = " ".join(lepton("doctor", "demo")[1].split())
    assert f"--repair --reopen goes on from generation {generation}" in shown

    code, answer = lepton_json("doctor", "demo", "--repair", "--reopen")
    assert (code, answer["findings"], answer["generations"]) == (0, [], generation), answer
    assert len(answer["repaired"]) == 1
    assert go_on(lepton, edit_sweep_file) == expected
    assert lepton_json("verify", "demo")[0] == 0


@pytest.mark.parametrize("damage", BY_HAND)
def test_what_mlflow_cannot_write_is_left_with_the_statement_that_mends_it(
    driven, lepton, lepton_json, edit_sweep_file, expected, damage
):
    statements, what, remedy = BY_HAND[damage]
    sql(*statements)
    assert lepton_json("verify", "demo")[0] == 5
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert code == 5
    (finding,) = answer["findings"]
    assert finding["what"] == what
    assert remedy in finding["by_hand"]
    statement = finding["by_hand"].partition("can")[2].partition(": ")[2]
    sql(statement.removesuffix(";"))
    assert lepton_json("doctor", "demo")[0] == 0
    assert lepton_json("verify", "demo")[0] == 0


def test_a_run_that_is_gone_for_good_is_said_to_be_and_the_sweep_goes_on(
    driven, lepton, lepton_json, edit_sweep_file, expected
):
    sql(*purge(TRIAL))
    code, answer = lepton_json("doctor", "demo", "--repair")
    (finding,) = answer["findings"]
    assert (code, finding["found"], finding["meaning"]) == (5, "gone for good", "proven")
    assert finding["repairs"] == []
    assert go_on(lepton, edit_sweep_file) == [row for row in expected if row[:2] != (1, 2)]
    assert lepton_json("verify", "demo")[0] == 5


def test_an_unreadable_claim_stops_the_sweep_until_it_is_inferred_from_the_seals(
    driven, lepton, lepton_json, edit_sweep_file, expected
):
    sql("update params set value = '{\"epoch\": 1}' where key = 'epoch/000001'")
    for command in (
        ["verify", "demo"],
        ["status", "demo"],
        ["best", "demo"],
        ["run", "sweep.yaml"],
    ):
        code, shown = lepton(*command)
        assert (code, "epoch/000001" in shown) == (5, True)
    assert "altered" in lepton("list")[1]
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["repaired"]) == (5, [])
    (finding,) = answer["findings"]
    assert "DELETE FROM params" in finding["by_hand"]
    sql("delete from params where key = 'epoch/000001'")
    assert lepton_json("doctor", "demo", "--repair")[0] == 0
    assert go_on(lepton, edit_sweep_file) == expected


def test_without_any_record_of_a_driver_no_run_is_judged(driven, lepton, lepton_json):
    before = full_list(HERE)
    sql(
        f"delete from params where run_uuid = {LEDGER}",
        f"update runs set lifecycle_stage = 'deleted' where run_uuid = {REGISTER}",
    )
    for command in (["verify", "demo"], ["run", "sweep.yaml"], ["resume", "demo"]):
        assert lepton(*command)[0] == 5, command
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["repaired"]) == (5, [])
    assert "the records in the ledger run" in [one["what"] for one in answer["findings"]]
    assert "backup" in answer["findings"][-1]["by_hand"]
    assert full_list(HERE) == before


def test_a_ledger_run_that_is_gone_needs_a_backup(driven, lepton, lepton_json):
    sql(*purge(LEDGER))
    for command in (
        ["verify", "demo"],
        ["status", "demo"],
        ["best", "demo"],
        ["run", "sweep.yaml"],
    ):
        assert lepton(*command)[0] == 5, command
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["repaired"]) == (5, [])
    assert "backup" in answer["findings"][0]["by_hand"]


def test_a_strangers_run_under_the_sweep_is_a_note_and_left_alone(driven, lepton, lepton_json):
    sql(
        new_run("mine", experiment=1),
        f"insert into tags select 'mlflow.parentRunId', {PARENT}, 'mine'",
    )
    code, answer = lepton_json("verify", "demo")
    assert (code, [one["run_id"] for one in answer["notes"]]) == (0, ["mine"])
    assert "note: sweep: run mine" in lepton("verify", "demo")[1]
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["repaired"], len(answer["notes"])) == (0, [], 1)


def test_two_sweeps_declared_under_one_name_are_told_apart(driven, lepton, lepton_json):
    sql(
        new_run("rival", experiment=2),
        f"insert into tags select key, value, 'rival' from tags where run_uuid = {LEDGER}",
    )
    code, answer = lepton_json("verify", "demo")
    assert (code, [one["what"] for one in answer["notes"]]) == (0, ["ledger run rival"])
    code, answer = lepton_json("doctor", "demo", "--repair")
    assert (code, answer["notes"]) == (0, [])
    assert [one["run_id"] for one in answer["repaired"]] == ["rival"]
    assert next(r for r in of_kind(HERE, "ledger") if r.run_id == "rival").status == "KILLED"


def test_the_doctor_touches_nothing_while_somebody_drives(driven, lepton, lepton_json):
    sql(
        f"update runs set status = 'RUNNING' where run_uuid = {TRIAL}",
        "delete from params where key = 'released/000001'",
    )
    import json
    import os

    from lepton_tasks.host import this_process

    process = json.dumps(
        {"host": (p := this_process()).host, "boot": p.boot, "pid": p.pid, "started": p.started}
    )
    claim = json.loads(ask("select value from params where key = 'epoch/000001'")[0][0])
    text = json.dumps({**claim, "process": json.loads(process)}).replace("'", "''")
    sql(f"update params set value = '{text}' where key = 'epoch/000001'")
    code, shown = lepton("doctor", "demo", "--repair")
    assert (code, f"process {os.getpid()}" in shown) == (4, True)
    assert lepton("doctor", "demo")[0] == 5
    assert not [key for run in trials(HERE) for key in run.tags if "repaired" in key]


def test_no_sweep_is_declared_in_a_register_that_was_deleted(driven, lepton, edit_sweep_file):
    sql(f"update runs set lifecycle_stage = 'deleted' where run_uuid = {REGISTER}")
    edit_sweep_file(name="other")
    code, shown = lepton("run", "sweep.yaml")
    assert (code, "mlflow runs restore" in shown) == (5, True)


def test_no_hostile_value_anywhere_ends_in_a_traceback_or_reaches_the_terminal(driven, lepton):
    """Every param and tag that we read, one after another, each time another hostile value."""
    ours = (
        f"params where run_uuid in ({LEDGER}, {REGISTER})",
        f"tags where key like 'lepton.%' and run_uuid in ({LEDGER}, {PARENT}, {TRIAL})",
        "experiment_tags where key like 'lepton.%'",
    )
    rows = [(t.split()[0], *row) for t in ours for row in ask(f"select rowid, key, value from {t}")]
    assert len(rows) > 30
    for number, (table, rowid, key, value) in enumerate(rows):
        hostile = HOSTILE[number % len(HOSTILE)]
        with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
            db.execute(f"update {table} set value = ? where rowid = ?", (hostile, rowid))
        for command in ("verify", "status", "best", "list", "doctor", "resume"):
            code, shown = lepton(command, *(["demo"] if command != "list" else []))
            assert code in (0, 5), (key, hostile[:20], command, shown)
            assert "\x1b" not in shown
            assert len(shown) < 20_000
            decides_nothing = "heartbeat" in key or key == "lepton.request"
            assert (command, code) != ("verify", 0) or decides_nothing, (key, hostile[:20])
        with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
            db.execute(f"update {table} set value = ? where rowid = ?", (value, rowid))


@pytest.mark.parametrize("column", ["name", "user_id", "experiment_id", "run_uuid"])
@pytest.mark.parametrize("run", ["trial", "parent", "ledger"])
def test_no_hostile_column_of_a_run_ends_in_a_traceback(driven, lepton, run, column):
    which = {"trial": TRIAL, "parent": PARENT, "ledger": LEDGER}[run]
    hostile = "77" if column == "experiment_id" else "'\x1b[2J<b>'"
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        db.execute(f"update runs set {column} = {hostile} where run_uuid = {which}")
    for command in ("verify", "status", "best", "list", "doctor"):
        code, shown = lepton(command, *(["demo"] if command != "list" else []))
        assert code in (0, 5, 7), (command, shown)
        assert "\x1b" not in shown
    code, shown = lepton("doctor", "demo", "--repair")
    assert code in (0, 5, 7), shown
    assert "\x1b" not in shown


def test_a_run_id_with_terminal_escapes_is_shown_escaped(driven, lepton):
    sql(
        new_run("\x1b[2J"),
        f"insert into tags select key, value, '\x1b[2J' from tags where run_uuid = {TRIAL}",
    )
    for command in (["verify", "demo"], ["doctor", "demo"], ["doctor", "demo", "--repair"]):
        shown = lepton(*command)[1]
        assert "\x1b" not in shown
        assert r"\x1b[2J" in shown or "--repair" in command


def test_a_name_that_was_never_there_is_unknown(sweep_folder, lepton):
    assert lepton("doctor", "demo")[0] == 2
    assert lepton("doctor", "demo", "--repair")[0] == 2


def test_reopening_without_repair_is_refused(driven, lepton):
    assert lepton("doctor", "demo", "--reopen")[0] == 2
