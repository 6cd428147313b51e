"""What the commands print: whatever is in it, a terminal and a script can read it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from lepton.cli.output import console, fail, print_json, two_columns

EVIL = "\x1b[31m\x1b]8;;http://evil\x1b\\\x9b\r\x7f\u202e\ud800[red]x[/red]:smile:"
SHOWN = r"\x1b[31m\x1b]8;;http://evil\x1b\\x9b\r\x7f\u202e\ud800[red]x[/red]:smile:"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")


def test_a_line_shows_escapes_and_obeys_none(capsys):
    console().print(EVIL, soft_wrap=True)
    assert capsys.readouterr().out == SHOWN + "\n"


def test_a_cell_shows_escapes_and_stays_one_line(capsys):
    console().print(two_columns({"name\n": EVIL + "\nnext"}), soft_wrap=True)
    shown = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert r"name\n" in shown
    assert shown.count("\n") <= 2


def test_a_cell_is_bounded(capsys):
    console().print(two_columns({"x": "y" * 1_000_000}))
    assert len(capsys.readouterr().out) < 4000


@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_shows_escapes_and_obeys_none(capsys, as_json):
    assert fail(EVIL, 5, argparse.Namespace(json=as_json)) == 5
    shown = capsys.readouterr()
    assert shown.err == f"lepton: {SHOWN}\n"
    assert shown.out.isascii()


def test_json_is_one_line_of_ascii_that_reads_back(capsys):
    print_json({"name": EVIL, "é": [1.5, None]})
    line = capsys.readouterr().out
    assert line.isascii()
    assert line[:-1].isprintable()
    assert json.loads(line) == {"name": EVIL, "é": [1.5, None]}


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        ("list --json", ">&-", 0),
        ("list", "<&- >&- 2>&-", 0),
        ("status nobody", "2>&-", 2),
        ("export nobody", ">&-", 2),
        pytest.param("list", ">/dev/full", 1, marks=on_linux),
        pytest.param("list --json", ">/dev/full", 1, marks=on_linux),
    ],
)
def test_a_closed_stream_is_no_fault(sweep_folder, command, closed, code):
    line = f"{sys.executable} -m lepton {command} {closed}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


SAYS = """
import argparse, sys, time
from lepton.cli.output import console, fail, print_json
time.sleep(0.3)
for _ in range(2):
    print_json({"x": 1})
    console().print("y")
    console(stderr=True).print("y")
sys.exit(fail("z", 5, argparse.Namespace(json=True)))
"""


def test_a_reader_that_has_seen_enough_changes_no_exit_code():
    process = subprocess.Popen(
        [sys.executable, "-c", SAYS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 5
