"""A sweep moved to another store is the same sweep: proved, and driven on as it would have been."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing

import pytest
from exports import contents
from histories import all_runs, assert_sound, counted, full_list, of_kind, trials

from lepton_core.errors import ExportFileError, InputError, RecordError
from lepton_core.fold import replay
from lepton_core.verification import first_divergence
from lepton_tasks.doctor.audit import audit
from lepton_tasks.doctor.repairs import heal
from lepton_tasks.sweep_record import open_record
from lepton_tasks.transfer.import_sweep import import_sweep
from tests.transfer.conftest import export


def prove(name="demo"):
    record = open_record(name)
    assert audit(record) == []
    assert first_divergence(record.events) is None
    return record


def rows(folder, table, *columns):
    database = folder / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database)) as db:
        return db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()


def times(folder):
    """Start and end of every attempt that has ended, and its metrics with their times."""
    ours = {run.run_id: run.name for run in trials(folder)}
    runs = {
        (ours[run], start, end)
        for run, start, end, status in rows(
            folder, "runs", "run_uuid", "start_time", "end_time", "status"
        )
        if run in ours and status != "RUNNING"
    }
    metrics = {
        (ours[run], *rest)
        for run, *rest in rows(
            folder, "latest_metrics", "run_uuid", "key", "value", "timestamp", "step", "is_nan"
        )
        if run in ours
    }
    return runs, metrics


def test_what_is_imported_is_what_was_exported(exported, here, killed_often):
    imported = import_sweep(exported)
    assert imported.ending == "imported"
    record, before = prove(), contents(exported)
    assert len(record.seals) == sum(line["line"] == "seal" for line in before) >= 2
    sealed = len(record.seals)
    assert [row for row in full_list(here.path) if row[0] < sealed] == [
        row for row in full_list(killed_often.path) if row[0] < sealed
    ]
    assert len(trials(here.path)) == len(trials(killed_often.path))
    came_from = {run.tags["lepton.imported.run"] for run in trials(here.path)}
    assert came_from == {run.run_id for run in trials(killed_often.path)}
    there_runs, there_metrics = times(killed_often.path)
    here_runs, here_metrics = times(here.path)
    assert there_runs <= here_runs
    assert here_metrics == there_metrics
    killed = [run for run in trials(here.path) if run.status == "KILLED"]
    assert killed
    assert all(run.tags["lepton.killed"] for run in killed)
    assert_sound_but_open(here.path)


def assert_sound_but_open(folder):
    assert [run for run in all_runs(folder) if run.status in ("RUNNING", "SCHEDULED")] == []
    places = [run.place for run in counted(folder)]
    assert len(places) == len(set(places))


def test_settings_drivers_and_environments_come_along(exported, here):
    import_sweep(exported)
    lines, params = contents(exported), open_record("demo").params
    drivers = [line for line in lines if line["line"] == "driver"]
    assert len(drivers) == 4
    assert replay(open_record("demo").events).settings.budget.trials == 20
    from lepton_tasks.records import claims

    claimed = claims(params)
    assert [claim.from_generation for claim in claimed] == [d["from_generation"] for d in drivers]
    assert [claim.environment for claim in claimed] == [d["environment"] for d in drivers]
    assert [seal.epoch for seal in open_record("demo").seals] == [
        line["epoch"] for line in lines if line["line"] == "seal"
    ]


def test_it_goes_on_with_the_same_proposals_as_the_original(exported, here, origin, drivers):
    import_sweep(exported)
    here_best = drivers.run(here.path, in_process=True).ending()["best"]
    there_best = drivers.run(origin, in_process=True).ending()["best"]
    assert full_list(here.path) == full_list(origin)
    assert here_best == there_best
    assert len(counted(here.path)) == 20
    assert_sound(here.path)
    prove()


def test_exporting_twice_gives_the_same_bytes(exported, killed_often, tmp_path, monkeypatch):
    again = export(killed_often.path, tmp_path / "again.jsonl", monkeypatch)
    assert again.read_bytes() == exported.read_bytes()
    packed = [
        export(killed_often.path, tmp_path / name, monkeypatch) for name in ("a.gz", "b.jsonl.gz")
    ]
    assert packed[0].read_bytes() == packed[1].read_bytes()
    assert gzip.decompress(packed[0].read_bytes()) == exported.read_bytes()


def test_a_compressed_export_is_known_by_its_content(exported, here, tmp_path):
    packed = tmp_path / "no-suffix"
    packed.write_bytes(gzip.compress(exported.read_bytes()))
    assert import_sweep(packed).ending == "imported"
    assert import_sweep(exported).ending == "nothing to do"
    prove()


def test_an_imported_sweep_is_exported_with_its_new_ids_and_hashes(
    exported, here, tmp_path, monkeypatch
):
    import_sweep(exported)
    again = contents(export(here.path, tmp_path / "again.jsonl", monkeypatch))
    first = contents(exported)
    assert [line["line"] for line in again] == [line["line"] for line in first]
    assert again[0]["declaration"] == first[0]["declaration"]
    assert again[0]["head"] != first[0]["head"]
    new = {line["tags"]["lepton.imported.run"]: line["run"] for line in again if "tags" in line}
    for now, then in zip(again, first, strict=True):
        if then["line"] == "run":
            assert now["run"] == new[then["run"]]
            assert (now["params"], now["metrics"]) == (then["params"], then["metrics"])


def test_it_keeps_where_it_came_from(exported, here):
    import_sweep(exported)
    (ledger,) = [run for run in of_kind(here.path, "ledger") if "lepton.sweep" in run.tags]
    assert contents(exported)[0]["head"] in ledger.tags["lepton.origin"]
    assert ledger.params["imported"] == ledger.tags["lepton.origin"]


def test_a_taken_name_is_refused_and_another_is_taken(exported, origin, monkeypatch):
    monkeypatch.chdir(origin)
    runs = len(all_runs(origin))
    with pytest.raises(InputError, match="--as NAME"):
        import_sweep(exported)
    assert len(all_runs(origin)) == runs
    imported = import_sweep(exported, "copy")
    assert imported.record.entry.name == "copy"
    prove("copy")
    prove("demo")
    (parent,) = [run for run in of_kind(origin, "sweep") if run.name == "copy"]
    assert "`lepton resume copy`" in parent.tags["mlflow.note.content"]
    for wrong in ("", "a/b", "..", "x" * 101):
        with pytest.raises(InputError, match="expected 1 to 100"):
            import_sweep(exported, wrong)


def test_a_sweep_that_nobody_drove_is_moved_too(
    here, store, tmp_path, monkeypatch, new_sweep_folder
):
    from lepton_tasks import register
    from lepton_tasks.sweep_yaml import read

    register.enter(store, read(here.write()).parse()[0])
    path = export(here.path, tmp_path / "demo.jsonl", monkeypatch)
    assert [line["line"] for line in contents(path)] == ["header", "end"]
    monkeypatch.chdir(new_sweep_folder(tmp_path / "other").path)
    import_sweep(path)
    assert len(prove().seals) == 0


def test_an_open_generations_run_that_its_objective_deleted_comes_along(
    exported, origin, tmp_path, monkeypatch
):
    with closing(sqlite3.connect(origin / "mlruns" / "mlflow.db")) as db, db:
        last = contents(exported)[-2]["run"]
        edit = "update runs set lifecycle_stage = 'deleted' where run_uuid = ?"
        assert db.execute(edit, (last,)).rowcount == 1
    again = export(origin, tmp_path / "again.jsonl", monkeypatch)
    assert again.read_bytes() == exported.read_bytes()


def test_a_sweep_that_was_opened_again_is_moved_with_the_drivers_that_counted_for_nothing(
    sweep_folder, another_folder, drivers, tmp_path, monkeypatch
):
    drivers.run(sweep_folder.path, in_process=True)
    sweep_folder.write(budget={"trials": 16})
    drivers.run(sweep_folder.path, in_process=True)
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        assert db.execute("delete from params where key like 'seal/00000001/%'").rowcount
    assert heal("demo", reopen=True)
    drivers.run(sweep_folder.path, in_process=True)
    path = export(sweep_folder.path, tmp_path / "demo.jsonl", monkeypatch)
    drove = [line["from_generation"] for line in contents(path) if line["line"] == "driver"]
    assert drove == [0, 1, 1, 1]
    monkeypatch.chdir(another_folder.path)
    import_sweep(path)
    prove()
    assert full_list(another_folder.path) == full_list(sweep_folder.path)


def test_a_run_that_the_doctor_set_aside_comes_along_and_counts_for_nothing(
    exported, origin, here, tmp_path, monkeypatch
):
    last = contents(exported)[-2]["run"]
    monkeypatch.chdir(origin)
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        edit = "update tags set value = '{' where key = 'lepton.proposal' and run_uuid = ?"
        assert db.execute(edit, (last,)).rowcount
    with pytest.raises(RecordError, match="proposal of run"):
        export(origin, tmp_path / "torn.jsonl", monkeypatch)
    assert heal("demo")
    path = export(origin, tmp_path / "mended.jsonl", monkeypatch)
    monkeypatch.chdir(here.path)
    import_sweep(path)
    prove()
    (run,) = [r for r in trials(here.path) if r.tags["lepton.imported.run"] == last]
    assert run.status == "KILLED"


def test_a_nul_that_an_objective_logged_is_written_as_an_escape(
    exported, origin, tmp_path, monkeypatch
):
    run = next(line for line in contents(exported) if line["line"] == "run")["run"]
    with closing(sqlite3.connect(origin / "mlruns" / "mlflow.db")) as db, db:
        db.execute("insert into tags (key, value, run_uuid) values ('mine', ?, ?)", ("a\0b", run))
    found = contents(export(origin, tmp_path / "nul.jsonl", monkeypatch))
    (line,) = [line for line in found if line.get("run") == run]
    assert line["tags"]["mine"] == "a\\0b"


def test_an_imported_sweep_that_lost_its_origin_is_told_and_mended(exported, here):
    import_sweep(exported)
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        assert db.execute("delete from tags where key = 'lepton.origin'").rowcount == 1
    assert [finding.what for finding in audit(open_record("demo"))] == [
        "tag lepton.origin of the ledger run"
    ]
    heal("demo")
    prove()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("update params set value = '{}' where key = 'settings/000001'", "settings of driver 1"),
        ("update params set value = '0.5' where key = 'x'", "param x is '0.5'"),
        ("update runs set lifecycle_stage = 'deleted' where name = 'gen00-01'", "is missing"),
        ("delete from tags where key = 'lepton.base'", "lepton.base"),
    ],
)
def test_an_altered_history_is_not_exported(origin, tmp_path, monkeypatch, edit, said):
    with closing(sqlite3.connect(origin / "mlruns" / "mlflow.db")) as db, db:
        assert db.execute(edit).rowcount
    target = tmp_path / "altered.jsonl"
    with pytest.raises(RecordError, match=said) as caught:
        export(origin, target, monkeypatch)
    assert "lepton verify demo" in caught.value.message
    assert list(tmp_path.glob("*altered*")) == []


def test_an_export_overwrites_nothing(killed_often, tmp_path, monkeypatch):
    target = tmp_path / "there.jsonl"
    target.write_text("mine")
    with pytest.raises(ExportFileError, match="exists"):
        export(killed_often.path, target, monkeypatch)
    assert target.read_text() == "mine"
