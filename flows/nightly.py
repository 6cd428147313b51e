"""The Prefect flow ``lepton-nightly``: one scheduled run, which adds a night to a sweep's history.

It does what ``lepton run --nightly`` does, and says by its state in Prefect how that went:
Completed with what was added, Skipped (a kind of Completed) where another driver is at it,
TakenOver (another kind) where one went on in its place, Cancelled where it was stopped, Failed
where a person is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from prefect.client.schemas.objects import State  # noqa: TC002  (Prefect reads annotations)
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed, Failed
from pydantic import Field

from lepton_core.declaration import MAX_TRIALS, MAX_WORKERS, Budget
from lepton_core.errors import DrivenElsewhereError, LeaseLostError, LeptonError
from lepton_core.night import night_text
from lepton_flows.driver import DONE, INTERRUPTED, NIGHT_OVER, Ending
from lepton_flows.run_log import run_logger
from lepton_flows.sweep import SweepFlow, drive_in_tasks
from lepton_tasks.console_pipe import outlive_reader
from lepton_tasks.parent_watch import stop_with_server
from lepton_tasks.sweep_yaml import read

SKIPPED, TAKEN_OVER = "Skipped", "TakenOver"
ENV_FLOW_RUN = "PREFECT__FLOW_RUN_ID"
Workers = Annotated[int, Field(ge=1, le=MAX_WORKERS)]
Trials = Annotated[int, Field(ge=1, le=MAX_TRIALS)]
Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _nightly(
    sweep_file: str,
    workers: Workers | None = None,
    trials: Trials | None = None,
    hours: Hours | None = None,
) -> State[Any]:
    """Add a night to a sweep: go on with its own history, up to its nightly limits.

    Args:
        sweep_file: The path of the sweep file on the machine that runs this.
        workers: How many trials at a time, instead of what the file says.
        trials: How many results this run may add, instead of the file's `nightly`.
        hours: How many hours this run may drive, instead of the file's `nightly`.
    """
    stop_with_server()
    if ENV_FLOW_RUN in os.environ:  # a process of its own, whose output a worker reads
        outlive_reader()
    log: Any = get_run_logger()
    try:
        source = read(Path(sweep_file))
        log = run_logger(source.name)
        ending = drive_in_tasks(source, workers, Budget(trials=trials, hours=hours))
    except DrivenElsewhereError as error:
        log.warning(error.message)
        lost = isinstance(error, LeaseLostError)
        return Completed(name=TAKEN_OVER if lost else SKIPPED, message=error.message)
    except LeptonError as error:
        log.error(error.message)  # noqa: TRY400  (a user's mistake needs no traceback of ours)
        return Failed(message=error.message, data=error)
    text = ending_text(ending)
    log.info(text)
    if ending.how == INTERRUPTED:
        return Cancelled(message=text)
    return Completed(message=text, data=ending.summary())


def ending_text(ending: Ending) -> str:
    """How a night ended, in a line."""
    target, trials = ending.settings.budget.trials, ending.state.trials_done
    of = f"{trials} of {target} trials" if target is not None else f"{trials} trials"
    best = ending.state.best
    found = "" if best is None else f"; best {best.value!r}, trial {best.proposal.number}"
    if ending.how == NIGHT_OVER:
        return night_text(ending.added, trials + ending.open, target) + found
    if ending.how == INTERRUPTED:
        return f"{ending.reason}; {ending.added} added, {of} sealed; goes on with the next run"
    if ending.how == DONE:
        return f"finished: {of}{found}"
    return f"nothing to do: the sweep is at its target, {of}{found}"


def _run_name() -> str:
    """The flow run's name: the sweep's and the day's."""
    from prefect import runtime  # noqa: PLC0415

    file = Path(str(runtime.flow_run.parameters["sweep_file"]))
    try:
        name = read(file).name
    except LeptonError:
        name = file.name
    planned = runtime.flow_run.scheduled_start_time
    return f"{name} {planned:%Y-%m-%d %H:%M}"[:100]


nightly = SweepFlow(_nightly, name="lepton-nightly", flow_run_name=_run_name, persist_result=False)
