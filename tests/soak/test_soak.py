"""A deployment in production for a moment: each of its processes is killed once, as by chance."""

from __future__ import annotations

import pytest
from aftermath import assert_as_if_nothing_had_happened
from drivers import wait_until
from histories import counted, of_kind, trials
from production import PAUSING, RUN, SERVER, VICTIMS, WORKER, Production

from lepton.cli import main

NIGHTLY = {"trials": 1000}


def drivers_of(folder):
    return {line.split()[0] for line in (folder / "calls.txt").read_text().splitlines()}


@pytest.fixture
def production(sweep_folder, tmp_path):
    environment = {"LEPTON_LEASE_SECONDS": "10"}
    found = Production(tmp_path / "prefect", sweep_folder.path, sweep_folder.mark, environment)
    yield found
    found.close()


@pytest.mark.timeout(900)  # its own deadlines are by progress
def test_killed_one_after_the_other_all_end_with_one_uninterrupted_history(
    production, sweep_folder, undisturbed, drivers
):
    pause = sweep_folder.path / "pause"
    pause.write_text("0.3")
    sweep_folder.write(nightly=NIGHTLY, budget={"trials": 40})
    sweep_folder.let_objective_begin_with(PAUSING)

    def done():
        return len(counted(sweep_folder.path))

    def goes_on(by):
        seen, runs = done(), len(trials(sweep_folder.path))
        wait_until(lambda: done() >= min(seen + by, 40), f"trials after {seen} ({runs} runs)")

    production.supervise()
    production.await_server()
    production.deploy(every=10)
    goes_on(2)
    (driver,) = drivers_of(sweep_folder.path)
    assert production.kill(WORKER)
    goes_on(8)
    assert drivers_of(sweep_folder.path) == {driver}, "the night outlives the worker"
    production.supervise()
    pause.write_text("100")  # so that it cannot come to its end just now
    assert production.kill(RUN)
    pause.write_text("0.3")
    goes_on(4)
    assert production.kill(SERVER)
    goes_on(2)
    production.supervise()
    production.await_server()
    pause.write_text("0")
    wait_until(lambda: of_kind(sweep_folder.path, "sweep")[0].status == "FINISHED", "the end")
    production.close()
    assert {who for who, _ in production.killed} == set(VICTIMS)
    production.assert_drove_one_at_a_time()
    best = drivers.run(sweep_folder.path, in_process=True).ending()["best"]
    assert_as_if_nothing_had_happened(sweep_folder, undisturbed, best, budget={"trials": 40})
    assert main(["verify", "demo"]) == 0
