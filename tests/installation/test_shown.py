"""What ``lepton doctor`` shows to people, and what it refuses."""

from __future__ import annotations

import pytest
from ports import free_port

from lepton.cli import main
from lepton.cli.checking import lines
from lepton_tasks.installation.check import Check

LONG = "postgresql://somebody@a-host-with-a-long-name.example.com:5432/a_database_with_a_long_name_"


def test_people_get_80_columns_and_what_to_do(empty_folder, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert main(["doctor"]) == 7
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "problem  store" in shown
    assert "         do" in shown
    assert shown.splitlines()[-1].startswith("1 problem")


@pytest.mark.parametrize("text", ["a word " * 60, LONG * 3, "line\nline", ""])
def test_no_finding_is_wider_than_80_columns(text):
    shown = list(lines(Check("database schema", "problem", text, text, text)))
    assert max(map(len, shown)) <= 80
    assert all("\n" not in line for line in shown)


def test_what_is_well_takes_one_line():
    assert list(lines(Check("python", "ok", "3.11.9", ">=3.11", ""))) == [
        "ok       python          3.11.9"
    ]


@pytest.mark.parametrize("option", [["--repair"], ["--repair", "--reopen"], ["--reopen"]])
def test_an_installation_is_not_repaired(empty_folder, capsys, option):
    assert main(["doctor", *option]) == 2
    assert "Traceback" not in capsys.readouterr().err
