"""``lepton deploy`` and ``lepton serve``: nights by schedule."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.cli.output import console, print_json
from lepton_core.declaration import Budget
from lepton_core.night import night_of

if TYPE_CHECKING:
    from datetime import datetime

    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule
    from rich.console import Console

    from lepton_tasks.sweep_yaml import SweepSource

LOG_LEVEL = "PREFECT_LOGGING_LEVEL"
TIME = "%a %Y-%m-%d %H:%M %Z"


def deploy(arguments: argparse.Namespace) -> int:
    """Have Prefect's workers add a night to a sweep at each time of a schedule."""
    source, schedule, next_run = _checked(arguments)
    from lepton_flows import scheduled  # noqa: PLC0415

    out = console(stderr=arguments.json)
    with scheduled.answering() as client:
        scheduled.check_pool(client, arguments.pool)
        made = scheduled.deployment(
            source,
            schedule,
            pool=arguments.pool,
            workers=arguments.workers,
            say=partial(_warn, out),
        )
        known = scheduled.known_as(client, made)
        _warn_of_replaced(known, made, out)
        deployment_id = scheduled.apply(made)
        page = scheduled.ui_page(client, deployment_id)
    told = {
        **_told(arguments, source, str(deployment_id), page, next_run),
        "pool": arguments.pool,
        "updated": known is not None,
    }
    if arguments.json:
        print_json(told)
        return 0
    verb = "updated" if known else "deployed"
    lines = {
        verb: f"{told['deployment']}, {arguments.cron!r} {arguments.timezone}",
        "next run": f"{next_run:{TIME}}",
        "history": told["store"],
        "page": page,
        "worker": f"prefect worker start --pool {arguments.pool}",
        "run now": f"prefect deployment run {told['deployment']}",
    }
    for label, text in lines.items():
        out.print(f"{label + ':':10}{text}", soft_wrap=True)
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Add a night to a sweep at each time of a schedule, here, until Ctrl-C."""
    if os.environ.get(LOG_LEVEL) == "CRITICAL":  # as Lepton sets it, for other commands
        os.environ[LOG_LEVEL] = "INFO"  # before Prefect is loaded, which reads it once
    source, schedule, next_run = _checked(arguments)
    from lepton_flows import scheduled  # noqa: PLC0415
    from lepton_flows.serving import serve as serve_nights  # noqa: PLC0415
    from lepton_tasks.serve_lock import served_alone  # noqa: PLC0415

    out = console(stderr=arguments.json)
    with (
        served_alone(source.name, *_prefect()) as lock,
        _server(arguments.port) as is_up,
        scheduled.answering() as client,
    ):
        made = scheduled.deployment(source, schedule, pool=None, workers=arguments.workers)
        known = scheduled.known_as(client, made)
        scheduled.check_not_pooled(known)
        _warn_of_replaced(known, made, out)
        deployment_id = scheduled.apply(made)
        page = scheduled.ui_page(client, deployment_id)
        scheduled.tidy(client, deployment_id, source.name)
        told = _told(arguments, source, str(deployment_id), page, next_run)
        if arguments.json:
            print_json(told)
        else:
            when = f"{arguments.cron!r} {arguments.timezone}"
            out.print(f"serving {told['deployment']}, {when}", soft_wrap=True)
            out.print(f"next run {next_run:{TIME}}", soft_wrap=True)
            out.print(f"history in {told['store']}\nPrefect UI: {page}", soft_wrap=True)
            out.print("Ctrl-C ends it; served again, it goes on")
        asked = serve_nights(
            made, lock, is_up=is_up, say=lambda text: out.print(text, soft_wrap=True)
        )
    if not asked:
        raise scheduled.PrefectError(
            "the Prefect server that this command had started has ended; the same command goes on"
        )
    return 0


def _prefect() -> tuple[Path, str | None]:
    """Where Prefect keeps its own things, and the API that is configured."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME  # noqa: PLC0415

    return Path(PREFECT_HOME.value()), PREFECT_API_URL.value()


def _warn(out: Console, text: str) -> None:
    out.print(text, style="yellow", soft_wrap=True)


def _warn_of_replaced(
    known: DeploymentResponse | None, made: RunnerDeployment, out: Console
) -> None:
    from lepton_flows.scheduled import replaced  # noqa: PLC0415

    told = replaced(known, made) if known else ""
    if told:
        _warn(out, f"warning: there was a deployment of this name already; {told}")


@contextmanager
def _server(port: int) -> Iterator[Callable[[], bool]]:
    """The Prefect server that is configured, or one of our own while the body runs."""
    from lepton_tasks.prefect_server import is_configured, scheduling_server  # noqa: PLC0415

    if is_configured():
        yield lambda: True
        return
    from lepton.cli.serving import free_port  # noqa: PLC0415

    with scheduling_server(free_port(port)) as is_up:
        yield is_up


def _checked(arguments: argparse.Namespace) -> tuple[SweepSource, Schedule, datetime]:
    """The sweep file, the schedule and its first time, if they are usable.

    Raises:
        InputError: One of them is not.
    """
    from lepton_tasks.sweep_yaml import read  # noqa: PLC0415

    source = read(Path(arguments.file))
    night_of(source.parse()[1], Budget())
    from lepton_flows.scheduled import parse_schedule  # noqa: PLC0415

    return (source, *parse_schedule(arguments.cron, arguments.timezone))


def _told(
    arguments: argparse.Namespace,
    source: SweepSource,
    deployment_id: str,
    page: str,
    next_run: datetime,
) -> dict[str, Any]:
    from lepton_flows.scheduled import FLOW  # noqa: PLC0415
    from lepton_tasks.store import address  # noqa: PLC0415

    where = address()
    return {
        "name": source.name,
        "deployment": f"{FLOW}/{source.name}",
        "deployment_id": deployment_id,
        "cron": arguments.cron,
        "timezone": arguments.timezone,
        "next_run": next_run.isoformat(),
        "url": page,
        "store": str(where.database or where.place),
    }
