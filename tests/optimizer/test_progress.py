"""The bar at a terminal: a real one, of a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys

import pytest

SCRIPT = """
import time
import lepton
options = {options}
optimizer = lepton.Optimizer({{"x": lepton.Float(0, 1)}}, name={name!r})

def objective(trial):
    time.sleep(0.03)
    return 1 / 0 if trial.number == 3 else trial["x"] + 1

optimizer.minimize(objective, trials=12, **options)
print("said it all")
"""


def at_a_terminal(**values):
    """What a script shows at a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(**{"options": {}, "name": None, **values})],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = b""
    poll = select.poll()  # select itself fails where a process has more than 1,024 files open
    poll.register(ours, select.POLLIN)
    while poll.poll(60_000):
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_it_moves_and_ends_full_on_one_line_of_80_columns():
    lines = re.split(r"[\r\n]+", at_a_terminal())
    bars = [line for line in lines if "/12 trials" in line]
    assert len(set(bars)) > 3
    assert re.search(r"12/12 trials  best 1\.?\d* \(\w+\)  1 failed", bars[-1])
    assert any(re.search(r"\d s left", line) for line in bars)
    assert max(map(len, bars)) <= 80


def test_of_a_recorded_sweep_it_says_where_the_history_is(sweep_folder):
    shown = at_a_terminal(name="demo")
    assert re.search(r"history in mlruns/mlflow.db, parent run [0-9a-f]{32}", shown)


def test_without_progress_there_is_none():
    assert at_a_terminal(options={"progress": False}).split() == ["said", "it", "all"]


@pytest.mark.parametrize("wanted", [None, True])
def test_where_there_is_no_terminal_it_is_shown_on_request(wanted, capfd):
    import lepton

    optimizer = lepton.Optimizer({"x": lepton.Float(0, 1)})
    optimizer.minimize(lambda trial: trial["x"], trials=3, progress=wanted)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("3/3 trials" in err) == bool(wanted)
