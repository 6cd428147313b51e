"""What Ctrl-C and SIGTERM mean to a driver."""

from __future__ import annotations

import signal
import threading

import pytest

from lepton_tasks.stop_signals import stopping_on_signals
from lepton_tasks.trial import StopSignal


@pytest.fixture
def stop():
    return StopSignal()


def test_the_first_ctrl_c_drains_and_the_second_stops_and_both_are_told(stop):
    told = []
    with stopping_on_signals(stop, told.append):
        signal.raise_signal(signal.SIGINT)
        assert (stop.draining, stop.immediate) == (True, False)
        signal.raise_signal(signal.SIGINT)
        assert (stop.immediate, stop.signal) == (True, signal.SIGINT)
    assert told == ["finishing the running trials; Ctrl-C again stops them", "stopping now"]


def test_a_signal_while_the_main_thread_writes_to_the_log_does_not_wait_for_it(stop):
    """Prefect's log has a lock that the thread which holds it may not take again."""
    log, told = threading.Lock(), []

    def tell(text):
        if not log.acquire(timeout=5):
            raise AssertionError("a deadlock")
        told.append(text)
        log.release()

    with stopping_on_signals(stop, tell):
        with log:
            signal.raise_signal(signal.SIGTERM)
        assert stop.immediate
    assert told == ["stopping now"]


def test_a_log_that_raises_keeps_nobody_from_stopping(stop):
    told = []

    def tell(text):
        told.append(text)
        raise OSError("the log is full")

    before = signal.getsignal(signal.SIGTERM)
    with stopping_on_signals(stop, tell):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert stop.immediate
    assert len(told) == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone(stop):
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def drive():
        with stopping_on_signals(stop, print):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
    assert seen == [before]
