"""What the tests of ``lepton doctor`` without a name share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from lepton.cli import main


@dataclass(frozen=True)
class Told:
    """What ``lepton doctor --json`` told."""

    code: int
    checks: dict[str, dict[str, Any]]
    left: list[str]

    def state(self, name: str) -> str:
        return str(self.checks[name]["state"])

    def wrong(self) -> dict[str, str]:
        """What is neither well nor unable to be looked at, and how bad it is."""
        bad = ("warning", "problem")
        return {name: one["state"] for name, one in self.checks.items() if one["state"] in bad}


@pytest.fixture
def doctor(capsys):
    """Run ``lepton doctor --json`` in this process and folder."""

    def run() -> Told:
        capsys.readouterr()
        code = main(["doctor", "--json"])
        (line,) = capsys.readouterr().out.splitlines()
        told = json.loads(line)
        assert told["exit_code"] == code
        return Told(code, {one["name"]: one for one in told["checks"]}, told["left"])

    return run


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """A folder with nothing in it, which is the current one."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
