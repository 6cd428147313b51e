"""What a night costs to start after a thousand: to the first trial, and of what.

Two things grow with the nights: the sweep's own history (one claim, its settings and its release
for each night, and the seals), and Prefect's database (a flow run and its task runs for each). A
history is written in bulk (see `synthetic`); Prefect's rows are those of one real night, once for
each night before it, with ids and days of their own, and events for seven days, after which Prefect
removes them. A night is then started as a worker starts it: ``python -m prefect.engine``.

Run it with ``python benchmarks/nights.py --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

TRIALS, GENERATION, PARAMS = 40, 8, 8
EVENT_DAYS = 7
OBJECTIVE = """\
import time
from pathlib import Path

def objective(trial):
    with Path(__file__).with_name("began.txt").open("a") as file:
        file.write(f"{time.time()}\\n")
    return sum(trial.values())
"""
ID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
DAY = re.compile(r"\d{4}-\d\d-\d\d(?=[ T]\d\d:\d\d)")
TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log")
EVENTS = ("events", "event_resources")


def content(*, judge: bool) -> dict[str, Any]:
    """The sweep file: nights of forty trials, for ever."""
    return {
        "name": "long",
        "objective": "noop.py:objective",
        "space": {f"x{j}": {"type": "float", "low": 0.0, "high": 1.0} for j in range(PARAMS)},
        "nightly": {"trials": TRIALS},
        "generation": GENERATION,
        "portfolio": {"judge": judge},
    }


def make(folder: Path, nights: int, *, drivers: int) -> None:
    """A sweep that has run so many nights, in the current directory."""
    from synthetic import write_history

    from lepton_tasks.store import connect
    from lepton_tasks.sweep_yaml import read

    (folder / "noop.py").write_text(OBJECTIVE)
    (folder / "sweep.yaml").write_text(json.dumps(content(judge=False)))
    store = connect()
    if nights:
        source = read(folder / "sweep.yaml")
        write_history(store, source, TRIALS * nights, runs=True, nights=drivers)


@contextmanager
def prefect(database: Path, **settings: str) -> Iterator[str]:
    """A Prefect server on a database of its own; its API."""
    from prefect.settings import PREFECT_API_URL

    from lepton.cli.serving import free_port
    from lepton_tasks.prefect_server import scheduling_server

    os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{database}"
    os.environ |= settings
    began = time.perf_counter()
    with scheduling_server(free_port(4350)):
        print(f"  Prefect's server is up after {time.perf_counter() - began:.1f} s", flush=True)
        yield str(PREFECT_API_URL.value())


def deploy(folder: Path) -> uuid.UUID:
    """Deploy the sweep, by a schedule that is not due; its id."""
    from lepton_flows import scheduled
    from lepton_tasks.sweep_yaml import read

    made = scheduled.deployment(
        read(folder / "sweep.yaml"), scheduled.parse_schedule("0 2 1 1 *", "UTC"), pool=None
    )
    return scheduled.apply(made)


def night(api: str, deployment: uuid.UUID, folder: Path) -> dict[str, float]:
    """Run a night as a worker starts it; seconds to its first trial and to its end."""
    from prefect.client.orchestration import get_client

    began_file = folder / "began.txt"
    began_file.unlink(missing_ok=True)
    asked = time.perf_counter()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment)
        asked = time.perf_counter() - asked
        began, cpu = time.time(), cpu_seconds()
        subprocess.run(
            [sys.executable, "-m", "prefect.engine"],
            cwd=folder,
            env={**os.environ, "PREFECT__FLOW_RUN_ID": str(run.id), "PREFECT_API_URL": api},
            check=True,
        )
        ended = time.time()
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert "40 trials tonight" in str(state.message), state
    first = min(float(line) for line in began_file.read_text().splitlines())
    return {
        "asked_s": asked,
        "first_trial_s": first - began,
        "whole_s": ended - began,
        "cpu_s": cpu_seconds() - cpu,
    }


def cpu_seconds() -> float:
    """What the processes that ended took of a processor: beside others, less noisy than a clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def multiply(database: Path, nights: int) -> int:
    """Have one night's rows in Prefect's database so many times; how many rows were added."""
    added = 0
    with closing(sqlite3.connect(database)) as db:
        own: set[str] = set()
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for table in (*TABLES, *EVENTS):
            columns = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
            rows[table] = db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            own |= {str(row[columns.index("id")]) for row in rows[table]}
        for k in range(1, nights):
            new = {known: str(uuid.uuid4()) for known in own}
            for table in TABLES + (EVENTS if k <= EVENT_DAYS else ()):
                moved = [tuple(_moved(value, new, k) for value in row) for row in rows[table]]
                if moved:
                    marks = ", ".join("?" * len(moved[0]))
                    db.executemany(f"INSERT INTO {table} VALUES ({marks})", moved)  # noqa: S608
                added += len(moved)
            if k % 50 == 0:
                db.commit()
        db.commit()
    return added


def _moved(value: Any, new: dict[str, str], days: int) -> Any:
    if not isinstance(value, str):
        return value
    value = ID.sub(lambda found: new.get(found[0], found[0]), value)
    return DAY.sub(lambda found: str(date.fromisoformat(found[0]) - timedelta(days=days)), value)


def reading() -> dict[str, float]:
    """CPU seconds to read the sweep, and its ledger run's size."""
    from lepton_tasks.store import connect
    from lepton_tasks.sweep_record import open_record

    connect().client.get_run(open_record("long").entry.ledger)  # imports, and a warm file
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    record = open_record("long")
    read = time.process_time() - began
    assert record.state.trials_done
    return {
        "read_cpu_s": read,
        "fold_cpu_s": time.process_time() - began - read,
        "params": len(record.params),
        "tags": len(record.tags),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
    }


def tell(what: str, found: dict[str, float]) -> None:
    """Print some figures."""
    print(f"  {what}: " + ", ".join(f"{k} {v:,.2f}" for k, v in found.items()), flush=True)


def pruned(database: Path) -> dict[str, float]:
    """Start a server that keeps thirty days; how long until it has, and what is left."""
    size, left = database.stat().st_size / 1e6, -1
    began = time.perf_counter()
    with prefect(
        database,
        PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="events,flow_runs",
        PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD=str(30 * 86400),
    ):
        tasks, same = -1, 0
        while same < 3 and time.perf_counter() - began < 300:
            time.sleep(3)
            with closing(sqlite3.connect(database, timeout=60)) as db:
                (now,) = db.execute("SELECT COUNT(*) FROM task_run").fetchone()
                ended = "SELECT COUNT(*) FROM flow_run WHERE end_time IS NOT NULL"
                (left,) = db.execute(ended).fetchone()
            same = same + 1 if now == tasks and left < 40 else 0
            tasks = now
    took = time.perf_counter() - began
    with closing(sqlite3.connect(database)) as db:
        db.execute("VACUUM")
    after = database.stat().st_size / 1e6
    return {
        "took_s": took,
        "flow_runs": left,
        "task_runs": tasks,
        "mb": size,
        "vacuumed_mb": after,
    }


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3, help="nights that are timed")
    parser.add_argument("--what", nargs="+", default=["history", "drivers", "prefect", "prune"])
    arguments = parser.parse_args()
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="lepton-bench-") as name:
        home = Path(name)
        os.environ["PREFECT_HOME"] = name
        cases = {"new": (0, 1)}
        if "drivers" in arguments.what:
            cases[f"{arguments.nights} nights by one driver"] = (arguments.nights, 1)
        if "history" in arguments.what:
            cases[f"{arguments.nights} nights"] = (arguments.nights, arguments.nights)
        with prefect(home / "prefect.db") as api:
            for label, (nights, drivers) in cases.items():
                print(label, flush=True)
                folder = home / label.replace(" ", "-")
                folder.mkdir()
                os.chdir(folder)
                make(folder, nights, drivers=drivers)
                if nights:
                    tell("read", reading())
                deployment = deploy(folder)
                for _ in range(arguments.repeat):
                    tell("a night", night(api, deployment, folder))
        if "prefect" in arguments.what:
            print(f"Prefect's database after {arguments.nights} nights", flush=True)
            folder, database = home / "new", home / "many.db"
            os.chdir(folder)
            with prefect(database) as api:
                tell("a night, its first", night(api, deploy(folder), folder))
                time.sleep(15)  # its events and task runs are recorded late
            rows = multiply(database, arguments.nights)
            print(f"  {rows:,} rows more, {database.stat().st_size / 1e6:,.0f} MB", flush=True)
            with prefect(database) as api:
                deployment = deploy(folder)
                for _ in range(arguments.repeat):
                    tell("a night", night(api, deployment, folder))
            if "prune" in arguments.what:
                tell("pruned to 30 days", pruned(database))
    return 0


if __name__ == "__main__":
    sys.exit(main())
