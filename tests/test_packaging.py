"""What users get when they install Lepton: an sdist, the wheel built from it, an editable checkout.

The folders `tasks/` and `flows/` are called `lepton_tasks` and `lepton_flows` once installed, as
most Prefect projects have folders of the same names (pyproject.toml says how). No network needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from lepton_core.version import __version__

ROOT = Path(__file__).parents[1]
ROOTS = {
    "lepton": "lepton",
    "lepton_core": "lepton_core",
    "lepton_flows": "flows",
    "lepton_tasks": "tasks",
}
STEM = f"lepton_tuning-{__version__}"


def run(*command, cwd):
    """Run a command away from this process's paths, and return what it printed."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def source_files():
    """The package files of this checkout, under the names they must have once installed."""
    return {
        str(Path(name) / path.relative_to(ROOT / folder))
        for name, folder in ROOTS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


class Environment:
    """A fresh virtual environment that sees the packages Lepton needs, but not this checkout."""

    def __init__(self, path, *what):
        venv.create(path, with_pip=False, symlinks=True)
        self.python = path / "bin" / "python"
        self.site = next(path.glob("lib/python*/site-packages"))
        # A .pth inside the folder named here is not read, so the outer editable install stays out.
        (self.site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", *what, cwd=path)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The sdist, and the wheel built from it: what `python -m build` and pip do."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder / f"{STEM}.tar.gz", folder / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def from_wheel(archives, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("wheel-venv"), archives[1])


@pytest.fixture(scope="module")
def editable(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("editable-venv"), "--editable", ROOT)


def test_the_wheel_has_our_four_packages_at_its_top_and_nothing_else(archives):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(archives[1]).namelist()}
    assert tops == {*ROOTS, f"{STEM}.dist-info"}


def test_the_wheel_has_every_file_of_the_four_packages(archives):
    names = {n for n in zipfile.ZipFile(archives[1]).namelist() if ".dist-info/" not in n}
    assert names == source_files()


def test_the_sdist_has_all_that_is_needed_to_build_test_and_use_it(archives):
    with tarfile.open(archives[0]) as sdist:
        names = {name.removeprefix(f"{STEM}/") for name in sdist.getnames()}
    tops = {name.split("/")[0] for name in names}
    assert {*ROOTS.values(), "tests", "pyproject.toml", "README.md", "LICENSE"} <= tops
    assert not tops & {".git", ".venv", "dist", "mlruns"}
    assert "tests/test_packaging.py" in names
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_each_package_tells_type_checkers_that_it_is_typed(archives):
    names = zipfile.ZipFile(archives[1]).namelist()
    assert {f"{root}/py.typed" for root in ROOTS} <= set(names)


IMPORT_BOTH = """
import importlib.util, json
import flows.etl, tasks.clean
import lepton, lepton_core, lepton_flows, lepton_tasks, lepton_core.fold, lepton_tasks.write_once

ours = [lepton, lepton_core, lepton_flows, lepton_tasks, lepton_core.fold, lepton_tasks.write_once]
sweep = importlib.util.find_spec("lepton_flows.sweep")     # importing it takes Prefect's seconds
print(json.dumps({
    "theirs": [flows.etl.OWNER, tasks.clean.OWNER],
    "ours": [sweep.origin, *(module.__file__ for module in ours)],
}))
"""


@pytest.mark.parametrize("with_init", [False, True], ids=["namespace", "regular"])
@pytest.mark.parametrize("installed", ["from_wheel", "editable"])
def test_a_users_own_flows_and_tasks_work_beside_ours(installed, with_init, request, tmp_path):
    environment = request.getfixturevalue(installed)
    for folder, module in (("flows", "etl"), ("tasks", "clean")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{module}.py").write_text("OWNER = 'the user'\n")
        if with_init:
            (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "main.py").write_text(IMPORT_BOTH)
    seen = json.loads(run(environment.python, "main.py", cwd=tmp_path))
    assert seen["theirs"] == ["the user", "the user"]
    home = environment.site if installed == "from_wheel" else ROOT
    assert all(Path(file).is_relative_to(home) for file in seen["ours"]), seen["ours"]


@pytest.mark.parametrize("installed", ["from_wheel", "editable"])
def test_the_installed_command_says_its_version(installed, request, tmp_path):
    environment = request.getfixturevalue(installed)
    assert __version__ in run(environment.python.parent / "lepton", "--version", cwd=tmp_path)


def test_the_version_is_said_in_one_place_only(from_wheel, tmp_path):
    asked = "from importlib.metadata import version; print(version('lepton-tuning'))"
    assert run(from_wheel.python, "-c", asked, cwd=tmp_path).strip() == __version__


CONSUMER = """
import lepton
import lepton_core.version
import lepton_flows
import lepton_tasks.write_once

number: int = lepton_core.version.__version__
lepton_tasks.write_once.there_is_no_such_thing
"""


def type_errors(environment, program, folder):
    """What mypy says of a user's program, as in ``7: error: ... [attr-defined]``."""
    (folder / "consumer.py").write_text(program)
    # Only our own packages are of interest, and the others take a minute to read.
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = True\nfollow_imports = skip\n"
        + "".join(f"[mypy-{root}.*]\nfollow_imports = normal\n" for root in ROOTS)
    )
    mypy = (sys.executable, "-m", "mypy", "--python-executable", environment.python)
    done = subprocess.run(
        [*mypy, "--no-error-summary", "consumer.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    said = [line.removeprefix("consumer.py:") for line in done.stdout.splitlines()]
    return [line for line in said if ": note: " not in line]


@pytest.mark.parametrize("installed", ["from_wheel", "editable"])
def test_a_type_checker_sees_our_types_in_a_users_project(installed, request, tmp_path):
    environment = request.getfixturevalue(installed)
    wrong_type = (
        '7: error: Incompatible types in assignment (expression has type "str", '
        'variable has type "int")  [assignment]'
    )
    assert type_errors(environment, CONSUMER, tmp_path) == [
        wrong_type,
        '8: error: Module has no attribute "there_is_no_such_thing"  [attr-defined]',
    ]


RIGHT = """
import lepton
from lepton import Choice, Float, Int, LeptonError, Trial


def objective(trial: Trial) -> float:
    return float((trial["x"] - 0.5) ** 2) + float(trial.get("n", 0))


space = {
    "x": Float(-1, 1),
    "n": Int(1, 8, log=True, when={"kind": ["a"]}),
    "kind": Choice(["a", None, 2.0, True]),
    **lepton.spaces.xgboost(prefix="clf__"),
}
optimizer = lepton.Optimizer(space, seed=1)
try:
    found: float = optimizer.minimize(objective, trials=8).best_loss
except LeptonError as error:
    raise SystemExit(error.message) from error
trial: Trial = optimizer.ask(2)[0]
optimizer.tell(trial, objective(trial))
lepton.Space(lepton.spaces.svc()).size
"""

WRONG = """
import lepton

lepton.Float("low", 1.0)
lepton.Int(1, 2, True)
lepton.Choice("abc", wehn={})
optimizer = lepton.Optimizer({"x": lepton.Float(0, 1)}, sed=1)
optimizer.minimize(3)
optimizer.ask("2")
lepton.spaces.xgbost()
lepton.spaces.xgboost("clf__")
lepton.optimise
"""


def test_a_users_typed_program_is_accepted_and_runs(from_wheel, tmp_path):
    assert type_errors(from_wheel, RIGHT, tmp_path) == []
    run(from_wheel.python, "consumer.py", cwd=tmp_path)


def test_a_type_checker_tells_a_user_of_each_wrong_call(from_wheel, tmp_path):
    said = [line.partition(": ")[::2] for line in type_errors(from_wheel, WRONG, tmp_path)]
    assert [(int(line), said.rpartition("[")[2][:-1]) for line, said in said] == [
        (4, "arg-type"),
        (5, "call-arg"),
        (6, "call-arg"),
        (7, "call-arg"),
        (8, "arg-type"),
        (9, "arg-type"),
        (10, "attr-defined"),
        (11, "call-arg"),
        (12, "attr-defined"),
    ]
