"""A whole sweep on every store, killed in its middle."""

from __future__ import annotations

import signal

from backends import on_every_store
from histories import trials

SMALL = {"budget": {"trials": 12}, "generation": 3}


@on_every_store
def test_a_sweep_killed_in_its_middle_and_resumed_is_as_if_nothing_had_happened(
    sweep_folder, drivers, assert_unharmed
):
    sweep_folder.write(**SMALL)
    killed = drivers.start(sweep_folder.path, sweep_folder.mark, env={"PAUSE": "0.2"})
    killed.await_line("sealed 1")
    killed.await_line("trial 6")
    killed.kill_group()
    assert killed.code == -signal.SIGKILL
    assert 6 < len(trials(sweep_folder.path)) < 12
    again = drivers.run(sweep_folder.path, sweep_folder.mark)
    assert_unharmed(sweep_folder, again.ending()["best"], **SMALL)
