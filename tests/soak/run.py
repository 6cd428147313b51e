"""Production for ten minutes: ``make soak``, or ``python tests/soak/run.py --help``.

A Prefect server and a process worker on loopback, and a small sweep that is deployed to run every
minute. At random moments, by a seed, SIGKILL is sent to the server, the worker or a flow run's
process; a supervisor starts the first two again. Then the sweep may finish, and its history has to
be that of a sweep that nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[1])]

from conftest import OBJECTIVE, SweepFolder  # noqa: E402  (first: it sets the environment up)
from drivers import Drivers, await_no_process, wait_until  # noqa: E402
from histories import assert_sound, counted, full_list, of_kind, trials  # noqa: E402
from production import PAUSING, VICTIMS, Production  # noqa: E402
from scheduled import FINAL  # noqa: E402

LEASE_S, BETWEEN_S, BACK_S = 10, 20.0, 4.0
FINISH_S = 1200.0


def main() -> int:
    """Soak, check, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to kill (10)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--every", type=float, help="seconds between runs, instead of a minute")
    parser.add_argument("--between", type=float, default=BETWEEN_S, help="mean seconds to a kill")
    parser.add_argument("--nightly", type=int, default=150, help="trials that a run may add")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lepton-soak-", ignore_cleanup_errors=True) as name:
        soak(Path(name), arguments)
    return 0


def soak(home: Path, arguments: argparse.Namespace) -> None:
    """Do it all in an empty folder."""
    from mlflow import MlflowClient

    migrated = home / "mlflow.db"
    MlflowClient(f"sqlite:///{migrated}").search_experiments()
    nights = 2 + int(60 * arguments.minutes / (arguments.every or 60))
    content = {
        "budget": {"trials": nights * arguments.nightly},  # beyond what the minutes allow
        "nightly": {"trials": arguments.nightly},
    }
    folder = SweepFolder(home / "sweep", migrated, OBJECTIVE)
    folder.write(**content)
    folder.let_objective_begin_with(PAUSING)
    pause = folder.path / "pause"
    pause.write_text("0.4")
    environment = {"LEPTON_LEASE_SECONDS": str(LEASE_S)}
    production = Production(home / "prefect", folder.path, folder.mark, environment)
    try:
        production.supervise()
        production.await_server()
        production.deploy(arguments.every)
        befall(production, random.Random(arguments.seed), arguments)
        before = len(counted(folder.path))
        pause.write_text("0")
        began = time.monotonic()
        told = production.finish(FINISH_S)
        print(f"the rest, from {before}: {time.monotonic() - began:.0f} s; {told['message']}")
        tell(production)
    finally:
        production.close()
    check(production, folder, home, content)


def befall(production: Production, chance: random.Random, arguments: argparse.Namespace) -> None:
    """Kill, and start again, until the time is over."""
    began = time.monotonic()
    end = began + 60 * arguments.minutes
    kill_at = began + chance.expovariate(1 / arguments.between)
    back_at: float | None = None
    while (now := time.monotonic()) < end:
        production.look_at_zombies()
        if back_at is not None and now >= back_at:
            production.supervise()
            back_at = None
        if now >= kill_at:
            victim = chance.choice(VICTIMS)
            pid = production.kill(victim, chance.choice)
            done = len(counted(production.folder))
            runs = len(production.flow_runs())
            what = "not there" if pid is None else f"pid {pid} killed"
            line = f"{now - began:6.1f} s: {victim} {what}; {done} trials, {runs} runs left"
            print(line, flush=True)
            kill_at = now + chance.expovariate(1 / arguments.between)
            back_at = now + chance.uniform(0, 2 * BACK_S) if back_at is None else back_at
        time.sleep(0.2)


def tell(production: Production) -> None:
    """Print what was done, and what Prefect shows at the end."""
    production.look_at_zombies(0.0)
    print("killed:", dict(Counter(who for who, _ in production.killed)))
    shown = production.shown()
    print("flow runs by Prefect:", dict(Counter(run["state_name"] for run in shown)))
    after = sorted(z.seconds for z in production.zombies.values() if z.told)
    if after:
        print(f"killed runs shown as ended after {after[0]:.0f} to {after[-1]:.0f} s: {len(after)}")
    alive = set(production.flow_runs().values())
    for run in shown:
        if run["state_type"] not in FINAL:
            lives = "under way" if run["id"] in alive else "without a process"
            killed = production.zombies.get(run["id"])
            since = f", {killed.seconds:.0f} s after its kill" if killed else ""
            print(f"{run['id']}: {run['state_name']} since {run['start_time']}, {lives}{since}")


def check(
    production: Production, folder: SweepFolder, home: Path, content: dict[str, object]
) -> None:
    """Fail unless all is as if nothing had happened."""
    await_no_process(folder.mark)
    assert_sound(folder.path)
    production.assert_drove_one_at_a_time()
    other = SweepFolder(home / "another", home / "mlflow.db", OBJECTIVE)
    other.write(**content)
    (home / "forks" / "mlruns").mkdir(parents=True)
    shutil.copy(home / "mlflow.db", home / "forks" / "mlruns" / "mlflow.db")
    with closing(Drivers(home / "forks")) as drivers:
        undisturbed = drivers.start(other.path, in_process=True)
        wait_until(lambda: undisturbed.poll() is not None, "the undisturbed sweep", FINISH_S)
        best = undisturbed.ending()["best"]
        assert drivers.run(folder.path, in_process=True).ending()["best"] == best
    assert full_list(folder.path) == full_list(other.path), "another history"
    (parent,) = of_kind(folder.path, "sweep")
    assert parent.status == "FINISHED", parent.status
    command = [sys.executable, "-m", "lepton", "verify", "demo"]
    subprocess.run(command, cwd=folder.path, check=True)
    attempts = len(trials(folder.path))
    epochs = len({run.tags["lepton.epoch"] for run in trials(folder.path)})
    print(
        f"one history, as if undisturbed: {len(counted(folder.path))} trials by {epochs} drivers, "
        f"{attempts} attempts; the best is {best['value']!r}"
    )


if __name__ == "__main__":
    sys.exit(main())
