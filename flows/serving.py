"""Runs a deployment's nights in the foreground, until somebody ends it: for a single machine.

Polling and starting are Prefect's `Runner`'s; what is added is an end that leaves nothing behind,
and a beginning anew where the runner gave a server up that was away for some minutes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_flows.outage import outage
from lepton_tasks.parent_watch import SERVE_LOCK, SERVED_BY
from lepton_tasks.serve_lock import tell_to_stop

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 5.0
LATE_SECONDS = 10.0  # a night's end takes some; Prefect tries for minutes where its server is away


def serve(
    made: RunnerDeployment, lock: Path, *, is_up: Callable[[], bool], say: Callable[[str], None]
) -> bool:
    """Run the deployment's nights at their times until Ctrl-C, SIGTERM, or its server's end.

    At the end the night under way is stopped as by a cancellation, and the schedule is paused: it
    goes on when it is served again. A server that is not ours and does not answer is waited for.

    Args:
        made: The deployment, already known to the server.
        lock: The file of `lepton_tasks.serve_lock`, which this process holds.
        is_up: Whether the Prefect server still runs, if it is ours.
        say: Told what happens.

    Returns:
        Whether it was asked to end; False: the server ended.

    Raises:
        prefect.exceptions.PrefectHTTPStatusError: The server refuses what a runner asks.
    """
    from prefect.runner import Runner  # noqa: PLC0415  (costs a second)

    os.environ.update({SERVED_BY: str(os.getpid()), SERVE_LOCK: str(lock)})
    lost = False
    while is_up():
        try:
            runner = Runner(name=made.name, pause_on_shutdown=True)
            runner.add_deployment(made)
            if lost:
                say("serving again")
            lost = False
            if asyncio.run(_Serving(runner, lock, say).until_told(is_up)):
                return True
        except Exception as error:  # noqa: BLE001  (what is no outage is raised again)
            why = outage(error)
            if is_up() and not lost:
                say(f"warning: the Prefect server does not answer ({why}); it is waited for")
            lost = True
        if is_up():
            time.sleep(AGAIN_SECONDS)
    return False


class _Serving:
    """One runner's life.

    Args:
        runner: The runner, which knows its deployment.
        lock: Where its nights are told to stop.
        say: Told what happens.
    """

    def __init__(self, runner: Runner, lock: Path, say: Callable[[str], None]) -> None:
        self._runner, self._lock, self._say = runner, lock, say
        self._asked = False

    async def until_told(self, is_up: Callable[[], bool]) -> bool:
        """Run it until a signal asks for an end, or the server ended; whether it was asked."""
        runner = self._runner
        self._running = asyncio.create_task(runner.start())
        await asyncio.sleep(0)  # it takes SIGTERM, which is to be ours
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._ask)
        # One that is only starting cannot be stopped.
        while is_up() and not (self._asked and runner.started) and not self._running.done():
            await asyncio.wait({self._running}, timeout=LOOK_SECONDS)
        if not is_up():
            self._give_up()
        elif not self._running.done():
            self._stopping = asyncio.create_task(runner.astop())
        _, late = await asyncio.wait({self._running}, timeout=LATE_SECONDS)
        if late and is_up():
            self._say("still stopping; Ctrl-C again ends it at once, and leaves the schedule on")
        await asyncio.wait({self._running})
        try:
            if not self._running.cancelled():
                self._running.result()
        except Exception as error:
            if not self._asked:
                raise
            self._say(f"warning: the schedule may not be paused: {outage(error)}")
        return self._asked

    def _ask(self) -> None:
        if self._asked:
            self._say("ended at once; the schedule is still on, and nobody serves it")
            self._give_up()
        else:
            self._say("stopping: a night under way is stopped, and goes on with the next")
            tell_to_stop(self._lock)
        self._asked = True

    def _give_up(self) -> None:
        """End without the server, which would be told for minutes where it is away."""
        self._runner.pause_on_shutdown = False
        self._running.cancel()
