"""The worker processes, with objectives that do whatever objectives do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drivers import MARK, await_no_process, marked_processes, wait_until

from lepton_core.errors import ObjectiveError
from lepton_core.events import Proposal
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.pool import SINGLE_THREADED, CancelledError, Job, WorkerDiedError, WorkerPool
from lepton_tasks.reaper import Reaper
from lepton_tasks.trial import StopSignal, run_slot

OBJECTIVE = """
import os, re, signal, subprocess, sys, time
import numpy as np

STARTED = os.getpid()
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]

def c_code():
    a = np.random.rand(900, 900)
    while True:
        np.linalg.svd(a)

def holding_the_lock():
    re.match(r"(a+)+$", "a" * 60 + "b")

def sleeping():
    time.sleep(600)

def with_children():
    print("child", subprocess.Popen(SLEEP).pid, flush=True)
    time.sleep(600)

def stubborn():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    sleeping()

def leaving(): os._exit(0)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def crashed(): signal.raise_signal(signal.SIGSEGV)
def stopped_running(): sys.exit(3)

def leaving_a_fork():
    if os.fork() == 0:
        time.sleep(600)
    os._exit(9)

def returning_twice():
    return 0.5 if os.fork() == 0 else os.wait() and 1.0

def talkative():
    print("to standard output")
    print("to standard error", file=sys.stderr)
    os.system("echo to a shell")
    os.write(1, b"not text: \\xff\\n")
    raise ValueError("the end")

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return 0.25

def threads():
    print([os.environ[n] for n in NAMES])
    return 1.0

def silent():
    os.close(1), os.close(2)
    return 2.0

def closing_everything():
    os.closerange(3, 65536)
    time.sleep(600)

def closing_and_holding():
    os.closerange(3, 65536)
    holding_the_lock()

def pid(): return float(os.getpid())

def objective(trial):
    return globals()[trial["what"]]() if trial["what"] != "fine" else trial.seed / 4
"""


@pytest.fixture
def mark(request, monkeypatch):
    """All processes that the test starts are recognised by it, and none may be left."""
    mark = request.node.name
    monkeypatch.setenv(MARK, mark)
    yield mark
    await_no_process(mark)


@pytest.fixture
def reaper(mark):
    reaper = Reaper()
    yield reaper
    reaper.close()


@pytest.fixture
def pool(tmp_path, reaper):
    """Makes pools; they are closed at the end."""
    pools = []

    def make(source=OBJECTIVE, workers=1, **job):
        (tmp_path / "objective.py").write_text(source)
        described = Job(objective="objective.py:objective", folder=tmp_path, metric="loss", **job)
        pools.append(WorkerPool(described, workers, reaper))
        return pools[-1]

    yield make
    for made in pools:
        made.close()


def proposal(what, number=0):
    return Proposal(
        generation=0, slot=0, slots=1, number=number, params={"what": what}, proposer="x", seed=1
    )


def evaluate(pool, what, key="key"):
    return pool.evaluate(proposal(what), None, key)


@pytest.mark.parametrize(
    "what", ["c_code", "holding_the_lock", "sleeping", "with_children", "stubborn"]
)
def test_a_timeout_really_ends_the_trial_and_the_next_one_gets_a_new_worker(pool, what, mark):
    made = pool(timeout=1.0)
    made.check()
    started = time.monotonic()
    outcome, duration = evaluate(made, what)
    assert 1.0 <= time.monotonic() - started < 3.0
    assert (outcome.failure.kind, duration) == ("timeout", 1.0)
    assert "still running after 1 s; its process was killed" in outcome.failure.reason
    left = [line for line in marked_processes(mark) if "reaper" not in line]
    assert not left, left
    assert evaluate(made, "fine", "next")[0].value == 0.25


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("leaving", "exit code 0"),
        ("killed", "SIGKILL"),
        ("crashed", "SIGSEGV"),
        ("closing_everything", "SIGKILL"),
        # Its listener may wake in between, and end it.
        ("closing_and_holding", "closed the pipe to its driver|SIGKILL"),
    ],
)
def test_a_process_that_ends_is_a_death_and_the_next_trial_gets_a_new_one(pool, what, said):
    made = pool()
    before = evaluate(made, "pid")[0].value
    with pytest.raises(WorkerDiedError, match=said):
        evaluate(made, what)
    assert evaluate(made, "pid")[0].value != before
    assert evaluate(made, "fine")[0].value == 0.25


def test_a_death_is_noticed_even_where_a_forked_child_lives_on(pool):
    """The child holds the pipe of its dead parent open."""
    made = pool()
    made.check()
    started = time.monotonic()
    with pytest.raises(WorkerDiedError, match="exit code 9"):
        evaluate(made, "leaving_a_fork")
    assert time.monotonic() - started < 5


def test_a_child_that_the_objective_forked_does_not_answer_for_it(pool):
    made = pool()
    assert evaluate(made, "returning_twice")[0].value == 1.0
    assert evaluate(made, "fine", "next")[0].value == 0.25


def test_a_worker_that_dies_between_trials_is_a_death_at_the_next_one(pool):
    made = pool()
    pid = int(evaluate(made, "pid")[0].value)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        evaluate(made, "fine")
    assert evaluate(made, "fine")[0].value == 0.25


def test_an_exit_of_the_objective_is_a_failure_and_the_worker_goes_on(pool):
    made = pool()
    before = evaluate(made, "pid")[0].value
    outcome, _ = evaluate(made, "stopped_running")
    assert (outcome.failure.kind, outcome.failure.reason) == ("exception", "SystemExit: 3")
    assert evaluate(made, "pid")[0].value == before


class Recorded:
    """A ledger that lists what it was told."""

    def __init__(self):
        self.told = []

    def begin(self, proposal, attempt):
        self.told.append(("begin", attempt, proposal.params, proposal.seed))
        return f"run{attempt}"

    def report(self, run_id, points):
        self.told.append(("report", run_id, [point.value for point in points]))

    def finish(self, run_id, record, outcome):
        self.told.append(("finish", run_id, record.failure and record.failure.kind))

    def kill(self, run_id, reason):
        self.told.append(("kill", run_id, reason))

    def keep_output(self, run_id, output):
        pass


def test_after_three_deaths_the_trial_has_crashed(pool):
    ledger = Recorded()
    record = run_slot(ledger, pool(), proposal("killed"), OpenSlot(), StopSignal())
    assert record.failure.kind == "crashed"
    assert "killed by SIGKILL, 3 times" in record.failure.reason
    same = ({"what": "killed"}, 1)
    assert ledger.told == [
        ("begin", 0, *same),
        ("kill", "run0", "died: its process ended: killed by SIGKILL"),
        ("begin", 1, *same),
        ("kill", "run1", "died: its process ended: killed by SIGKILL"),
        ("begin", 2, *same),
        ("finish", "run2", "crashed"),
    ]


def test_deaths_on_record_count_and_orphans_do_not(pool):
    ledger = Recorded()
    slot = OpenSlot(attempts=7, deaths=2)
    assert run_slot(ledger, pool(), proposal("killed"), slot, StopSignal()).attempt == 7
    assert [what for what, *_ in ledger.told] == ["begin", "finish"]


def test_what_a_trial_prints_is_kept_with_its_traceback(pool):
    made = pool()
    outcome, _ = evaluate(made, "talkative", "1.0")
    evaluate(made, "fine", "2.0")
    said = made.output_of("1.0").read_bytes()
    for line in (b"to standard output", b"to standard error", b"to a shell", b"not text: \xff"):
        assert line in said
    assert b'objective.py", line' in said
    assert b"ValueError: the end" in said
    assert b"lepton_tasks" not in said
    assert made.output_of("2.0").read_bytes() == b""
    assert outcome.failure.reason == "ValueError: the end"


def test_an_objective_that_closes_its_output_harms_nobody(pool):
    made = pool()
    assert evaluate(made, "silent", "1.0")[0].value == 2.0
    assert evaluate(made, "talkative", "2.0")[0].failure.kind == "exception"
    assert b"to standard output" in made.output_of("2.0").read_bytes()


def test_ctrl_c_does_not_reach_the_objective(pool):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here
    try:
        made = pool()
    finally:
        signal.signal(signal.SIGINT, before)
    assert evaluate(made, "interrupted")[0].value == 0.25


def test_numeric_libraries_get_one_thread_unless_the_user_says_otherwise(pool, monkeypatch):
    for name in SINGLE_THREADED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    made = pool(f"NAMES = {SINGLE_THREADED}\n{OBJECTIVE}")
    evaluate(made, "threads")
    assert made.output_of("key").read_text().strip() == str(
        ["3" if name == "MKL_NUM_THREADS" else "1" for name in SINGLE_THREADED]
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import gone_missing", "No module named 'gone_missing'"),
        ("def other(): pass", "has no function 'objective'; it has other"),
        ("import os\nprint('last words', flush=True)\nos._exit(3)", "exit code 3"),
        ("import os\nprint('last words', flush=True)\nos._exit(3)", "last words"),
        ("raise SystemExit(2)", "SystemExit: 2"),
    ],
)
def test_an_objective_that_cannot_be_imported_is_told_before_any_trial(pool, source, said):
    with pytest.raises(ObjectiveError) as caught:
        pool(source).check()
    assert said in str(caught.value)


def test_to_cancel_ends_the_running_trials_and_lets_nobody_wait_for_ever(pool):
    """Also those who wait for a worker: here there are more askers than workers."""
    made = pool(workers=2)
    made.check()
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(evaluate, made, "sleeping", str(n)) for n in range(5)]
        wait_until(made._idle.empty, "trials to run")
        started = time.monotonic()
        made.cancel()
        for answer in asked:
            with pytest.raises(CancelledError):
                answer.result(timeout=5)
    assert time.monotonic() - started < 5
    with pytest.raises(CancelledError):
        evaluate(made, "fine")


def test_workers_work_side_by_side(pool):
    made = pool(workers=2)
    with ThreadPoolExecutor(2) as threads:
        pids = set()
        barrier = threading.Barrier(2)

        def ask(n):
            barrier.wait()
            for _ in range(20):
                pids.add(evaluate(made, "pid", f"{n}")[0].value)

        list(threads.map(ask, range(2)))
    assert len(pids) == 2


DRIVER = """
import sys, threading, time
from pathlib import Path
from lepton_core.events import Proposal
from lepton_tasks.pool import Job, WorkerPool
from lepton_tasks.reaper import Reaper

job = Job(objective="objective.py:objective", folder=Path.cwd(), metric="loss")
pool = WorkerPool(job, 2, Reaper())
pool.check()
for n, what in enumerate(sys.argv[1:]):
    asked = Proposal(
        generation=0, slot=n, slots=2, number=n, params={"what": what}, proposer="x", seed=1
    )
    threading.Thread(target=pool.evaluate, args=(asked, None, what)).start()
print(pool.output_of("x").parents[1], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["the driver", "its group"])
def test_no_process_outlives_a_killed_driver(tmp_path, mark, how, whom):
    """Neither a worker that lets no thread of its own run, nor what trials have started."""
    (tmp_path / "objective.py").write_text(OBJECTIVE)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "holding_the_lock", "with_children"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    folder = Path(driver.stdout.readline().decode().strip())
    output = folder / "with_children" / "output.txt"
    wait_until(lambda: output.exists() and b"child" in output.read_bytes(), "a grandchild")
    assert len(marked_processes(mark)) >= 4
    if whom == "the driver":
        driver.send_signal(how)
    else:
        os.killpg(driver.pid, how)
    driver.wait()
    driver.stdout.close()
    await_no_process(mark, 3.0)
    assert not folder.exists()
