"""Making a trial's run MLflow's active run, as `mlflow.start_run` would, without its cost.

`start_run` would read the run twice and write it once, 10 ms on SQLite, and ending it would set its
status, which is the driver's to set. So the run is put on MLflow's stack as it is. And as importing
MLflow takes a worker two seconds, that waits for an objective that imports it.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton_tasks.store import Store

TRACKING_URI = "MLFLOW_TRACKING_URI"


@contextmanager
def active_run(run_id: str | None, experiment_id: str | None) -> Iterator[None]:
    """Have MLflow's fluent calls land on a run while the body runs; None: on no run of ours."""
    if run_id is None or experiment_id is None:
        yield
        return
    watch = _AtImport(lambda: _push(run_id, experiment_id))
    below = 0
    if "mlflow" in sys.modules:
        below = len(_stack())
        _push(run_id, experiment_id)
    else:
        sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        if watch in sys.meta_path:
            sys.meta_path.remove(watch)
        if "mlflow" in sys.modules:
            _pop(below)


@contextmanager
def on_run(store: Store, run_id: str) -> Iterator[None]:
    """The same in a process that is not ours: afterwards MLflow is as its user had it."""
    with pointing_at(store), active_run(run_id, store.experiment_id):
        yield


@contextmanager
def pointing_at(store: Store) -> Iterator[None]:
    """Have MLflow's fluent calls go to a store while the body runs, wherever that sends them."""
    import mlflow  # noqa: PLC0415
    from mlflow.tracking._tracking_service import utils  # noqa: PLC0415

    # Private to MLflow, which else tells no URI that was set from one of the environment.
    found: Any = utils
    before, variable = found._tracking_uri, os.environ.get(TRACKING_URI)  # noqa: SLF001
    if mlflow.get_tracking_uri() != store.address.tracking_uri:
        mlflow.set_tracking_uri(store.address.tracking_uri)
    try:
        yield
    finally:
        if found._tracking_uri != before:  # noqa: SLF001
            mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop(TRACKING_URI, None)  # which set_tracking_uri sets
        else:
            os.environ[TRACKING_URI] = variable


def point_back(tracking_uri: str | None) -> None:
    """Have MLflow's fluent calls go where they went before an objective sent them elsewhere."""
    if tracking_uri is None or "mlflow" not in sys.modules:
        return
    import mlflow  # noqa: PLC0415

    if mlflow.get_tracking_uri() != tracking_uri:
        mlflow.set_tracking_uri(tracking_uri)


def next_steps(
    run_id: str | None, names: Sequence[str], tracking_uri: str | None
) -> dict[str, int]:
    """The step after the last one of each metric that the objective itself logged on a run.

    A name that it did not log is left out. An objective that never imported MLflow logged none.

    Args:
        run_id: The run.
        names: The metrics'.
        tracking_uri: Where the run is; the objective may have sent MLflow elsewhere.
    """
    if run_id is None or "mlflow" not in sys.modules:
        return {}
    from mlflow import MlflowClient  # noqa: PLC0415

    client = MlflowClient(tracking_uri)
    logged = client.get_run(run_id).data.metrics
    return {
        name: 1 + max(point.step for point in client.get_metric_history(run_id, name))
        for name in names
        if name in logged
    }


def _stack() -> list[Any]:
    from mlflow.tracking import fluent  # noqa: PLC0415

    # Private to MLflow, hence watched by a test.
    return fluent._active_run_stack.get()  # type: ignore[no-untyped-call, no-any-return]  # noqa: SLF001


def _push(run_id: str, experiment_id: str) -> None:
    import mlflow  # noqa: PLC0415
    from mlflow.entities import LifecycleStage, Run, RunData, RunInfo  # noqa: PLC0415

    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment_id,
        user_id="",
        status="RUNNING",
        start_time=time.time_ns() // 1_000_000,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
    )
    _stack().append(mlflow.ActiveRun(Run(info, RunData())))  # type: ignore[no-untyped-call]


def _pop(below: int) -> None:
    """Leave as many runs on the stack as there were before; the objective may have ended ours."""
    import mlflow  # noqa: PLC0415

    stack = _stack()
    while len(stack) > below + 1:
        mlflow.end_run()  # a nested run that the objective left open
    del stack[below:]


class _AtImport(importlib.abc.MetaPathFinder):
    """Calls back when MLflow has been imported, by whatever part of the objective."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.then = then

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """MLflow's own spec, with the call after its execution; nothing for other modules."""
        del path, target  # Unused: MLflow is a top-level package.
        if fullname != "mlflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_then_call(module: ModuleType) -> None:
                execute(module)
                self.then()

            spec.loader.exec_module = execute_then_call  # type: ignore[method-assign]
        return spec
