"""The Prefect flows: ``sweep`` declares or goes on with a sweep, ``resume`` goes on with one.

Prefect carries the work and shows it, one task run for each trial; what is true is the ledger.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from prefect import Flow, flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from lepton_core.declaration import Budget
from lepton_core.errors import InputError, LeptonError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.fold import SweepState
from lepton_core.plan import slots_left
from lepton_flows.artifacts import ArtifactObserver
from lepton_flows.driver import INTERRUPTED, Drive, Ending, drive_sweep
from lepton_flows.loop import drive
from lepton_flows.metrics import MetricsObserver
from lepton_flows.observer import Observers, observer
from lepton_flows.outage import outage
from lepton_flows.run_log import RunLog
from lepton_tasks.prefect_server import loopback_server
from lepton_tasks.store import load_libraries
from lepton_tasks.sweep_record import find_to_resume
from lepton_tasks.sweep_yaml import SweepSource, find_or_read, from_dict, read

MAX_TASK_RUNS = 1000  # of one flow run: beyond it Prefect's own record loses events


class SweepFlow(Flow[..., Any]):
    """A flow that, where no Prefect API is configured, runs beside a server of its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow. What is wrong with the sweep file is told before Prefect is started."""
        given = {**dict(zip(inspect.signature(self.fn).parameters, args, strict=False)), **kwargs}
        if "source" in given and not given.get("return_state"):
            _open(given["source"]).parse()
        with loopback_server(meanwhile=load_libraries):
            return super().__call__(*args, **kwargs)

    def with_options(self, **options: Any) -> SweepFlow:
        """The same flow with other options of Prefect's, such as ``on_failure=[hook]``."""
        made = super().with_options(**options)
        made.__class__ = SweepFlow  # Prefect makes a plain flow, which would start its own server
        return cast("SweepFlow", made)


def _sweep(
    source: str | Path | dict[str, Any],
    workers: int | None = None,
    take_over: bool = False,  # noqa: FBT001, FBT002  (a flow's parameter is a form's field)
    nightly: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    """Declare a sweep and drive it to its target; go on with it if it is there already.

    Args:
        source: The path of a sweep file, or its content as a dict.
        workers: How many trials at a time, instead of what the file says.
        take_over: Do not leave because another driver holds the sweep.
        nightly: Add no more than one night may, by the file's `nightly`.

    Returns:
        How it ended, as a dict: ``ending``, ``trials``, ``best`` and more (see docs/cli.md).

    Raises:
        LeptonError: See `lepton_core.errors`; each says what to do.
    """
    return _run(_open(source), workers=workers, take_over=take_over, nightly=nightly)


def _resume(
    name: str,
    file: str | Path | None = None,
    workers: int | None = None,
    take_over: bool = False,  # noqa: FBT001, FBT002  (a flow's parameter is a form's field)
    nightly: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    """Go on with a sweep by its name, from the tracking store and the sweep file.

    Args:
        name: The sweep's name.
        file: Its sweep file; without it, the one in the current directory that has the name.
        workers: How many trials at a time, instead of what the file says.
        take_over: Do not leave because another driver holds the sweep.
        nightly: Add no more than one night may, by the file's `nightly`.

    Returns:
        How it ended, as a dict: ``ending``, ``trials``, ``best`` and more (see docs/cli.md).

    Raises:
        LeptonError: See `lepton_core.errors`; each says what to do.
    """
    find_to_resume(name)  # an unknown name is an error, not a new sweep
    return _run(find_or_read(name, file), workers=workers, take_over=take_over, nightly=nightly)


def _open(source: str | os.PathLike[str] | Mapping[str, Any]) -> SweepSource:
    if isinstance(source, str | os.PathLike):
        return read(Path(source))
    if isinstance(source, Mapping):
        return from_dict(source)
    raise InputError(f"found {type(source).__name__}; expected a sweep file's path or a dict")


def _run_name() -> str:
    """The flow run's name: the sweep's; the file's, where that does not tell."""
    parameters = runtime.flow_run.parameters
    if "name" in parameters:
        return str(parameters["name"])
    try:
        return str(_open(parameters["source"]).name)
    except LeptonError:
        return str(parameters["source"])[:100]


def _run(source: SweepSource, *, workers: int | None, take_over: bool, nightly: bool) -> Any:
    ending = drive_in_tasks(source, workers, Budget() if nightly else None, take_over=take_over)
    summary = ending.summary()
    if ending.how == INTERRUPTED:
        # Prefect then shows the run as cancelled; a caller gets its CancelledRun.
        return Cancelled(message=f"{ending.reason}; run it again to go on")
    return summary


def drive_in_tasks(
    source: SweepSource, workers: int | None, nightly: Budget | None, *, take_over: bool = False
) -> Ending:
    """Drive a sweep in the calling flow run, one task run for each trial.

    See `lepton_flows.driver.drive_sweep`.
    """
    shown = observer.get()  # at a terminal, where the page of a server that soon ends is no use
    first = shown or RunLog(source.name)
    artifacts = () if shown else (ArtifactObserver(first.say),)
    watcher = Observers(first, MetricsObserver(), *artifacts)
    try:
        ending = drive_sweep(
            source,
            _drive_in_blocks,
            observer=watcher,
            workers=workers,
            take_over=take_over,
            nightly=nightly,
        )
        watcher.concluded(ending.summary())
    finally:
        watcher.close()
    return ending


def _drive_in_blocks(driven: Drive) -> SweepState:
    """Drive to the target: in this flow run if that is small, else in sub-flows.

    Where Prefect's server is away, sub-flows cannot begin, and each would try for a minute: the
    rest is then driven in this flow run. The record that would grow too long is lost in any case.
    """
    size = driven.state.declaration.generation
    block = max(1, MAX_TASK_RUNS // size)
    state = driven.state
    target, tonight = driven.settings.budget.trials, driven.night.limits.trials
    left = [] if target is None else [target - state.trials_done]
    left += [] if tonight is None else [tonight]
    if left and min(left) <= block * size:
        return _drive_block(driven, state, None)
    while not (driven.stop.draining or driven.night.is_over):
        first = state.generations_done
        state, away = _drive_in_sub_flow(driven, state, block)
        if away:
            driven.observer.say(
                f"warning: Prefect's server does not answer ({away}); the sweep goes on, and "
                "Prefect shows less of it"
            )
            return _drive_block(driven, state, None)
        done = slots_left(state, driven.settings.budget) == 0
        if done or state.generations_done < first + block:
            break
    return state


def _drive_in_sub_flow(
    driven: Drive, state: SweepState, generations: int
) -> tuple[SweepState, str]:
    """Drive so many generations in a flow run of their own.

    The states stay outside its parameters and result, which Prefect would serialise.

    Returns:
        The state after them, and what is wrong with Prefect's server: then it may be the old one.
    """
    first = state.generations_done
    after, raised = [state], []

    @flow(
        name="lepton-generations",
        flow_run_name=f"generations {first} to {first + generations - 1}",
        persist_result=False,
    )
    def sub_flow() -> str:
        try:
            after.append(_drive_block(driven, state, generations))
        except BaseException as error:
            raised.append(error)
            raise
        return f"{after[-1].trials_done} trials"

    try:
        sub_flow()
    except Exception as error:  # noqa: BLE001  (what is no outage is raised again)
        if raised:  # Prefect's trouble with telling it would hide it
            raise raised[0] from None
        return after[-1], outage(error)
    return after[-1], ""


def _drive_block(driven: Drive, state: SweepState, generations: int | None) -> SweepState:
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=driven.pool.size)
    with runner:

        def in_tasks(
            work: Callable[[Proposal], TrialRecord | None], proposals: Sequence[Proposal]
        ) -> list[TrialRecord | None]:
            done: dict[int, TrialRecord | None] = {}

            @task(
                name="trial", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False
            )
            def trial(label: str, slot: int) -> State[Any]:
                del label  # Unused: it names the task run.
                done[slot] = work(proposals[slot])
                return _task_state(done[slot])

            futures = [
                runner.submit(trial, parameters={"label": task_label(proposal), "slot": slot})
                for slot, proposal in enumerate(proposals)
            ]
            for future in futures:
                future.wait()
            for slot, future in enumerate(futures):
                if slot not in done:
                    future.result()  # raises what the ledger raised
            return [done[slot] for slot in range(len(proposals))]

        return drive(
            driven.ledger,
            state,
            driven.pool,
            in_tasks,
            stop=driven.stop,
            observer=driven.observer,
            generations=generations,
            night=driven.night,
        )


def task_label(proposal: Proposal) -> str:
    """A trial's task run's name: generation, slot and proposer."""
    return f"gen{proposal.generation:02d}-{proposal.slot:02d}-{proposal.proposer}"


def _task_state(record: TrialRecord | None) -> State[Any]:
    if record is None:
        return Cancelled(message="the driver was asked to stop")
    if record.failure is not None:
        return Failed(message=f"{record.failure.kind}: {record.failure.reason}")
    return Completed(message=f"value {record.value!r}")


sweep = SweepFlow(_sweep, name="lepton-sweep", flow_run_name=_run_name, persist_result=False)
resume = SweepFlow(_resume, name="lepton-resume", flow_run_name=_run_name, persist_result=False)
