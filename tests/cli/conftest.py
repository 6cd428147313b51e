"""What the tests of the command line share: commands in this process, and a finished sweep."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lepton.cli import main


@pytest.fixture
def lepton(capsys, prefect_api):
    """Run a command in this process: its exit code, and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


@pytest.fixture
def lepton_json(capsys, prefect_api):
    """Run a command with --json: its exit code, and the object it printed."""

    def run(*arguments: str) -> tuple[int, dict]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1, "scripts get one line"
        return code, json.loads(lines[0])

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory, new_sweep_folder, prefect_api):
    """A folder with a finished sweep named demo, to be copied, and what its command told."""
    folder = new_sweep_folder(tmp_path_factory.mktemp("finished") / "sweep")
    file = folder.write()
    command = [sys.executable, "-m", "lepton", "run", file.name, "--json"]
    environment = {**os.environ, "PREFECT_API_URL": prefect_api}
    done = subprocess.run(
        command, cwd=folder.path, env=environment, stdout=subprocess.PIPE, check=True
    )
    return folder, json.loads(done.stdout)


@pytest.fixture
def driven(finished, tmp_path, monkeypatch):
    """A finished sweep named demo in the current directory, and what its command told."""
    folder, summary = finished
    shutil.copytree(folder.path, tmp_path / "sweep")
    monkeypatch.chdir(tmp_path / "sweep")
    return summary


@pytest.fixture
def edit_sweep_file():
    """Write the sweep file of the current directory with other values for some keys."""

    def edit(**changes) -> None:
        content = json.loads(Path("sweep.yaml").read_text())
        Path("sweep.yaml").write_text(json.dumps({**content, **changes}, indent=2))

    return edit
