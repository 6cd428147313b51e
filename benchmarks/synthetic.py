"""Long histories in seconds: what a driver would have recorded, written to SQLite in bulk.

The search, the seals and the trials' records are made by Lepton's own functions; only the way into
the tables is shorter. A trial's loss is that of a bowl with ripples, and one in twenty fails.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Declaration
from lepton_core.events import Failure, GenerationSealed, Proposal, SweepDeclared, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_tasks import records, register, write_points
from lepton_tasks.environment import environment
from lepton_tasks.host import this_process
from lepton_tasks.records import Claim
from lepton_tasks.seals import Seals, seal_key, seal_texts
from lepton_tasks.snapshots import Keeper, snapshot_key
from lepton_tasks.store import Store
from lepton_tasks.sweep_record import PARENT
from lepton_tasks.sweep_yaml import SweepSource

EPOCH = 1
FAILS = 20
CHUNK = 500  # generations between two commits


def write_history(
    store: Store, source: SweepSource, trials: int, *, runs: bool, nights: int = 1
) -> None:
    """Record a sweep of so many trials, whose drivers left cleanly.

    Args:
        store: The embedded store.
        source: What declares the sweep.
        trials: How many; a multiple of the generation.
        runs: Whether every trial has its MLflow run too, or its seal alone.
        nights: How many drivers there were, one after the other, each for as many trials.
    """
    declaration, settings = source.parse()
    entry = register.enter(store, declaration)
    parent = store.client.create_run(
        write_points.PARENT_RUN,
        store.experiment_id,
        run_name=declaration.name,
        tags={
            records.KIND: "sweep",
            records.SWEEP: declaration.name,
            records.LEDGER: entry.ledger,
            **records.declaration_tags(declaration),
        },
    ).info.run_id
    store.client.set_terminated(write_points.PARENT_ENDED, parent, "KILLED")
    generations = trials // declaration.generation
    first: dict[str, str] = {PARENT: str(parent)}
    for night in range(nights):
        claim = Claim(
            epoch=EPOCH + night,
            owner="0" * 32,
            process=this_process(),
            ttl_s=30.0,
            from_generation=-(-generations * night // nights),
            claimed_at="",
            environment={} if nights == 1 else environment(),
        )
        first[records.epoch_key(claim.epoch)] = claim.text()
        first[records.settings_key(claim.epoch)] = canonical_json(settings.to_record())
        first[records.released_key(claim.epoch)] = claim.owner
        if nights > 1:
            heartbeat = f"{records.HEARTBEAT}.{claim.epoch:06d}"
            store.client.set_tag(write_points.HEARTBEAT, entry.ledger, heartbeat, "60")
    database = store.address.database
    assert database is not None
    with closing(sqlite3.connect(database)) as db:
        _insert_params(db, entry.ledger, first)
        for event, base, params in _generations(declaration, entry.digest, trials, nights):
            _insert_params(db, entry.ledger, params)
            if runs:
                epoch = _epoch(event.generation, generations, nights)
                _insert_runs(db, store, declaration, str(parent), event, base, epoch)
            if event.generation % CHUNK == 0:
                db.commit()
        db.commit()


def _epoch(generation: int, generations: int, nights: int) -> int:
    """The driver of a generation: the last that had begun by then."""
    return EPOCH + generation * nights // generations


def loss(proposal: Proposal) -> float:
    """A bowl with ripples."""
    values = [float(v) for v in proposal.params.values() if isinstance(v, float)]
    return sum((v - 0.3) ** 2 + 0.05 * (1 - math.cos(40 * (v - 0.3))) for v in values)


def _generations(
    declaration: Declaration, start: str, trials: int, nights: int
) -> Iterator[tuple[GenerationSealed, str, dict[str, str]]]:
    """Each generation, the hash that it was proposed from, and its seal as params."""
    state, head = replay([SweepDeclared(declaration=declaration)]), start
    keeper = Keeper({}, Seals({}, declaration, start))
    generations = trials // declaration.generation
    for generation in range(generations):
        epoch = _epoch(generation, generations, nights)
        event = GenerationSealed(
            generation=generation,
            trials=tuple(_finished(p) for p in plan(state, declaration.generation)),
            driven_s=generation + 1.0,
        )
        state = evolve(state, event)
        ids = {t.proposal.slot: run_id(declaration, t.proposal) for t in event.trials}
        parts, header, chained = seal_texts(event, declaration, ids, epoch=epoch, previous=head)
        params = _registers(seal_key(generation, epoch), parts, header)
        kept = keeper.sealed(state, chained, sum(map(len, parts)))
        if kept:
            params |= _registers(snapshot_key(state.generations_done, epoch), *kept)
        yield event, head, params
        head = chained


def _registers(key: str, parts: list[str], header: str) -> dict[str, str]:
    return {**{f"{key}/{n:04d}": part for n, part in enumerate(parts)}, key: header}


def _finished(proposal: Proposal) -> TrialRecord:
    if proposal.number % FAILS == FAILS - 1:
        failure = Failure(kind="exception", reason="ValueError: one in twenty fails")
        return TrialRecord(proposal=proposal, failure=failure, duration_s=0.25)
    return TrialRecord(proposal=proposal, value=loss(proposal), duration_s=0.25)


def run_id(declaration: Declaration, proposal: Proposal) -> str:
    """The id of a trial's run, as MLflow would make one."""
    return hashlib.md5(f"{declaration.name} {proposal.number}".encode()).hexdigest()  # noqa: S324


def _insert_params(db: sqlite3.Connection, run: str, params: dict[str, str]) -> None:
    rows = [(key, value, run) for key, value in params.items()]
    db.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)


def _insert_runs(
    db: sqlite3.Connection,
    store: Store,
    declaration: Declaration,
    parent: str,
    event: GenerationSealed,
    base: str,
    epoch: int,
) -> None:
    folder = Path(store.address.artifacts_of(store.address.experiment) or "")
    for trial in event.trials:
        proposal = trial.proposal
        run, at = run_id(declaration, proposal), 1_700_000_000_000 + 250 * proposal.number
        name = f"gen{proposal.generation:02d}-{proposal.slot:02d}"
        row: tuple[Any, ...] = (
            *(run, name, "UNKNOWN", "", "", "unknown"),
            *("FAILED" if trial.failure else "FINISHED", at, at + 250, "", "active"),
            *(str(folder / run / "artifacts"), int(store.experiment_id)),
        )
        db.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, "
            "user_id, status, start_time, end_time, source_version, lifecycle_stage, "
            "artifact_uri, experiment_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        tags = {
            "mlflow.runName": name,
            **records.trial_tags(
                proposal,
                trial.attempt,
                sweep=declaration.name,
                parent=parent,
                epoch=epoch,
                base=base,
            ),
            **records.proposal_tags(proposal),
            records.RESULT: records.outcome_text(trial, epoch),
        }
        db.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
            [(key, value, run) for key, value in tags.items()],
        )
        _insert_params(db, run, declaration.space.to_strings(proposal.params))
        if trial.value is not None:
            metric = (declaration.metric, trial.value, at + 250, 0, 0, run)
            for table in ("metrics", "latest_metrics"):
                db.execute(
                    f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) "  # noqa: S608
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    metric,
                )
