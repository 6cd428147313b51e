"""A sweep's history straight from the tables of its store, past all of Lepton's own code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from places import place_of


@dataclass(frozen=True)
class Run:
    """One MLflow run as stored."""

    run_id: str
    name: str
    status: str
    experiment: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    history: dict[str, list[float]]

    @property
    def place(self) -> tuple[int, int]:
        return int(self.tags["lepton.generation"]), int(self.tags["lepton.slot"])


def all_runs(folder: Path) -> list[Run]:
    """Every run of the store that a folder's sweeps are in, oldest first."""
    engine = sqlalchemy.create_engine(place_of(folder).database, poolclass=sqlalchemy.NullPool)
    with engine.connect() as db:

        def rows(query: str) -> Iterator[Any]:
            return iter(db.execute(sqlalchemy.text(query)))

        tags: dict[str, dict[str, str]] = {}
        params: dict[str, dict[str, str]] = {}
        history: dict[str, dict[str, list[float]]] = {}
        for run, key, value in rows("SELECT run_uuid, key, value FROM tags"):
            tags.setdefault(run, {})[key] = value
        for run, key, value in rows("SELECT run_uuid, key, value FROM params"):
            params.setdefault(run, {})[key] = value
        for run, key, value, nan in rows(
            "SELECT run_uuid, key, value, is_nan FROM metrics ORDER BY step, timestamp"
        ):
            number = float("nan") if nan else value
            history.setdefault(run, {}).setdefault(key, []).append(number)
        runs = list(
            rows(
                "SELECT r.run_uuid, r.name, r.status, e.name FROM runs r "
                "JOIN experiments e ON e.experiment_id = r.experiment_id "
                "ORDER BY r.start_time, r.run_uuid"
            )
        )
    return [
        Run(
            run_id,
            name,
            status,
            experiment,
            tags.get(run_id, {}),
            params.get(run_id, {}),
            {key: values[-1] for key, values in history.get(run_id, {}).items()},
            history.get(run_id, {}),
        )
        for run_id, name, status, experiment in runs
    ]


def of_kind(folder: Path, kind: str) -> list[Run]:
    return [run for run in all_runs(folder) if run.tags.get("lepton.kind") == kind]


def trials(folder: Path) -> list[Run]:
    return of_kind(folder, "trial")


def counted(folder: Path) -> list[Run]:
    """The attempts that are not KILLED, in the order of generations and slots."""
    found = [run for run in trials(folder) if run.status != "KILLED"]
    return sorted(found, key=lambda run: run.place)


Row = tuple[int, int, tuple[tuple[str, str], ...], str, str, str, dict[str, float]]


def full_list(folder: Path) -> list[Row]:
    """(generation, slot, params, proposer) and all that was decided, and what came of it."""
    return [
        (
            *run.place,
            tuple(sorted(run.params.items())),
            run.tags["lepton.proposer"],
            run.tags["lepton.proposal"],
            run.status,
            run.metrics,
        )
        for run in counted(folder)
    ]


def assert_sound(folder: Path) -> None:
    """Every slot has exactly one attempt that is not KILLED, and there are no loose ends."""
    assert_no_loose_ends(folder)
    missing = {run.place for run in trials(folder)} - {run.place for run in counted(folder)}
    assert missing == set(), "a slot has no counted attempt"


def assert_no_loose_ends(folder: Path) -> None:
    """No slot has two attempts that are not KILLED; nothing runs; orphans say why."""
    per_slot = Counter(run.place for run in counted(folder))
    assert set(per_slot.values()) <= {1}, per_slot
    unfinished = [r for r in all_runs(folder) if r.status in ("RUNNING", "SCHEDULED")]
    assert not unfinished, unfinished
    for run in trials(folder):
        assert (run.status == "KILLED") == bool(run.tags.get("lepton.killed")), run
        if run.status == "KILLED":
            kind = run.tags["lepton.killed"].partition(":")[0]
            assert kind in ("orphaned", "died", "cancelled"), run.tags["lepton.killed"]
