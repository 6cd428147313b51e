"""What Lepton costs beyond the evaluation itself: wall time per trial of a no-op objective.

The objective takes 8 floats and returns their sum. Measured in turn, round by round, on SQLite: the
floor of bare MLflow calls (`create_run`, `log_batch`, `set_terminated`) on a database as MLflow
makes it, the same calls on Lepton's embedded store, whose commits cost less, Lepton in this
process, Lepton through Prefect with worker processes, and, if installed, Optuna on SQLite with its
MLflow callback. Start-up (imports, Prefect's server, workers, the store) is left out of each.

Run it with ``make bench`` or ``python benchmarks/overhead.py --help``. Quote the ratios: the
medians over rounds of time per trial against the floor of the same round.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from lepton_flows.driver import Drive, drive_sweep
from lepton_flows.loop import drive, one_after_another
from lepton_flows.observer import Observer
from lepton_tasks.in_process import InProcessEvaluator
from lepton_tasks.store import connect
from lepton_tasks.sweep_yaml import SweepSource, from_dict

PARAMS = 8
FLOOR = "bare MLflow (floor)"
SAME_STORE = "bare, on our store"
OBJECTIVE = """\
def objective(trial):
    return sum(trial.values())
"""


def total(trial: Any) -> float:
    """The objective: nothing that takes time."""
    return float(sum(trial.values()))


def source(name: str, trials: int, folder: Path, workers: int) -> SweepSource:
    """A sweep of the benchmark."""
    return from_dict(
        {
            "name": name,
            "objective": "noop.py:objective",
            "space": {f"x{j}": {"type": "float", "low": 0.0, "high": 1.0} for j in range(PARAMS)},
            "budget": {"trials": trials},
            "portfolio": {"judge": False},  # what the judge costs is in docs/search.md
            "workers": workers,
        },
        folder,
    )


def bare_mlflow(client: Any, experiment_id: str, trials: int) -> Cost:
    """Seconds per trial of the three calls that any tracked trial needs."""
    from mlflow.entities import Metric, Param

    watch = Watch()
    for number in range(trials):
        run = client.create_run(experiment_id, run_name=f"floor {number}")
        params = [Param(f"x{j}", repr(0.123456789 * j)) for j in range(PARAMS)]
        metric = Metric("loss", 0.5, time.time_ns() // 1_000_000, 0)
        client.log_batch(run.info.run_id, metrics=[metric], params=params)
        client.set_terminated(run.info.run_id)
    return watch.cost(trials)


@dataclass
class Cost:
    """Seconds per trial: on the wall, and of this process's processors."""

    wall: float
    cpu: float


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self, trials: int) -> Cost:
        """What each of so many trials took."""
        wall = time.perf_counter() - self._wall
        return Cost(wall / trials, (time.process_time() - self._cpu) / trials)


class Stopwatch(Observer):
    """Times from the beginning of the driving to its last seal."""

    cost: Cost

    def began(self, driving: Any) -> None:
        """Start."""
        del driving  # Unused: the time is all.
        self._watch = Watch()

    def sealed(self, state: Any) -> None:
        """Stop, so far."""
        self.cost = self._watch.cost(state.trials_done)


def lepton_in_process(name: str, trials: int, folder: Path) -> Cost:
    """Seconds per trial in this process, one trial after another."""
    watch = Stopwatch()

    def loop(driven: Drive) -> Any:
        watch.began(None)
        return drive(
            driven.ledger,
            driven.state,
            InProcessEvaluator(total),
            one_after_another,
            stop=driven.stop,
            observer=watch,
        )

    drive_sweep(source(name, trials, folder, 1), loop, observer=Observer())
    return watch.cost


def lepton_through_prefect(name: str, trials: int, folder: Path, workers: int) -> Cost:
    """Seconds per trial as users run it: one Prefect task a trial, worker processes."""
    from lepton_flows.observer import observer
    from lepton_flows.sweep import sweep

    watch = Stopwatch()
    os.chdir(folder)
    token = observer.set(watch)
    try:
        sweep(dict(source(name, trials, folder, workers).content))
    finally:
        observer.reset(token)
    return watch.cost


def optuna_with_callback(name: str, trials: int, folder: Path, uri: str) -> Cost:
    """Seconds per trial of Optuna 5 on SQLite with its MLflow callback."""
    import warnings

    import optuna
    from optuna_integration import MLflowCallback

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    callback = MLflowCallback(tracking_uri=uri, metric_name="loss")
    study = optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{folder / 'optuna.db'}",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )

    def objective(trial: Any) -> float:
        return float(sum(trial.suggest_float(f"x{j}", 0.0, 1.0) for j in range(PARAMS)))

    watch = Watch()
    study.optimize(objective, n_trials=trials, callbacks=[callback])
    return watch.cost(trials)


def show(costs: dict[str, list[Cost]], title: str) -> None:
    """Print the table: medians over rounds, and ratios to the floor of the same round."""
    floor = costs[FLOOR]
    print(title)
    print(f"{'':28}{'wall ms':>9}{'x floor':>9}{'(min to max)':>16}{'CPU ms':>9}{'x floor':>9}")
    for label, found in costs.items():
        walls = [a.wall / b.wall for a, b in zip(found, floor, strict=True)]
        cpus = [a.cpu / b.cpu for a, b in zip(found, floor, strict=True)]
        print(
            f"{label:28}{1000 * median(c.wall for c in found):9.1f}{median(walls):9.2f}"
            f"{f'({min(walls):.2f} to {max(walls):.2f})':>16}"
            f"{1000 * median(c.cpu for c in found):9.1f}{median(cpus):9.2f}"
        )


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=64, help="of each contender in each round")
    arguments = parser.parse_args()
    rounds, trials = arguments.rounds, arguments.trials
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(prefix="lepton-bench-") as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ.setdefault("PREFECT_HOME", str(folder / "prefect"))
        (folder / "noop.py").write_text(OBJECTIVE)
        store = connect()
        plain = MlflowClient(f"sqlite:///{folder / 'plain.db'}")
        experiment_id = plain.create_experiment("floor", artifact_location=str(folder / "floor"))
        contenders: dict[str, Callable[[int], Cost]] = {
            FLOOR: lambda _: bare_mlflow(plain, experiment_id, trials),
            SAME_STORE: lambda _: bare_mlflow(store.client.plain, store.experiment_id, trials),
            "Lepton in-process": lambda r: lepton_in_process(f"in-{r}", trials, folder),
            "Lepton, Prefect, 1 worker": lambda r: lepton_through_prefect(
                f"prefect-{r}", trials, folder, 1
            ),
            "Lepton, Prefect, 2 workers": lambda r: lepton_through_prefect(
                f"prefect2-{r}", trials, folder, 2
            ),
        }
        try:
            import optuna_integration  # noqa: F401

            uri = store.address.tracking_uri
            contenders["Optuna, SQLite + callback"] = lambda r: optuna_with_callback(
                f"optuna-{r}", trials, folder, uri
            )
        except ImportError:
            print("Optuna is left out: pip install optuna optuna-integration[mlflow]")
        from lepton_tasks.prefect_server import loopback_server

        costs: dict[str, list[Cost]] = {label: [] for label in contenders}
        with loopback_server():
            for number in range(rounds + 1):  # the first round warms up and is not counted
                for label, contender in contenders.items():
                    cost = contender(number)
                    if number:
                        costs[label].append(cost)
    show(costs, f"{trials} trials of {PARAMS} floats, {rounds} rounds, SQLite")
    return 0


if __name__ == "__main__":
    sys.exit(main())
