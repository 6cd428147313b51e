"""Versions that do not go together, told from the metadata of what is installed.

Each wrong version is a real distribution's metadata, first on the path as pip's would be.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from lepton_tasks.installation.requirements import (
    check_packages,
    check_python,
    lepton_distribution,
)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put the metadata of a distribution first on the path."""

    def put(name, version, *lines):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
        (folder / "METADATA").write_text("\n".join(head) + "\n")
        if str(tmp_path) not in sys.path:
            monkeypatch.syspath_prepend(tmp_path)

    return put


def test_what_is_installed_here_goes_together():
    assert (check_python().state, check_packages().state) == ("ok", "ok"), check_packages()


def test_a_package_outside_the_declared_range_is_a_problem_and_the_range_is_pyprojects(
    install, doctor, empty_folder
):
    install("fastapi", "0.160.0")
    told = doctor()
    packages = told.checks["packages"]
    assert (told.code, packages["state"], packages["found"]) == (1, "problem", "fastapi 0.160.0")
    assert packages["advice"] == "pip install 'fastapi<0.151,>=0.139'"


def test_every_package_that_is_wrong_is_named(install):
    install("fastapi", "0.160.0")
    install("SQLAlchemy", "2.1.9")
    check = check_packages()
    assert check.found == "fastapi 0.160.0; sqlalchemy 2.1.9"
    assert check.advice.endswith("pip install 'sqlalchemy<2.1,>=2.0'")


def test_a_version_that_is_none_is_a_problem(install):
    install("prefect", "unknown")
    assert (check_packages().state, check_packages().found) == ("problem", "prefect unknown")


def test_an_extras_package_in_a_version_that_does_not_work_is_a_warning(install):
    install("keras", "2.15.0")
    check = check_packages()
    assert (check.state, check.found) == ("warning", "keras 2.15.0")
    assert check.expected == "keras>=3 for lepton-tuning[keras]"


def test_what_only_leptons_developers_need_is_not_asked_for(install):
    install("pytest", "1.0")
    install("optuna", "1.0")
    assert check_packages().state == "ok"


def test_a_package_that_is_missing_is_a_problem(install):
    needs = "Requires-Dist: no-such-package-of-lepton>=1"
    install("lepton-tuning", lepton_distribution().version, needs)
    check = check_packages()
    assert (check.state, check.found) == (
        "problem",
        "no-such-package-of-lepton is not installed",
    )
    assert check.advice == "pip install 'no-such-package-of-lepton>=1'"


def test_a_python_outside_the_declared_range_is_a_problem(install):
    install("lepton-tuning", lepton_distribution().version, "Requires-Python: >=3.99")
    assert (check_python().state, check_python().expected) == ("problem", ">=3.99")


def test_code_and_distribution_of_two_leptons_are_told_apart(install):
    install("lepton-tuning", "99.0")
    check = check_packages()
    assert (check.state, "99.0 is installed, but the code is" in check.found) == ("warning", True)


@pytest.mark.parametrize("package", ["mlflow", "prefect", "sqlalchemy", "alembic"])
def test_a_package_that_cannot_even_be_imported_does_not_stop_the_examination(
    package, tmp_path, migrated
):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{package}.py").write_text("raise ImportError('no such symbol')\n")
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated, tmp_path / "mlruns" / "mlflow.db")
    path = [str(tmp_path / "broken"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "lepton", "doctor", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode in (1, 7), done.stderr) == (True, "")
    checks = json.loads(done.stdout)["checks"]
    told = [one["found"] for one in checks if one["state"] == "problem"]
    assert any("no such symbol" in found for found in told), checks
    assert checks[-1]["name"] == "telemetry"


def test_without_a_distribution_the_requirements_are_not_known(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert (check_packages().state, check_python().state) == ("warning", "ok")
