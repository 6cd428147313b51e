"""Runs a deployment's nights in the foreground, until somebody ends it: for a single machine.

Polling and starting are Prefect's `Runner`'s; what is added is an end that leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from lepton_tasks.parent_watch import SERVED_BY

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

LOOK_SECONDS = 0.5


def serve(made: RunnerDeployment, *, is_up: Callable[[], bool], say: Callable[[str], None]) -> bool:
    """Run the deployment's nights at their times until Ctrl-C, SIGTERM, or its server's end.

    At the end the night under way is stopped as by a cancellation, and the schedule is paused: it
    goes on when it is served again.

    Args:
        made: The deployment, already known to the server.
        is_up: Whether the Prefect server still runs, if it is ours.
        say: Told what happens.

    Returns:
        Whether it was asked to end; False: the server ended.
    """
    from prefect.runner import Runner  # noqa: PLC0415  (costs a second)

    os.environ[SERVED_BY] = str(os.getpid())
    runner = Runner(name=made.name, pause_on_shutdown=True)
    runner.add_deployment(made)
    return asyncio.run(_until_told(runner, is_up, say))


async def _until_told(
    runner: Runner, is_up: Callable[[], bool], say: Callable[[str], None]
) -> bool:
    asked = asyncio.Event()
    running = asyncio.create_task(runner.start())
    await asyncio.sleep(0)  # it takes SIGTERM, which is to be ours

    def ask() -> None:
        if not asked.is_set():
            say("stopping: a night under way is stopped, and goes on with the next")
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    while not asked.is_set() and not running.done() and is_up():
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), LOOK_SECONDS)
    if not running.done():
        await runner.astop()
        await running
    return asked.is_set()
