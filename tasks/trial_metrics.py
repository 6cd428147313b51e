"""The metrics on a trial's run: what it reported on its way, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lepton_tasks import write_points
from lepton_tasks.objective import Outcome
from lepton_tasks.reports import Point
from lepton_tasks.store_client import StoreClient, first_line, passes
from lepton_tasks.write_points import WritePoint

MAX_BATCH = 1000  # metrics that MLflow takes in one call
MAX_NAME = 250  # characters that MLflow takes


def reported_name(metric: str) -> str:
    """The metric of what is reported on the way to another.

    Example:
        >>> reported_name("loss")
        'reported_loss'
    """
    return f"reported_{metric}"[:MAX_NAME]


class Reported:
    """The metric that trials report, which is for people: nothing is decided by it.

    Args:
        client: The store's client.
        metric: The metric that the sweep is about.
    """

    def __init__(self, client: StoreClient, metric: str) -> None:
        self.client, self.name = client, reported_name(metric)
        self._last: dict[str, int] = {}  # run id -> the last step
        self._refused = False

    def write(self, run_id: str, points: Sequence[Point]) -> None:
        """Write points of a trial's curve.

        A store that refuses them is told of, once; a trial goes on without them.
        """
        from mlflow.entities import Metric  # noqa: PLC0415  (costs a second)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        metrics = [Metric(self.name, point.value, point.at, point.step) for point in points]
        self._last[run_id] = max(self._last.get(run_id, 0), *(point.step for point in points))
        try:
            for first in range(0, len(metrics), MAX_BATCH):
                some = metrics[first : first + MAX_BATCH]
                log_batch(self.client, write_points.TRIAL_REPORTED, run_id, metrics=some)
        except MlflowException as error:
            if passes(error):
                raise
            if not self._refused:
                self.client.say(
                    f"the store does not take the metric {self.name}: {first_line(error)}"
                )
            self._refused = True

    def steps(self, run_id: str, outcome: Outcome) -> dict[str, int]:
        """The steps at which the metrics of an outcome go on; those left out begin at 0.

        The objective may return a metric of the very name: that one comes after what it reported.
        """
        steps = dict(outcome.steps)
        if run_id in self._last:
            steps[self.name] = max(self._last.pop(run_id) + 1, steps.get(self.name, 0))
        return steps


def log_batch(client: StoreClient, point: WritePoint, run_id: str, **what: Sequence[Any]) -> None:
    """Write metrics and tags on a trial's run, which its objective may have deleted."""
    from mlflow.entities import LifecycleStage  # noqa: PLC0415  (costs a second)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client.log_batch(point, run_id, **what)
    except MlflowException:
        if client.get_run(run_id).info.lifecycle_stage != LifecycleStage.DELETED:
            raise
        client.restore_run(write_points.TRIAL_RESTORED, run_id)
        client.log_batch(point, run_id, **what)
