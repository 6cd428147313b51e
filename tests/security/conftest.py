"""What the tests of security share: a finished sweep, and commands that must stay civil."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from civil import CODES, check_civil, no_constant, watching
from hostile import DATABASE

from lepton.cli import main


@pytest.fixture(scope="session")
def open_sweep(tmp_path_factory, new_sweep_folder, drivers) -> Path:
    """A sweep named demo whose last generation is evaluated but not sealed, to be copied."""
    folder = new_sweep_folder(tmp_path_factory.mktemp("security") / "sweep")
    folder.write()
    drivers.run(folder.path, in_process=True)
    with closing(sqlite3.connect(folder.path / DATABASE)) as db, db:
        assert db.execute("delete from params where key like 'seal/00000002/%'").rowcount
        for table in ("metrics", "latest_metrics"):  # the parent run's curves end there too
            db.execute(f"delete from {table} where step = 12")
    return folder.path


@pytest.fixture
def planted(open_sweep, tmp_path, monkeypatch) -> Path:
    """That sweep in the current directory, with files around it that nobody may touch."""
    folder = tmp_path / "home" / "sweep"
    shutil.copytree(open_sweep, folder)
    for place in (tmp_path, tmp_path / "home"):
        (place / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nf = print\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def civil(capsys) -> Callable[..., int]:
    """Run a command: whatever it met, it ends with a code of ours and shows nothing to obey."""

    def run(*arguments: str) -> int:
        capsys.readouterr()
        with watching() as seen:
            code = main([*arguments])
        assert seen == [], "the store's word was followed"
        shown = capsys.readouterr()
        assert code in CODES, shown.err
        check_civil(shown.out + shown.err)
        if "--json" in arguments:
            (line,) = shown.out.splitlines()
            assert isinstance(json.loads(line, parse_constant=no_constant), dict)
            assert line.isascii()
        return code

    return run
