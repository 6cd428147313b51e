"""Deployments of the flow ``lepton-nightly``: what Prefect is told of a sweep that is scheduled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from lepton_core.canonical import shown
from lepton_core.errors import InputError, LeptonError, UnknownSweepError
from lepton_tasks.installation.prefect_api import in_haste
from lepton_tasks.redaction import redacted, without_secrets

if TYPE_CHECKING:
    from datetime import datetime

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule

    from lepton_tasks.sweep_yaml import SweepSource

FLOW = "lepton-nightly"
ENTRYPOINT = "lepton_flows.nightly.nightly"
PASSED_ON = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "LEPTON_LEASE_SECONDS",
    "LEPTON_STORE_PATIENCE_SECONDS",
)
FIELDS = 5
FILE, FOLDER = "sweep_file", "working_dir"
ANSWER_SECONDS = 15.0


class PrefectError(LeptonError):
    """Prefect's server does not answer, or refuses."""


def parse_schedule(cron: str, timezone: str) -> tuple[Schedule, datetime]:
    """A cron schedule, if it is usable as one, and when it comes round next.

    Args:
        cron: Five fields: minute, hour, day of the month, month, day of the week.
        timezone: A name such as Europe/Berlin.

    Raises:
        InputError: It is not; says what is.

    Example:
        >>> schedule, next_run = parse_schedule("0 2 * * *", "Europe/Berlin")
        >>> schedule.cron, next_run.hour
        ('0 2 * * *', 2)
    """
    from prefect.schedules import Cron  # noqa: PLC0415  (costs a second)
    from prefect.server.schemas.schedules import CronSchedule  # noqa: PLC0415  (its client's has no dates)

    try:
        ZoneInfo(timezone)
    except (KeyError, OSError, ValueError):
        raise InputError(
            f"found the timezone {shown(timezone)}; expected a name such as UTC or Europe/Berlin"
        ) from None
    try:
        if len(cron.split()) != FIELDS:
            raise ValueError  # noqa: TRY301
        planned = CronSchedule(cron=cron, timezone=timezone)
    except ValueError:
        raise InputError(
            f"found {shown(cron)}; expected a cron schedule of five fields (minute, hour, day of "
            "the month, month, day of the week), such as '0 2 * * *' for every night at two"
        ) from None
    try:
        (next_run,) = asyncio.run(planned.get_dates(1))
    except ValueError:
        raise InputError(
            f"found {shown(cron)}, which never comes; expected a day that there is, such as "
            "'0 2 28 2 *' for the end of February"
        ) from None
    return Cron(cron, timezone=timezone), next_run


def check_pool(client: SyncPrefectClient, pool: str) -> None:
    """Do nothing if there is a work pool of that name whose workers start processes.

    Raises:
        InputError: There is none; says which there are and how to make one.
    """
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    make = f"make one with 'prefect work-pool create {pool} --type process'"
    try:
        found = client.read_work_pool(pool)
    except ObjectNotFound:
        known = ", ".join(sorted(one.name for one in client.read_work_pools())) or "none"
        raise InputError(
            f"Prefect has no work pool {pool!r} (there are: {known}); {make}", pool=pool
        ) from None
    if found.type != "process":
        raise InputError(
            f"the work pool {pool!r} is of type {found.type}; expected process, whose workers run "
            "where the sweep file, the objective and the store are; make another one with "
            "'prefect work-pool create NAME --type process'",
            pool=pool,
        )


def deployment(
    source: SweepSource,
    schedule: Schedule,
    *,
    pool: str | None,
    workers: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> RunnerDeployment:
    """A deployment that adds a night to the sweep at each time of the schedule.

    Its runs begin in the current directory, so that they find the same store as ``lepton run``
    does here. It has no concurrency limit: Prefect keeps who holds its slots in its server's
    memory, so a server that is killed with a run under way never lets another one begin. A run
    that finds another driver leaves at once; the lease sees to that.

    Args:
        source: The sweep, as a file.
        schedule: When.
        pool: The work pool; None for runs that the calling process serves.
        workers: How many trials at a time, instead of what the file says.
        say: Told what is not passed on.
    """
    from prefect.deployments.runner import RunnerDeployment  # noqa: PLC0415
    from prefect.types.entrypoint import EntrypointType  # noqa: PLC0415

    from lepton_flows.nightly import nightly  # noqa: PLC0415

    file = os.path.abspath(source.file or "")  # noqa: PTH100  (Path's keeps what goes up)
    variables = {FOLDER: str(Path.cwd()), "env": _environment(say)} if pool else {}
    made = RunnerDeployment.from_flow(
        nightly,
        name=source.name,
        schedule=schedule,
        paused=False,
        parameters={FILE: file, "workers": workers, "trials": None, "hours": None},
        description=f"One night of the sweep {source.name}; {file}",
        tags=["lepton"],
        work_pool_name=pool,
        job_variables=variables,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    made.entrypoint = ENTRYPOINT
    return made


def _environment(say: Callable[[str], None]) -> dict[str, str]:
    """What of this environment a run is to have, too; nothing secret, which Prefect would show."""
    found: dict[str, str] = {}
    for name in PASSED_ON:
        value = os.environ.get(name)
        if value and without_secrets(value) != value:
            say(
                f"warning: {name} holds a password, which is not passed on to Prefect; set it in "
                "the environment of the worker"
            )
        elif value:
            found[name] = value
    return found


@contextmanager
def answering() -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server that is configured, which answers.

    Raises:
        InputError: None is configured.
        PrefectError: It does not answer, or refused something in the body.
    """
    import httpx  # noqa: PLC0415  (Prefect's own client is made of it)
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.deployments.runner import DeploymentApplyError  # noqa: PLC0415
    from prefect.exceptions import PrefectHTTPStatusError  # noqa: PLC0415
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    url = PREFECT_API_URL.value()
    if not url:
        raise InputError(
            "no Prefect server is configured. Start one with 'prefect server start' and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api; for a single machine, 'lepton serve' "
            "brings its own"
        )
    try:
        with in_haste(ANSWER_SECONDS), get_client(sync_client=True) as client:
            problem = client.api_healthcheck()
        if problem is not None:
            raise problem
        with get_client(sync_client=True) as client:
            yield client
    except httpx.InvalidURL:  # its text may hold a part of a password
        raise PrefectError(
            f"PREFECT_API_URL is {without_secrets(url)}, which is no URL; "
            "expected one such as http://127.0.0.1:4200/api"
        ) from None
    except (
        httpx.HTTPError,
        PrefectHTTPStatusError,
        DeploymentApplyError,
        JSONDecodeError,
    ) as error:
        raise PrefectError(
            f"the Prefect server {without_secrets(url)} failed: {redacted(str(error)) or error!r}\n"
            "Check PREFECT_API_URL (it ends in /api), and that the server runs "
            "('prefect server start')."
        ) from None


def ui_page(client: SyncPrefectClient, deployment_id: UUID) -> str:
    """The deployment's page in the Prefect UI."""
    api = str(client.api_url).rstrip("/")
    return f"{without_secrets(api.removesuffix('/api'))}/deployments/deployment/{deployment_id}"


def apply(made: RunnerDeployment) -> UUID:
    """Tell the server of a deployment, a new one or an update; returns its id."""
    applied = made.apply()
    if not isinstance(applied, UUID):
        raise TypeError("expected to be called outside any event loop")
    return applied


def known_as(client: SyncPrefectClient, made: RunnerDeployment) -> DeploymentResponse | None:
    """The deployment of that name that the server knows already, if it does."""
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    try:
        return client.read_deployment_by_name(f"{FLOW}/{made.name}")
    except ObjectNotFound:
        return None


def replaced(before: DeploymentResponse, made: RunnerDeployment) -> str:
    """What another sweep, or the same one elsewhere, loses by an update; empty if nothing.

    A server knows a deployment by the sweep's name alone, from whatever folder it comes.
    """
    asked = [
        ("the sweep file", before.parameters.get(FILE), made.parameters[FILE]),
        ("its runs' folder", *(one.job_variables.get(FOLDER) for one in (before, made))),
    ]
    told = [f"{what} was {a}, and is {b}" for what, a, b in asked if a and b and a != b]
    return "; ".join(told)


def check_not_pooled(before: DeploymentResponse | None) -> None:
    """Do nothing if no work pool has the sweep: its workers would run what is served, elsewhere.

    Raises:
        InputError: One has.
    """
    if before is not None and before.work_pool_name:
        name = f"{FLOW}/{before.name}"
        raise InputError(
            f"sweep {before.name!r} is deployed to the work pool {before.work_pool_name!r}, whose "
            f"workers run its nights. To serve it here, first 'prefect deployment delete {name}'",
            name=before.name,
            pool=before.work_pool_name,
        )


def tidy(client: SyncPrefectClient, deployment_id: UUID, sweep: str) -> None:
    """Mark runs of a deployment that Prefect takes for running though nobody drives the sweep.

    A process that was killed together with its server leaves such runs.
    """
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415
    from prefect.states import Crashed  # noqa: PLC0415

    if _is_driven(sweep):
        return
    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
        ),
    )
    for run in runs:
        client.set_flow_run_state(
            run.id, Crashed(message="the process that ran it has ended"), force=True
        )


def _is_driven(sweep: str) -> bool:
    from lepton_tasks.lease import is_driven  # noqa: PLC0415
    from lepton_tasks.sweep_record import open_record  # noqa: PLC0415

    try:
        record = open_record(sweep)
    except UnknownSweepError:
        return False
    return is_driven(record.params, record.tags)
