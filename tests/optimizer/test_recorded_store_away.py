"""A recorded Optimizer whose store fails in the middle: the same object goes on when it is back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

import lepton
from lepton_core.errors import StoreUnreachableError
from lepton_core.verification import proposal_text
from lepton_tasks.sweep_record import open_record

pytestmark = pytest.mark.usefixtures("sweep_folder")
SPACE = {"x": lepton.Float(0, 1), "n": lepton.Int(1, 9)}
WRITES = [
    (table, write)
    for table in ("runs", "tags", "params", "metrics", "latest_metrics")
    for write in ("INSERT", "UPDATE")
]


def loss(trial):
    return (trial["x"] - 0.3) ** 2 + trial["n"]


def recorded():
    return lepton.Optimizer(SPACE, name="demo", generation=4, seed=3)


def proposals(optimizer):
    return [proposal_text(t.proposal) for t in optimizer._at.trials()]


def in_the_database(statements):
    with closing(sqlite3.connect("mlruns/mlflow.db", timeout=30)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def refuse_writes():
    """As a disk does that was remounted read-only, for root too."""
    refuse = "BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
    in_the_database(
        f"CREATE TRIGGER away_{table}_{write} BEFORE {write} ON {table} {refuse}"
        for table, write in WRITES
    )


def accept_writes():
    in_the_database(f"DROP TRIGGER away_{table}_{write}" for table, write in WRITES)


def refuse_run(name):
    refuse = "BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
    trials = "(SELECT experiment_id FROM experiments WHERE name = 'lepton')"
    new = f"WHEN NEW.name = '{name}' AND NEW.experiment_id = {trials}"
    in_the_database([f"CREATE TRIGGER away BEFORE INSERT ON runs {new} {refuse}"])


@contextmanager
def store_away() -> Iterator[None]:
    refuse_writes()
    yield
    accept_writes()


def counted():
    found = open_record("demo").attempts()
    return sorted(a.proposal.number for a in found if a.status == "FINISHED")


def verified():
    from lepton.cli import main

    return main(["verify", "demo", "--json"])


def test_asked_and_told_it_goes_on_when_the_store_is_back():
    found = recorded()
    first, second = found.ask(2)
    found.tell(first, loss(first))
    with store_away():
        with pytest.raises(StoreUnreachableError, match="the right to write"):
            found.tell(second, loss(second))
        with pytest.raises(StoreUnreachableError, match="the right to write"):
            found.ask()
    assert found.untold == [second]
    found.tell(second, loss(second))
    for trial in found.ask(2):
        found.tell(trial, loss(trial))
    in_memory = lepton.Optimizer(SPACE, generation=4, seed=3).minimize(loss, trials=8)
    assert proposals(found.minimize(loss, trials=8)) == proposals(in_memory)
    assert counted() == list(range(8))
    assert verified() == 0


def test_minimize_called_again_goes_on_when_the_store_is_back():
    def objective(trial):
        if trial.number == 2:
            refuse_writes()
        return loss(trial)

    found = recorded()
    with pytest.raises(StoreUnreachableError, match="the right to write"):
        found.minimize(objective, trials=8)
    accept_writes()
    in_memory = lepton.Optimizer(SPACE, generation=4, seed=3).minimize(loss, trials=8)
    assert proposals(found.minimize(loss, trials=8)) == proposals(in_memory)
    assert counted() == list(range(8))
    assert verified() == 0


def test_a_sweep_that_could_not_be_taken_up_is_taken_up_anew():
    found = recorded()
    refuse_run("demo")  # the parent's: then the sweep is registered and claimed
    with pytest.raises(StoreUnreachableError, match="the right to write"):
        found.minimize(loss, trials=4)
    in_the_database(["DROP TRIGGER away"])
    assert len(found.minimize(loss, trials=4).trials) == 4
    assert counted() == list(range(4))
    parent = open_record("demo").parent_info()
    assert (parent.run_name, parent.status) == ("demo", "FINISHED")
    assert verified() == 0


def test_trials_that_could_not_be_handed_out_are_not_waited_for():
    found = recorded()
    found.tell(found.ask()[0], 1.0)
    refuse_run("gen00-02")
    with pytest.raises(StoreUnreachableError, match="the right to write"):
        found.ask(3)
    assert found.untold == []
    in_the_database(["DROP TRIGGER away"])
    assert [trial.number for trial in found.ask(3)] == [1, 2, 3]


def test_a_process_that_goes_to_another_folder_keeps_its_store(tmp_path, monkeypatch):
    found = recorded().minimize(loss, trials=4)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert list(found.minimize(loss, trials=6).trials["number"]) == list(range(6))
    assert not (tmp_path / "elsewhere" / "mlruns").exists()
