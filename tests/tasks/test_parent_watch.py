"""A night ends with the process that serves it, and when that one is asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from drivers import wait_until

from lepton_core.errors import DrivenElsewhereError
from lepton_tasks.parent_watch import SERVE_LOCK, SERVED_BY
from lepton_tasks.serve_lock import served_alone, tell_to_stop

NIGHT = """\
import time
from lepton_tasks.parent_watch import stop_with_server
stop_with_server()
print("serving", flush=True)
time.sleep(60)
"""


@pytest.fixture
def night():
    started = []

    def start(lock):
        process = subprocess.Popen(
            [sys.executable, "-c", NIGHT],
            env={**os.environ, SERVED_BY: str(os.getpid()), SERVE_LOCK: str(lock)},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"serving\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_night_stops_when_the_process_that_serves_it_is_asked_to_end(night, tmp_path):
    with served_alone("demo", tmp_path, None) as lock:
        process = night(lock)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        tell_to_stop(lock)
        assert process.wait(30) == -signal.SIGTERM


def test_ctrl_c_in_the_terminal_is_not_for_the_night(night, tmp_path):
    with served_alone("demo", tmp_path, None) as lock:
        process = night(lock)
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


def test_one_process_serves_a_sweep_and_a_killed_one_leaves_it_free(tmp_path):
    holds = (
        "import sys, time; from pathlib import Path\n"
        "from lepton_tasks.serve_lock import served_alone\n"
        f"with served_alone('demo', Path({str(tmp_path)!r}), None):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holds], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        found = f"is served already, by process {other.pid} of this machine"
        with pytest.raises(DrivenElsewhereError, match=found), served_alone("demo", tmp_path, None):
            pass
        with (
            served_alone("another", tmp_path, None),
            served_alone("demo", tmp_path, "http://a/api"),
        ):
            pass
        other.kill()

    def is_free():
        with served_alone("demo", tmp_path, None):
            return True

    assert wait_until(is_free, "the lock")
