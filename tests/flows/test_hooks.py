"""The user's hooks: when they are called, with what, and that they change nothing."""

from __future__ import annotations

import json
import re
import time

import pytest
from histories import all_runs, full_list

from lepton.cli import main
from lepton_core.errors import DrivenElsewhereError, SweepError
from lepton_flows import hooks as hooks_module
from lepton_flows.hooks import Hooks, load_hooks
from lepton_tasks.sweep_yaml import read

HOOKS = """
import json


def tell(told):
    with open("told.jsonl", "a") as file:
        file.write(json.dumps(told) + "\\n")


def raising(told):
    tell(told)
    raise ValueError(f"no {told['kind']}")


def leaving(told):
    raise SystemExit(3)


def two(told, more):
    pass
"""
ALL = dict.fromkeys(("improved", "failed", "ended"), "hooks.py:tell")


@pytest.fixture
def folder(sweep_folder):
    (sweep_folder.path / "hooks.py").write_text(HOOKS)
    sweep_folder.write(hooks=ALL)
    return sweep_folder


def told(folder):
    file = folder.path / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_hooks_are_told_each_improvement_and_the_end(folder, drivers):
    ending = drivers.run(folder.path, in_process=True).ending()
    *improvements, end = told(folder)
    assert {one["kind"] for one in improvements} == {"improved"}
    values = [one["value"] for one in improvements]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert [one["before"] for one in improvements] == [None, *values[:-1]]
    last, best = improvements[-1], ending["best"]
    assert {key: last[key] for key in best} == best
    assert {key: last[key] for key in ("name", "run_id", "experiment_id", "store")} == {
        key: ending[key] for key in ("name", "run_id", "experiment_id", "store")
    }
    assert last["message"] == (
        f"sweep demo improved: loss {best['value']!r}, trial {best['number']}; before {values[-2]}"
    )
    assert (end["kind"], end["ending"], end["added"], end["trials"]) == (
        *("ended", "finished"),
        *(12, 12),
    )
    assert {key: end[key] for key in best} == best
    found = f"best {best['value']!r}, trial {best['number']}"
    assert end["message"] == f"sweep demo ended: finished: 12 of 12 trials; {found}"


def test_what_was_told_is_not_told_again_by_the_next_driver(folder, drivers):
    folder.let_objective_begin_with("    return 100.0 - trial.number\n")
    for _ in range(4):
        drivers.run(folder.path, in_process=True, nightly={"trials": 5})
    events = told(folder)
    values = [one["value"] for one in events if one["kind"] == "improved"]
    assert values == sorted(set(values), reverse=True)
    endings = [one["ending"] for one in events if one["kind"] == "ended"]
    assert endings == [
        "night over",
        "night over",
        "finished",
    ]  # and of nothing to do nobody is told


def test_a_hook_that_raises_is_a_warning_and_the_history_is_as_without(
    folder, drivers, undisturbed
):
    folder.write(hooks={"improved": "hooks.py:raising", "ended": "hooks.py:leaving"})
    driver = drivers.run(folder.path, in_process=True)
    assert full_list(folder.path) == undisturbed()[0]
    warnings = [line for line in driver.said().splitlines() if "warning" in line]
    assert len(warnings) == len(told(folder)) + 1
    for line in warnings[:-1]:
        assert "the hook improved raised 'ValueError: no improved'; the sweep goes on" in line
    assert "the hook ended raised 'SystemExit: 3'" in warnings[-1]


def test_a_generation_without_a_usable_trial_is_told_once(folder, drivers):
    folder.let_objective_begin_with("    raise ValueError('no data tonight')\n")
    driver = drivers.start(folder.path, in_process=True)
    assert driver.wait() != 0
    (failed,) = told(folder)
    assert (failed["kind"], failed["error"], failed["value"]) == ("failed", "AllTrialsFailed", None)
    assert "generation 0 failed; the last (exception): ValueError: no data" in failed["message"]


def test_an_error_that_ends_a_driver_is_told(folder, drivers):
    folder.write(hooks=ALL, objective="objective.py:gone")
    driver = drivers.start(folder.path)
    assert driver.wait() != 0
    (failed,) = told(folder)
    assert (failed["kind"], failed["error"], failed["run_id"]) == ("failed", "ObjectiveError", None)
    assert "has no function 'gone'" in failed["message"]


def test_that_another_driver_is_at_it_is_no_failure(folder):
    source = read(folder.path / "sweep.yaml")
    hooks = Hooks(load_hooks(source), source.parse()[0], print)
    hooks.broken(DrivenElsewhereError("another one"))
    hooks.broken(SweepError("the disk is full"))
    hooks.close()
    assert [one["message"] for one in told(folder)] == ["sweep demo failed: the disk is full"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("gone.py:tell", r"sweep.yaml:\d+: hooks.ended: the hook's file .*gone.py does not exist"),
        ("hooks.py:tel", "hooks.ended: hooks.py has no function 'tel'; it has tell, raising"),
        ("hooks.py:two", r"two\(told, more\); expected one that takes one argument"),
        ("no_such.module:tell", "importing the hook 'no_such.module:tell' failed"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused_before_anything_is_recorded(
    folder, drivers, reference, message
):
    folder.write(hooks={"ended": reference})
    driver = drivers.start(folder.path, in_process=True)
    assert driver.wait() == 2
    assert re.search(message, driver.said()), driver.said()
    assert [run for run in all_runs(folder.path) if run.tags.get("lepton.sweep")] == []


def test_validate_imports_the_hooks_too(folder, capsys):
    folder.write(hooks={"ended": "hooks.py:tel"})
    assert main(["validate", "sweep.yaml"]) == 2
    assert "hooks.ended: hooks.py has no function 'tel'" in capsys.readouterr().err


def test_the_end_of_a_night_counts_the_open_generations_trials_too(folder, drivers):
    drivers.run(folder.path, in_process=True, nightly={"trials": 3})  # of a generation of 4
    *_, end = told(folder)
    text = f"night over: 3 of 12 trials; best {end['value']!r}, trial {end['number']}"
    assert (end["trials"], end["message"]) == (3, f"sweep demo ended: {text}")


def test_a_slow_hook_holds_up_no_trial_and_is_left_after_a_while(folder, monkeypatch):
    monkeypatch.setattr(hooks_module, "PATIENCE_S", 0.2)
    declaration = read(folder.path / "sweep.yaml").parse()[0]
    said, began = [], time.monotonic()
    hooks = Hooks({"failed": lambda _: time.sleep(5)}, declaration, said.append)
    hooks.broken(SweepError("one"))
    hooks.broken(SweepError("two"))
    assert time.monotonic() - began < 1
    hooks.close()
    assert time.monotonic() - began < 4
    (warning,) = said
    assert "the hook failed has not returned for 0.2 s; it is left, and so is what" in warning


def test_a_hooks_file_takes_no_modules_place(folder):
    import queue

    (folder.path / "queue.py").write_text("def tell(told):\n    pass\n")
    folder.write(hooks={"ended": "queue.py:tell"})
    load_hooks(read(folder.path / "sweep.yaml"))
    import queue as still

    assert still is queue
