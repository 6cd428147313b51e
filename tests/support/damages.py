"""What other people's hands do to a sweep's record: SQL on the SQLite store, past all our code.

The tables speak of a finished sweep named demo: 12 trials in three generations of four.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

TRIAL = "(select run_uuid from runs where name = 'gen01-02')"
PARENT = "(select run_uuid from runs where name = 'demo' and experiment_id = 1 and user_id != 'me')"
LEDGER = "(select run_uuid from runs where name = 'demo' and experiment_id = 2 and user_id != 'me')"
REGISTER = "(select run_uuid from runs where name = 'register of sweeps')"


def sql(*statements: str) -> None:
    """Change the store's database behind everybody's back."""
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0, statement


def ask(question: str):
    with closing(sqlite3.connect("mlruns/mlflow.db")) as db:
        return db.execute(question).fetchall()


def new_run(run_id: str, experiment: int = 1) -> str:
    """What adds a run of somebody else's."""
    columns = "run_uuid, name, status, lifecycle_stage, experiment_id, artifact_uri, user_id"
    values = f"'{run_id}', 'demo', 'FINISHED', 'active', {experiment}, '', 'me'"
    return f"insert into runs ({columns}, start_time) values ({values}, 1)"


def new_tag(key: str, value: str) -> str:
    """What adds a tag to a trial's run."""
    return (
        f"insert into tags select '{key}', '{value}', run_uuid from runs where run_uuid = {TRIAL}"
    )


def purge(run: str) -> tuple[str, ...]:
    """What takes a run out of the database for good."""
    run_id = ask(f"select {run}")[0][0]
    tables = ("latest_metrics", "metrics", "params", "tags")
    there = [t for t in tables if ask(f"select 1 from {t} where run_uuid = '{run_id}'")]
    return tuple(f"delete from {table} where run_uuid = '{run_id}'" for table in [*there, "runs"])


EDITED = {
    "a metric was edited": (
        [f"update latest_metrics set value = 9 where key = 'loss' and run_uuid = {TRIAL}"],
        "metric loss",
    ),
    "a metric was put where its curve does not reach": (
        [
            (
                "update latest_metrics set value = 9, step = 1000, timestamp = 99999999999999 "
                f"where key = 'loss' and run_uuid = {TRIAL}"
            )
        ],
        "metric loss",
    ),
    "a metric was put at the end of time": (
        [
            (
                "update latest_metrics set value = 9, timestamp = 9223372036854775807 "
                f"where key = 'loss' and run_uuid = {TRIAL}"
            )
        ],
        "metric loss",
    ),
    "a metric was deleted": (
        [
            f"delete from latest_metrics where key = 'loss' and run_uuid = {TRIAL}",
            f"delete from metrics where key = 'loss' and run_uuid = {TRIAL}",
        ],
        "metric loss",
    ),
    "a metric became NaN": (
        [f"update latest_metrics set is_nan = 1, value = 0 where run_uuid = {TRIAL}"],
        "metric loss",
    ),
    "a param was deleted": (
        [f"delete from params where key = 'x' and run_uuid = {TRIAL}"],
        "param x",
    ),
    "a tag was edited": (
        [f"update tags set value = 'ga' where key = 'lepton.proposer' and run_uuid = {TRIAL}"],
        "tag lepton.proposer",
    ),
    "the seed was removed": (
        [f"delete from tags where key = 'lepton.seed' and run_uuid = {TRIAL}"],
        "tag lepton.seed",
    ),
    "the base was edited": (
        [f"update tags set value = 'x' where key = 'lepton.base' and run_uuid = {TRIAL}"],
        "tag lepton.base",
    ),
    "the epoch is garbage": (
        [f"update tags set value = '-1' where key = 'lepton.epoch' and run_uuid = {TRIAL}"],
        "tag lepton.epoch",
    ),
    "every tag is gone": (
        [f"delete from tags where key like 'lepton.%' and run_uuid = {TRIAL}"],
        "tag lepton.kind",
    ),
    "the run was taken out of its parent": (
        [f"delete from tags where key = 'mlflow.parentRunId' and run_uuid = {TRIAL}"],
        "tag mlflow.parentRunId",
    ),
    "the proposal was edited": (
        [
            (
                "update tags set value = replace(value, '\"slot\":2', '\"slot\":3') "
                f"where key = 'lepton.proposal' and run_uuid = {TRIAL}"
            )
        ],
        "tag lepton.proposal",
    ),
    "a piece was added to the proposal": (
        [new_tag("lepton.proposal.1", "x")],
        "tag lepton.proposal",
    ),
    "the result is a text without end": (
        [
            (
                "update tags set value = replace(hex(zeroblob(3000)), '00', '[') "
                f"where key = 'lepton.result' and run_uuid = {TRIAL}"
            )
        ],
        "tag lepton.result",
    ),
    "the result is a text of which each character takes six": (
        [
            (
                "update tags set value = replace(hex(zeroblob(3000)), '00', char(1)) "
                f"where key = 'lepton.result' and run_uuid = {TRIAL}"
            )
        ],
        "tag lepton.result",
    ),
    "the run was marked killed": (
        [
            new_tag("lepton.killed", "no"),
            f"update runs set status = 'KILLED' where run_uuid = {TRIAL}",
        ],
        "tag lepton.killed",
    ),
    "the run says a later schema": (
        [new_tag("lepton.schema", "2")],
        "tag lepton.schema",
    ),
    "the status was edited": (
        [f"update runs set status = 'RUNNING' where run_uuid = {TRIAL}"],
        "status",
    ),
    "the run was deleted": (
        [f"update runs set lifecycle_stage = 'deleted' where run_uuid = {TRIAL}"],
        "its run",
    ),
    "the run was deleted and edited": (
        [
            f"delete from tags where key = 'lepton.seed' and run_uuid = {TRIAL}",
            f"update runs set lifecycle_stage = 'deleted' where run_uuid = {TRIAL}",
        ],
        "its run",
    ),
    "a stranger has a trial's tags": (
        [
            new_run("bad"),
            f"insert into tags select key, value, 'bad' from tags where run_uuid = {TRIAL}",
        ],
        "run bad of generation 1",
    ),
    "a stranger has a place that is none": (
        [
            new_run("bad"),
            f"insert into tags select key, value, 'bad' from tags where run_uuid = {TRIAL}",
            "update tags set value = '²' where key = 'lepton.generation' and run_uuid = 'bad'",
        ],
        "run bad",
    ),
    "a stranger is of a driver that never was": (
        [
            new_run("bad"),
            f"insert into tags select key, value, 'bad' from tags where run_uuid = {TRIAL}",
            "update tags set value = '3' where key = 'lepton.generation' and run_uuid = 'bad'",
            "update tags set value = '7' where key = 'lepton.epoch' and run_uuid = 'bad'",
        ],
        "run bad of generation 3",
    ),
    "a stranger is in the open generation": (
        [
            new_run("bad"),
            f"insert into tags select key, value, 'bad' from tags where run_uuid = {TRIAL}",
            "update tags set value = '3' where key = 'lepton.generation' and run_uuid = 'bad'",
        ],
        "run bad of generation 3",
    ),
    "a stranger is of a generation to come": (
        [
            new_run("bad"),
            f"insert into tags select key, value, 'bad' from tags where run_uuid = {TRIAL}",
            "update tags set value = '7' where key = 'lepton.generation' and run_uuid = 'bad'",
        ],
        "run bad of generation 7",
    ),
    "the parent run's tag was removed": (
        [f"delete from tags where key = 'lepton.ledger' and run_uuid = {PARENT}"],
        "tag lepton.ledger of the parent run",
    ),
    "the parent run's declaration was edited": (
        [
            (
                "update tags set value = replace(value, 'loss', 'los') "
                f"where key = 'lepton.declaration' and run_uuid = {PARENT}"
            )
        ],
        "tag lepton.declaration of the parent run",
    ),
    "the parent run's best was edited": (
        [f"update latest_metrics set value = -9 where key = 'best_loss' and run_uuid = {PARENT}"],
        "metric best_loss of the parent run",
    ),
    "the ledger run's tag was edited": (
        [f"update tags set value = 'other' where key = 'lepton.sweep' and run_uuid = {LEDGER}"],
        "tag lepton.sweep of the ledger run",
    ),
    "the ledger run says that it is imported": (
        [f"insert into tags select 'lepton.origin', '{{}}', {LEDGER}"],
        "tag lepton.origin of the ledger run",
    ),
    "the register's experiment was deleted": (
        ["update experiments set lifecycle_stage = 'deleted' where name = 'lepton-register'"],
        "the experiment lepton-register",
    ),
    "the register run was deleted": (
        [f"update runs set lifecycle_stage = 'deleted' where run_uuid = {REGISTER}"],
        "the register run",
    ),
}


HOSTILE = (
    "",
    "null",
    "-1",
    "NaN",
    "[" * 7000,
    "9" * 5000,
    '{"epoch": {}, "schema": "x", "budget": [], "trials": 1e999}',
    '{"schema": 2}',
    "../../etc/passwd",
    "\x1b[2J\x07<script>\u202e",
    "!!python/object/apply:os.system [true]",
)
