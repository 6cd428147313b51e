"""Which process is meant, and whether it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from drivers import wait_until

from lepton_tasks.host import Process, _boot, _started, life, this_process


@pytest.fixture
def other():
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def named(pid):
    return Process(this_process().host, _boot(), pid, _started(pid))


def test_this_process_runs():
    assert this_process().pid == os.getpid()
    assert this_process().started
    assert life(this_process()) == "running"


def test_a_stopped_process_is_stopped_and_then_runs_again(other):
    process = named(other.pid)
    other.send_signal(signal.SIGSTOP)
    wait_until(lambda: life(process) == "stopped", "it to stop")
    other.send_signal(signal.SIGCONT)
    wait_until(lambda: life(process) == "running", "it to go on")


def test_a_killed_process_is_dead_even_before_it_is_waited_for(other):
    process = named(other.pid)
    other.kill()
    wait_until(lambda: life(process) == "dead", "it to die")  # a zombie
    other.wait()
    assert life(process) == "dead"


def test_another_process_with_the_same_pid_is_not_the_one_that_died(other):
    assert life(replace(named(other.pid), started="12345")) == "dead"


@pytest.mark.parametrize("changed", [{"host": "elsewhere"}, {"boot": "before the last boot"}])
def test_of_another_host_or_boot_nothing_can_be_told(changed):
    assert life(replace(this_process(), **changed)) == "unknown"


def test_a_process_of_another_user_lives():
    assert life(named(1)) in ("running", "stopped")
