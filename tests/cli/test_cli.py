"""The command line as users and scripts meet it: what it prints, and its exit codes."""

from __future__ import annotations

import socket
import sqlite3
import time
from pathlib import Path

import pytest

from lepton.cli import main
from lepton_core.version import __version__
from lepton_tasks.store import connect


def nothing_was_recorded(folder: Path) -> bool:
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as store:
        return store.execute("select count(*) from runs").fetchone() == (0,)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lepton {__version__}\n"
    assert main(["--version", "--json"]) == 0
    assert capsys.readouterr().out == f'{{"version": "{__version__}"}}\n'


def test_an_unknown_command_or_a_bad_option_is_wrong_input(capsys):
    for arguments in (["fly"], [], ["run"], ["run", "a.yaml", "--workers", "0"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "expected a whole number from 1 to 1024" in capsys.readouterr().err


def test_init_writes_a_sweep_that_validates_and_overwrites_nothing(tmp_path, lepton, lepton_json):
    code, shown = lepton("init", tmp_path / "new")
    assert code == 0
    assert "lepton run" in shown
    assert lepton_json("validate", tmp_path / "new" / "sweep.yaml")[1]["valid"] is True
    before = (tmp_path / "new" / "sweep.yaml").read_bytes()
    code, shown = lepton("init", tmp_path / "new")
    assert code == 2
    assert "exists" in shown
    assert (tmp_path / "new" / "sweep.yaml").read_bytes() == before


def test_validate_spends_nothing(sweep_folder, lepton_json):
    (sweep_folder.path / "mlruns" / "mlflow.db").unlink()
    code, answer = lepton_json("validate", "sweep.yaml")
    assert code == 0
    assert answer["searched"] == ["x", "lr", "depth", "kind", "drop"]
    assert not (sweep_folder.path / "mlruns" / "mlflow.db").exists()


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budgett": {"trials": 3}}, ["budgett", "did you mean 'budget'"]),
        ({"generation": 0}, ["generation", "found 0", "from 1"]),
        ({"objective": None}, ["'objective' is missing"]),
        ({"objective": "objective.py:nothing"}, ["no function 'nothing'", "objective"]),
        (
            {"objective": "elsewhere.py:objective"},
            ["elsewhere.py", "does not exist", "sweep.yaml:3: objective: "],
        ),
        ({"name": "no spaces"}, ["name", "no spaces"]),
        (
            {"space": {"lr": {"type": "float", "low": 0, "high": 1, "log": True}}},
            ["sweep.yaml:", "space.lr.low", "above 0"],
        ),
        (
            {"space": {"lr": {"type": "float", "low": 2, "high": 1}}},
            ["sweep.yaml:", "space.lr", "2", "1"],
        ),
    ],
)
def test_a_wrong_file_is_named_by_key_before_anything_is_recorded(
    sweep_folder, lepton, command, changes, said
):
    sweep_folder.write(**changes)
    code, shown = lepton(command, "sweep.yaml")
    assert code == 2
    for words in said:
        assert words in shown
    assert "Traceback" not in shown
    assert nothing_was_recorded(sweep_folder.path)


def test_a_repeated_key_is_named_with_both_lines(sweep_folder, lepton):
    Path("twice.yaml").write_text("name: a\nseed: 1\nseed: 2\n")
    code, shown = lepton("run", "twice.yaml")
    assert code == 2
    assert "twice.yaml:3" in shown
    assert "line 2" in shown


def test_a_missing_file_and_an_unknown_name_are_wrong_input(sweep_folder, lepton):
    code, shown = lepton("run", "absent.yaml")
    assert (code, "absent.yaml" in shown) == (2, True)
    for command in ("resume", "status", "best", "verify", "cancel"):
        code, shown = lepton(command, "absent")
        assert code == 2
        assert "no sweep named 'absent'" in shown


def test_reading_makes_no_store(tmp_path, monkeypatch, lepton):
    monkeypatch.chdir(tmp_path)
    code, shown = lepton("list")
    assert (code, "no sweeps" in shown) == (0, True)
    assert lepton("status", "demo")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_run_shows_progress_the_best_and_how_to_go_on(sweep_folder, lepton):
    code, shown = lepton("run", "sweep.yaml")
    assert code == 0
    assert "new sweep demo" in shown
    assert "generation   2  12/12 trials" in shown
    assert "finished: 12 of 12 trials" in shown
    for words in ("lepton ui", "lepton resume demo", "lepton verify demo", "mlruns/mlflow.db"):
        assert words in shown
    for line in shown.splitlines():
        if "lepton" not in line:
            assert len(line) <= 80
    assert "\x1b" not in shown


def test_a_finished_sweep_run_again_does_nothing_and_says_so(driven, lepton, lepton_json):
    code, again = lepton_json("run", "sweep.yaml")
    assert (code, again["ending"], again["trials"]) == (0, "nothing to do", 12)
    assert again["best"] == driven["best"]
    code, shown = lepton("resume", "demo")
    assert (code, "at its target already" in shown) == (0, True)


def test_a_raised_budget_goes_on(driven, edit_sweep_file, lepton, lepton_json):
    edit_sweep_file(budget={"trials": 20})
    code, shown = lepton("run", "sweep.yaml")
    assert (code, "resuming sweep demo: 12 trials done" in shown) == (0, True)
    assert lepton_json("status", "demo")[1]["trials"] == 20


def test_another_identity_under_the_same_name_is_refused(driven, edit_sweep_file, lepton):
    edit_sweep_file(seed=8)
    code, shown = lepton("run", "sweep.yaml")
    assert code == 2
    assert "seed: recorded 7, now 8" in shown


def test_changed_code_warns_and_goes_on(driven, edit_sweep_file, lepton):
    with Path("objective.py").open("a") as file:
        file.write("\n# changed\n")
    edit_sweep_file(budget={"trials": 16})
    code, shown = lepton("run", "sweep.yaml")
    assert code == 0
    assert "code has changed" in shown


def test_status_list_and_best_tell_the_same_story(driven, lepton, lepton_json):
    status = lepton_json("status", "demo")[1]
    assert (status["state"], status["trials"], status["generations"]) == ("finished", 12, 3)
    assert sum(status["proposers"].values()) == 12
    assert set(status["shares"]) == {"ga", "pso", "rl", "local", "random"}
    assert sum(status["shares"].values()) == pytest.approx(1)
    (line,) = [x for x in lepton("status", "demo")[1].splitlines() if x.startswith("chosen lately")]
    leader = max(status["shares"], key=status["shares"].get)
    assert line.split()[2:4] == [leader, f"{status['shares'][leader]:.0%}".removesuffix("%")]
    assert lepton_json("list")[1]["sweeps"] == [status]
    best = lepton_json("best", "demo")[1]
    assert best["recommended"] == best["lowest"]
    assert best["lowest"]["value"] == driven["best"]["value"]
    for command in (["status", "demo"], ["list"], ["best", "demo"]):
        code, shown = lepton(*command)
        assert code == 0
        assert str(driven["best"]["number"]) in shown or "demo" in shown


def test_the_best_trials_run_is_the_one_in_mlflow(driven, lepton_json):
    store = connect()
    best = lepton_json("best", "demo")[1]["lowest"]
    run = store.client.get_run(best["run_id"])
    assert run.data.metrics["loss"] == best["value"]
    assert run.data.tags["lepton.slot"] == str(best["slot"])


def test_nothing_usable_stops_early_and_shows_why(sweep_folder, lepton, lepton_json):
    Path("objective.py").write_text("def objective(trial):\n    raise OSError('no data here')\n")
    code, shown = lepton("run", "sweep.yaml")
    assert code == 3
    assert "OSError: no data here" in shown
    assert "4 trials of generation 0" in shown
    assert lepton_json("status", "demo")[1]["trials"] == 4
    assert lepton("best", "demo")[0] == 3


def test_a_store_that_does_not_answer_is_said_within_seconds(sweep_folder, lepton, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    started = time.monotonic()
    for command in (["run", "sweep.yaml"], ["status", "demo"], ["list"]):
        code, shown = lepton(*command)
        assert code == 7
        assert "does not answer" in shown
        assert "secret" not in shown
    assert time.monotonic() - started < 10


def test_a_file_that_is_no_database_is_an_unreachable_store(sweep_folder, lepton):
    Path("mlruns/mlflow.db").write_text("not a database at all" * 100)
    code, shown = lepton("run", "sweep.yaml")
    assert code == 7
    assert "Traceback" not in shown
