"""A small population that trains and is recorded, in a process of its own that may be killed."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histories import of_kind

STEPS, INTERVAL, MEMBERS = 12, 4, 3


def train(seed: int = 0, **changes: Any) -> Any:
    """Train, or go on; the seed is that of the weights that are handed over."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    import lepton

    x, y = load_digits(return_X_y=True)
    given: dict[str, Any] = {
        "steps": STEPS,
        "interval": INTERVAL,
        "model": MLPClassifier((changes.pop("width", 8),), random_state=seed),
        "data": (x[:200] / 16, y[:200]),
        **changes,
    }
    optimizer = lepton.Optimizer(name="demo", seed=1, generation=MEMBERS)
    return optimizer.minimize(progress=False, **given)


def forked(work: Callable[[], Any], output: Path) -> int:
    """Do something in a process of its own group; returns what `subprocess` calls its code."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setsid()
            with output.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115  (pytest's are not)
            work()
            code = 0
        except BaseException:  # noqa: BLE001  (the code tells)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def curves(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Every point of the members' curves, by the members' names."""
    import sqlalchemy
    from places import place_of

    engine = sqlalchemy.create_engine(place_of(folder).database, poolclass=sqlalchemy.NullPool)
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    query = "SELECT key, step, value FROM metrics WHERE run_uuid = :run ORDER BY key, step"
    with engine.connect() as db:
        for run in of_kind(folder, "member"):
            of_run = found.setdefault(run.name, {})
            for key, step, value in db.execute(sqlalchemy.text(query), {"run": run.run_id}):
                of_run.setdefault(key, []).append((step, value))
    return found


def kept(folder: Path) -> set[str]:
    """The runs that have a checkpoint on disk."""
    found = folder.rglob("artifacts/checkpoint")
    return {place.parent.parent.name for place in found if any(place.iterdir())}


def state(folder: Path) -> dict[str, Any]:
    """All that must be as if nothing had happened."""
    from histories import assert_sound, counted, full_list

    assert_sound(folder)
    numbers = {run.run_id: int(run.tags["lepton.number"]) for run in counted(folder)}
    (parent,) = of_kind(folder, "sweep")
    numbers[parent.run_id] = -1  # the start
    return {
        "trials": full_list(folder),
        "curves": curves(folder),
        "members": sorted((run.name, run.status) for run in of_kind(folder, "member")),
        "parent": parent.status,
        "checkpoints": sorted(numbers[run_id] for run_id in kept(folder)),
        "schedule": [
            [(row["trial"], row["settings"]) for row in json.loads(file.read_text())["schedule"]]
            for file in folder.rglob("artifacts/schedule.json")
        ],
    }
