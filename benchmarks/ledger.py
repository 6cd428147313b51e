"""What a long history costs: resuming a sweep, its memory, a generation of it, reading it.

Synthetic histories (see `synthetic`) of 8 floats in generations of 8 are written to an embedded
store of their own; each figure is then taken in a fresh process on a copy of it. Times leave out
imports, and the start of worker processes; memory is the peak over what the imports take.

Run it with ``python benchmarks/ledger.py --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SIZES = (1_000, 10_000, 100_000)
PARAMS, GENERATION = 8, 8
GENERATIONS = 40  # that the cost of one is measured over
SLEEP_S, WORKERS, SLEEPERS = 1.0, 4, 48
OBJECTIVE = """\
import time

def objective(trial):
    return sum(trial.values())

def sleeper(trial):
    time.sleep(1.0)
    return sum(trial.values())
"""
TARGETS = {"resume_s": {10_000: 1.0, 100_000: 4.0}, "peak_mb": {100_000: 600.0}}


def source(trials: int, folder: Path, **changes: Any) -> Any:
    """The sweep of the benchmark."""
    from lepton_tasks.sweep_yaml import from_dict

    content = {
        "name": "long",
        "objective": "noop.py:objective",
        "space": {f"x{j}": {"type": "float", "low": 0.0, "high": 1.0} for j in range(PARAMS)},
        "budget": {"trials": trials},
        "generation": GENERATION,
        "portfolio": {"judge": False},  # what the judge costs is in docs/search.md
        **changes,
    }
    return from_dict(content, folder)


def make(folder: Path, trials: int, *, runs: bool) -> None:
    """Write a history, if it is not there from before."""
    if (folder / "done").exists():
        return
    from synthetic import write_history

    from lepton_tasks.store import connect

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    (folder / "noop.py").write_text(OBJECTIVE)
    if trials:
        write_history(connect(), source(trials, folder), trials, runs=runs)
    else:
        connect()
    (folder / "done").touch()


# -- in the fresh process -------------------------------------------------------------------------


def peak_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def import_everything() -> None:
    """Import what any command would have imported by the time it is done; open no database."""
    for name in (
        *("alembic.util.exc", "mlflow.store.tracking.sqlalchemy_store", "scipy.stats.qmc"),
        *("lepton.cli.reading", "lepton.cli.verifying", "lepton_flows.driver"),
        "lepton_tasks.doctor.audit",
    ):
        import_module(name)


def measure_resume(trials: int, folder: Path) -> dict[str, Any]:
    """Seconds to the first proposal; then what a generation costs beside its trials."""
    from lepton_flows.driver import Drive, drive_sweep, look_first
    from lepton_flows.loop import drive
    from lepton_flows.observer import Observer
    from lepton_tasks.in_process import InProcessEvaluator

    asked = source(trials + GENERATION * GENERATIONS, folder)
    warm = worker_seconds(folder)
    found: dict[str, Any] = {}
    marks: list[float] = []

    def mapper(work: Callable[[Any], Any], proposals: Sequence[Any]) -> list[Any]:
        marks.append(time.perf_counter())
        if len(marks) == 1:
            found["resume_s"] = marks[0] - began - warm
            found["peak_mb"] = peak_mb() - before
        records = [work(proposal) for proposal in proposals]
        marks.append(time.perf_counter())
        return records

    def loop(driven: Drive) -> Any:
        evaluator = InProcessEvaluator(lambda trial: float(sum(trial.values())))
        return drive(
            *(driven.ledger, driven.state, evaluator, mapper),
            stop=driven.stop,
            observer=Observer(),
        )

    before, began = peak_mb(), time.perf_counter()
    look_first(asked)
    drive_sweep(asked, loop, observer=Observer())
    gaps = [b - a for a, b in zip(marks[1::2], marks[2::2], strict=False)]
    trial_s = [(b - a) / GENERATION for a, b in zip(marks[::2], marks[1::2], strict=True)]
    found["generation_ms"] = 1000 * median(gaps)
    found["trial_ms"] = 1000 * median(trial_s)
    return found


def worker_seconds(folder: Path) -> float:
    """What the start of one worker process takes here."""
    from lepton_tasks.pool import Job, working

    job = Job(objective="noop.py:objective", folder=folder, metric="loss")
    began = time.perf_counter()
    with working(job, 1) as pool:
        pool.check()
    return time.perf_counter() - began


def measure_command(name: str, folder: Path) -> dict[str, Any]:
    """Seconds and memory of a command that reads."""
    import contextlib
    import io

    from lepton.cli.parser import build_parser

    del folder
    before, began = peak_mb(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        arguments = build_parser().parse_args([name, "long", "--json"])
        arguments.command(arguments)
    return {f"{name}_s": time.perf_counter() - began, f"{name}_mb": peak_mb() - before}


def measure_workers(trials: int, folder: Path) -> dict[str, Any]:
    """The wall time of four workers on trials of one second, over the ideal."""
    from lepton_flows.observer import Observer, observer
    from lepton_flows.sweep import sweep

    marks: list[float] = []

    class Watch(Observer):
        def began(self, driving: Any) -> None:
            del driving
            marks.append(time.perf_counter())

        def sealed(self, state: Any) -> None:
            del state
            marks.append(time.perf_counter())

    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    asked = source(trials + SLEEPERS, folder, objective="noop.py:sleeper", workers=WORKERS)
    token = observer.set(Watch())
    try:
        sweep(dict(asked.content))
    finally:
        observer.reset(token)
    ideal = SLEEPERS / WORKERS * SLEEP_S
    return {"workers_x": (marks[-1] - marks[0]) / ideal}


def measure(what: str, trials: int, folder: Path) -> None:
    """Measure one thing here and print it as JSON."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    import_everything()
    if what == "resume":
        found = measure_resume(trials, folder)
    elif what == "workers":
        found = measure_workers(trials, folder)
    else:
        found = measure_command(what, folder)
    print(json.dumps(found), flush=True)


# -- in the parent --------------------------------------------------------------------------------


def measured(what: str, trials: int, history: Path) -> dict[str, Any]:
    """Have one thing measured in a process of its own, on a copy of the history."""
    with tempfile.TemporaryDirectory(prefix="lepton-bench-", dir=history.parent) as name:
        copy = Path(name) / "copy"
        shutil.copytree(history, copy)
        command = [sys.executable, __file__, "--measure", what, str(trials), str(copy)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(rows: dict[int, dict[str, Any]]) -> None:
    """Print the table."""
    columns = {key: None for row in rows.values() for key in row}
    print(f"{'trials':>9}" + "".join(f"{key:>14}" for key in columns))
    for trials, row in rows.items():
        cells = (f"{row[key]:14.2f}" if key in row else f"{'-':>14}" for key in columns)
        print(f"{trials:9,}" + "".join(cells))
    for key, aims in TARGETS.items():
        for trials, aim in aims.items():
            if key in rows.get(trials, {}):
                verdict = "met" if rows[trials][key] <= aim else "MISSED"
                print(f"aim: {key} at {trials:,} trials at most {aim:g}: {verdict}")


def main() -> int:
    """Make the histories, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[0, *SIZES])
    parser.add_argument("--runs", action="store_true", help="with a run for each trial")
    parser.add_argument("--folder", type=Path, help="keep the histories here")
    parser.add_argument(
        "--what", nargs="+", default=["resume", "status", "best"], help="also: verify, workers"
    )
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, trials, folder = arguments.measure
        measure(what, int(trials), Path(folder))
        return 0
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory(prefix="lepton-bench-") as name:
        folder = (arguments.folder or Path(name)).absolute()
        rows: dict[int, dict[str, Any]] = {}
        for trials in arguments.trials:
            history = folder / f"{trials}{'-runs' if arguments.runs else ''}"
            began = time.perf_counter()
            make(history, trials, runs=arguments.runs)
            print(f"{trials:,} trials made in {time.perf_counter() - began:.0f} s", flush=True)
            row = rows[trials] = {}
            row["store_mb"] = sum(f.stat().st_size for f in history.glob("mlruns/mlflow.db*")) / 1e6
            for what in arguments.what:
                if trials or what in ("resume", "workers"):
                    row.update(measured(what, trials, history))
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
