"""What trials report on their way, and how they hear that they are to stop, in real workers."""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time

import pytest

from lepton_core.events import Proposal
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.channel import Channel
from lepton_tasks.dialogue import MAX_LATE, Dialogue
from lepton_tasks.in_process import InProcessEvaluator
from lepton_tasks.pool import CancelledError, Job, WorkerDiedError, WorkerPool
from lepton_tasks.reaper import Reaper
from lepton_tasks.reports import reporting_to
from lepton_tasks.trial import StopSignal, run_slot

OBJECTIVE = """
import math, os, threading, time

def curve(trial):
    for step in range(3):
        trial.report(step, 1 / (1 + step))
    trial.report(2, math.nan)
    return 0.5

def steadily(trial):
    for step in range(10**9):
        trial.report(step, 0.5)
        time.sleep(0.02)

def in_a_hurry(trial):
    for step in range(10**9):
        trial.report(step, 0.5)

def until_told(trial):
    step = 0
    while not trial.should_stop():
        trial.report(step, 0.5)
        step += 1
        time.sleep(0.01)

def returning(trial):
    until_told(trial)
    return 1.0

def raising(trial):
    until_told(trial)
    raise ValueError("training was cut short")

def ending_the_process(trial):
    until_told(trial)
    os._exit(7)

def going_on(trial):
    until_told(trial)
    time.sleep(600)

def dying(trial):
    trial.report(0, 0.5)
    os._exit(7)

def never_asking(trial):
    trial.report(0, 0.5)
    time.sleep(1.2)
    return 0.25

def asking(trial): return float(trial.should_stop())

def mistaken(trial):
    trial.report("first", 0.5)

def leaving_a_thread(trial):
    def go_on():
        while True:
            trial.report(99, 0.5)
            time.sleep(0.001)
    threading.Thread(target=go_on, daemon=True).start()
    return 1.0

def forking(trial):
    if os.fork() == 0:
        trial.report(99, 0.5)
        os._exit(0)
    os.wait()
    return 1.0

def objective(trial):
    return globals()[trial["what"]](trial)
"""


class Heard:
    """A reporter that lists what it hears, and says when to stop."""

    def __init__(self, stop_after=math.inf):
        self.reports, self.stop_after = [], stop_after

    def report(self, step, value):
        self.reports.append((step, value))

    def should_stop(self):
        return len(self.reports) >= self.stop_after


@pytest.fixture
def pool(tmp_path):
    reaper, pools = Reaper(), []
    (tmp_path / "objective.py").write_text(OBJECTIVE)

    def make(**job):
        described = Job(objective="objective.py:objective", folder=tmp_path, metric="loss", **job)
        pools.append(WorkerPool(described, 1, reaper))
        pools[-1].check()
        return pools[-1]

    yield make
    for made in pools:
        made.close()
    reaper.close()


def proposal(what):
    return Proposal(
        generation=0, slot=0, slots=1, number=0, params={"what": what}, proposer="x", seed=1
    )


def test_reports_come_in_their_order_with_their_values(pool):
    heard = Heard()
    outcome, _ = pool().evaluate(proposal("curve"), None, "key", heard)
    assert str(heard.reports) == "[(0, 1.0), (1, 0.5), (2, 0.3333333333333333), (2, nan)]"
    assert outcome.value == 0.5


def test_reports_come_while_the_trial_runs_and_restart_no_timeout(pool):
    heard, started = Heard(), time.monotonic()
    outcome, duration = pool(timeout=1.0).evaluate(proposal("steadily"), None, "key", heard)
    assert (outcome.failure.kind, duration) == ("timeout", 1.0)
    assert 1.0 <= time.monotonic() - started < 10
    assert len(heard.reports) > 5


def test_not_even_reports_without_a_pause_outlast_the_timeout(pool):
    made, started = pool(timeout=0.5), time.monotonic()
    outcome, _ = made.evaluate(proposal("in_a_hurry"), None, "key", Heard())
    assert outcome.failure.kind == "timeout"
    assert time.monotonic() - started < 10
    assert made.evaluate(proposal("curve"), None, "next", Heard())[0].value == 0.5


@pytest.mark.parametrize(("reports", "answer"), [(1500, {"value": 1.0}), (MAX_LATE + 1, None)])
def test_a_driver_that_slept_through_the_timeout_reads_what_a_pipe_holds_and_no_more(
    reports, answer
):
    (driver_reads, worker_writes), (worker_reads, driver_writes) = os.pipe(), os.pipe()
    fcntl.fcntl(worker_writes, fcntl.F_SETPIPE_SZ, 1 << 20)  # else this would wait for a reader
    worker = Channel(worker_reads, worker_writes)
    driver = Channel(driver_reads, driver_writes)
    for step in range(reports):
        worker.send({"report": [step, 0.5]})
    worker.send({"value": 1.0})
    heard = Heard()
    assert Dialogue(driver, lambda: False, heard).hold({}, 0.0) == answer
    assert len(heard.reports) == reports
    worker.close()
    driver.close()


@pytest.mark.parametrize("what", ["returning", "raising", "ending_the_process", "going_on"])
def test_a_trial_that_was_told_to_stop_counts_for_nothing_whatever_it_does_then(pool, what):
    made, heard = pool(timeout=4.0), Heard(stop_after=3)
    with pytest.raises(CancelledError):
        made.evaluate(proposal(what), None, "key", heard)
    assert len(heard.reports) >= 3
    assert made.evaluate(proposal("curve"), None, "next", Heard())[0].value == 0.5


def test_a_trial_that_never_asks_comes_to_its_end_and_counts(pool):
    outcome, _ = pool().evaluate(proposal("never_asking"), None, "key", Heard(stop_after=1))
    assert outcome.value == 0.25


def test_to_stop_one_trial_stops_no_later_one_in_the_same_process(pool):
    made = pool()
    made.evaluate(proposal("never_asking"), None, "key", Heard(stop_after=1))
    assert made.evaluate(proposal("asking"), None, "next", Heard())[0].value == 0.0


def test_a_death_of_a_trial_that_was_not_told_is_a_death(pool):
    heard = Heard()
    with pytest.raises(WorkerDiedError, match="exit code 7"):
        pool().evaluate(proposal("dying"), None, "key", heard)
    assert heard.reports == [(0, 0.5)]


def test_a_wrong_report_fails_the_trial_in_words(pool):
    outcome, _ = pool().evaluate(proposal("mistaken"), None, "key", Heard())
    assert "step is 'first' (str); expected a whole number" in outcome.failure.reason


def test_a_process_that_a_trial_forked_reports_nothing(pool):
    heard = Heard()
    assert pool().evaluate(proposal("forking"), None, "key", heard)[0].value == 1.0
    assert heard.reports == []


def test_a_thread_that_a_trial_left_behind_reports_nothing_of_the_next_one(pool):
    made, heard = pool(), Heard()
    assert made.evaluate(proposal("leaving_a_thread"), None, "key", Heard())[0].value == 1.0
    made.evaluate(proposal("never_asking"), None, "next", heard)
    assert heard.reports == [(0, 0.5)]


class Ledger:
    """A ledger that lists what it was told, and fails to take reports so many times."""

    def __init__(self, failures=0):
        self.told, self.failures = [], failures

    def begin(self, proposal, attempt):
        return f"run{attempt}"

    def report(self, run_id, points):
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError
        self.told.append([point.step for point in points])

    def finish(self, run_id, record, outcome):
        self.told.append(("finish", record.value))

    def kill(self, run_id, reason):
        self.told.append(("kill", reason))

    def keep_output(self, run_id, output):
        pass


def test_reports_are_gathered_and_the_last_are_written_before_the_result(pool):
    ledger = Ledger()
    run_slot(ledger, pool(), proposal("curve"), OpenSlot(), StopSignal())
    assert ledger.told == [[0, 1, 2, 2], ("finish", 0.5)]


def test_a_long_trial_is_written_of_about_once_a_second():
    ledger, stop = Ledger(), StopSignal()
    with reporting_to(ledger, "run", stop) as reports:
        for step in range(25):
            reports.report(step, 0.5)
            time.sleep(0.1)
    assert [step for steps in ledger.told for step in steps] == list(range(25))
    assert 2 <= len(ledger.told) <= 4


def test_reports_that_could_not_be_written_are_written_with_the_next():
    ledger = Ledger(failures=1)
    with reporting_to(ledger, "run", StopSignal()) as reports:
        reports.report(0, 0.5)
        time.sleep(1.2)
        assert (ledger.failures, ledger.told) == (0, [])
        reports.report(1, 0.5)
    assert ledger.told == [[0, 1]]


def test_a_trial_without_reports_starts_no_thread():
    before = threading.active_count()
    with reporting_to(Ledger(), "run", StopSignal()) as reports:
        assert reports.should_stop() is False
        assert threading.active_count() == before


@pytest.mark.parametrize("fails", [False, True])
def test_in_process_too_a_trial_that_was_told_to_stop_counts_for_nothing(fails):
    stop, ledger = StopSignal(), Ledger()

    def objective(trial):
        trial.report(0, 0.5)
        assert not trial.should_stop()
        stop.drain("stopped by Ctrl-C")
        assert trial.should_stop()
        if fails:
            raise ValueError("cut short")
        return 1.0

    evaluator = InProcessEvaluator(objective)
    assert run_slot(ledger, evaluator, proposal("any"), OpenSlot(), stop) is None
    assert ledger.told == [[0], ("kill", "cancelled: stopped by Ctrl-C")]


def test_in_process_too_a_trial_that_never_asks_counts():
    stop, ledger = StopSignal(), Ledger()

    def objective(trial):
        stop.drain("stopped by Ctrl-C")
        return 1.0

    run_slot(ledger, InProcessEvaluator(objective), proposal("any"), OpenSlot(), stop)
    assert ledger.told == [("finish", 1.0)]
