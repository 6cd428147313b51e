"""MLflow's client as Lepton uses it: every write is named, a store that is away is waited for.

A call that failed in passing (the connection was reset, the server answered 500 or 503 or not in
time, the database was locked) is made again, with growing pauses, for as long as the patience
lasts. The failed call may have been applied all the same, or may yet be. So each call is one that
may be applied twice: params are registers, a tag or a status is set to the same value again, a
metric at the same step and time is one point; and a run carries the id of the request that made it,
by which the repeated call finds it. (A run that a late or doubled request made beside it shows as
running, which `MlflowLedger` looks for at the end.)
"""

from __future__ import annotations

import errno
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lepton_tasks.duration import duration_text, seconds_from
from lepton_tasks.redaction import redacted
from lepton_tasks.write_points import WritePoint

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

PATIENCE_S = 600.0
PATIENCE_VARIABLE = "LEPTON_STORE_PATIENCE_SECONDS"
READING_PATIENCE_S = 10.0  # of commands that only read: somebody waits for the answer
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
MAX_READ = 10_000  # characters of an error
MAX_SHOWN = 300
SQLALCHEMYS_REMARK = "(raised as a result of Query-invoked autoflush"  # before what was raised
REQUEST = "lepton.request"  # the tag that holds the id of the call that made a run

PASSING = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "INTERNAL_ERROR",
        "IO_ERROR",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "SERVICE_UNDER_MAINTENANCE",
        "TEMPORARILY_UNAVAILABLE",
        "UNPARSEABLE_HTTP_ERROR",
        "WORKSPACE_TEMPORARILY_UNAVAILABLE",
    }
)
"""MLflow's error codes of failures that may pass: those that mean HTTP 408, 429, 499 or 5xx."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LASTING_TEXTS = (
    *("readonly database", "read-only", "permission denied", "authentication failed"),
    "could not decode",
)


def patience() -> float:
    """Seconds that a driver waits for its store: 600, or LEPTON_STORE_PATIENCE_SECONDS."""
    return seconds_from(PATIENCE_VARIABLE, usual=PATIENCE_S, least=0.0)


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError  # noqa: PLC0415

    if any(text in str(error).lower() for text in LASTING_TEXTS):
        return False
    if isinstance(error, MlflowException):
        if error.error_code in PASSING:
            return True
        cause = error.__cause__  # MLflow calls a lost connection a bad request, now and then
        return cause is not None and not isinstance(cause, MlflowException) and passes(cause)
    if isinstance(error, OperationalError | InterfaceError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return isinstance(error, DBAPIError) and error.connection_invalidated


class StoreClient:
    """The calls of MLflow's client that Lepton makes. They may come from several threads.

    Args:
        client: MLflow's.
        place: The store, for people.

    Attributes:
        patience_s: How long a store that is away is waited for.
        say: Told once when that begins, and once when it is over.
        give_up: Set when nobody wants to wait any more.
    """

    def __init__(self, client: MlflowClient, place: str) -> None:
        self.plain, self.place = client, place
        self.patience_s = READING_PATIENCE_S
        self.say: Callable[[str], None] = lambda _: None
        self.give_up = threading.Event()
        self._lock = threading.Lock()
        self._away_since: float | None = None

    def be_patient(self, say: Callable[[str], None], give_up: threading.Event) -> None:
        """Wait for the store as a driver does: long, visibly, until it is told to stop."""
        self.patience_s, self.say, self.give_up = patience(), say, give_up

    def be_brief(self) -> None:
        """Wait as little as a command that only reads: for a driver that was told to stop."""
        self.patience_s = min(self.patience_s, READING_PATIENCE_S)
        self.give_up = threading.Event()

    def hasty(self) -> StoreClient:
        """The same store for calls that are made again anyway: no waiting, no messages."""
        other = StoreClient(self.plain, self.place)
        other.patience_s = 0.0
        return other

    # -- reading ----------------------------------------------------------------------------

    def get_run(self, run_id: str) -> Any:
        """A run."""
        return _as_texts(self._call(lambda: self.plain.get_run(run_id)))

    def search_runs(self, experiment_ids: list[str], condition: str = "", **options: Any) -> Any:
        """A page of runs."""
        page = self._call(lambda: self.plain.search_runs(experiment_ids, condition, **options))
        for run in page:
            _as_texts(run)
        return page

    def get_experiment(self, experiment_id: str) -> Any:
        """An experiment."""
        return self._call(lambda: self.plain.get_experiment(experiment_id))

    def get_experiment_by_name(self, name: str) -> Any:
        """An experiment, or None."""
        return self._call(lambda: self.plain.get_experiment_by_name(name))

    def search_experiments(self, **options: Any) -> Any:
        """A page of experiments, deleted ones too if that is asked for."""
        return self._call(lambda: self.plain.search_experiments(**options))

    def get_metric_history(self, run_id: str, key: str) -> Any:
        """Every point of one metric of a run."""
        return self._call(lambda: self.plain.get_metric_history(run_id, key))

    def get_logged_model(self, model_id: str) -> Any:
        """A model that was logged."""
        return self._call(lambda: self.plain.get_logged_model(model_id))

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        """Fetch an artifact of a run into a folder; returns where it is."""
        return str(self._call(lambda: self.plain.download_artifacts(run_id, path, folder)))

    # -- writing ----------------------------------------------------------------------------

    def create_experiment(self, point: WritePoint, name: str, **options: Any) -> str:
        """Make an experiment.

        Raises:
            MlflowException: It exists already, perhaps by an earlier try of this very call.
        """
        return str(self._write(point, lambda: self.plain.create_experiment(name, **options)))

    def create_run(
        self,
        point: WritePoint,
        experiment_id: str,
        *,
        run_name: str,
        tags: Mapping[str, str],
        start_time: int | None = None,
    ) -> Any:
        """Make a run, once, however often it must be tried."""
        request = secrets.token_hex(8)
        known = {**tags, REQUEST: request}
        tried = False

        def create() -> Any:
            nonlocal tried
            if tried:
                made = self.plain.search_runs(
                    [experiment_id], f"tags.`{REQUEST}` = '{request}'", max_results=1
                )
                if made:
                    return made[0]
            tried = True
            return self.plain.create_run(
                experiment_id, run_name=run_name, tags=known, start_time=start_time
            )

        return self._write(point, create)

    def log_param(self, point: WritePoint, run_id: str, key: str, value: str) -> None:
        """Write a param, which is a register: see `lepton_tasks.write_once`."""
        self._write(point, lambda: self.plain.log_param(run_id, key, value))

    def log_batch(
        self,
        point: WritePoint,
        run_id: str,
        *,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
    ) -> None:
        """Write metrics, params and tags, in this order."""
        self._write(
            point, lambda: self.plain.log_batch(run_id, metrics=metrics, params=params, tags=tags)
        )

    def set_tag(self, point: WritePoint, run_id: str, key: str, value: str) -> None:
        """Write a tag."""
        self._write(point, lambda: self._set_tag(run_id, key, value))

    def _set_tag(self, run_id: str, key: str, value: str) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)

        try:
            self.plain.set_tag(run_id, key, value)
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
            # Of two first writes of a tag at the same moment the store refuses one; a second write
            # is an update.
            self.plain.set_tag(run_id, key, value)

    def set_terminated(
        self, point: WritePoint, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """Set a run's final status and when it ended."""
        self._write(point, lambda: self.plain.set_terminated(run_id, status, end_time))

    def update_run(self, point: WritePoint, run_id: str, status: str) -> None:
        """Set a run's status."""
        self._write(point, lambda: self.plain.update_run(run_id, status=status))

    def restore_run(self, point: WritePoint, run_id: str) -> None:
        """Bring a deleted run back."""
        self._write(point, lambda: self.plain.restore_run(run_id))

    def delete_tag(self, point: WritePoint, run_id: str, key: str) -> None:
        """Take a tag off; one that an earlier try took off is none to complain of."""

        def take_off() -> None:
            if key in self.plain.get_run(run_id).data.tags:
                self.plain.delete_tag(run_id, key)

        self._write(point, take_off)

    def set_experiment_tag(
        self, point: WritePoint, experiment_id: str, key: str, value: str
    ) -> None:
        """Write an experiment's tag."""
        self._write(point, lambda: self.plain.set_experiment_tag(experiment_id, key, value))

    def rename_experiment(self, point: WritePoint, experiment_id: str, name: str) -> None:
        """Give an experiment another name."""
        self._write(point, lambda: self.plain.rename_experiment(experiment_id, name))

    def restore_experiment(self, point: WritePoint, experiment_id: str) -> None:
        """Bring a deleted experiment and its runs back, unless an earlier try has."""

        def restore() -> None:
            if self.plain.get_experiment(experiment_id).lifecycle_stage != "active":
                self.plain.restore_experiment(experiment_id)

        self._write(point, restore)

    def log_artifact(self, point: WritePoint, run_id: str, file: str) -> None:
        """Keep a file as an artifact of a run."""
        self._write(point, lambda: self.plain.log_artifact(run_id, file))

    def log_artifacts(self, point: WritePoint, run_id: str, folder: str, path: str) -> None:
        """Keep a folder's files as artifacts of a run, below a path."""
        self._write(point, lambda: self.plain.log_artifacts(run_id, folder, path))

    def delete_artifacts(self, point: WritePoint, run_id: str, path: str) -> None:
        """Delete what is below a path of a run's artifacts.

        Raises:
            NotImplementedError: The store deletes nothing.
        """
        from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415
            get_artifact_repository,
        )

        uri = self.get_run(run_id).info.artifact_uri
        place: Any = get_artifact_repository(uri, tracking_uri=self.plain.tracking_uri)
        self._write(point, lambda: place.delete_artifacts(path))

    def on_disk(self, point: WritePoint, write: Callable[[], None]) -> None:
        """Write artifacts past MLflow, where the store keeps them on this machine."""
        self._write(point, write)

    # -- waiting ----------------------------------------------------------------------------

    def _write(self, point: WritePoint, write: Callable[[], T]) -> T:
        """Make a call that changes the store; every one of them passes here."""
        del point  # Unused: the crash matrix wraps this method, and kills by the point's name.
        return self._call(write)

    def _call(self, call: Callable[[], T]) -> T:
        try:
            result = call()
        except Exception as error:
            if not passes(error) or self.patience_s <= 0 or self.give_up.is_set():
                raise
            result = self._wait_for(call, error)
        if self._away_since is not None:
            self._say_back()
        return result

    def _wait_for(self, call: Callable[[], T], error: Exception) -> T:
        since, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            # One reset is nothing to speak of; a second failure is.
            if pause > FIRST_PAUSE_S:
                self._say_away(error)
            left = self.patience_s - (time.monotonic() - since)
            if left <= 0 or self.give_up.wait(min(pause, left)):
                self.patience_s = min(self.patience_s, FIRST_PAUSE_S)  # nobody waits a second time
                raise error
            try:
                return call()
            except Exception as again:
                if not passes(again):
                    raise
                error = again
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _say_away(self, error: Exception) -> None:
        with self._lock:
            if self._away_since is not None:
                return
            self._away_since = time.monotonic()
        self.say(
            f"the tracking store {self.place} is away: {first_line(error)}\n"
            f"trying again for up to {duration_text(self.patience_s)} "
            f"({PATIENCE_VARIABLE} sets it); nothing is lost"
        )

    def _say_back(self) -> None:
        with self._lock:
            if self._away_since is None:
                return
            away, self._away_since = time.monotonic() - self._away_since, None
        self.say(f"the tracking store is back after {duration_text(away)}")


def _as_texts(run: Any) -> Any:
    """The run, its params and tags all texts: a column of some databases may hold bytes."""
    for values in (run.data.params, run.data.tags):
        for key, value in values.items():
            if not isinstance(value, str):
                values[key] = repr(value)
    return run


def first_line(error: BaseException) -> str:
    """What an error says, at most one line of 300 characters, and no secret of ours."""
    # More than is shown, so that no secret is cut in two before it is found.
    lines = [line for line in str(error)[:MAX_READ].splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(SQLALCHEMYS_REMARK)] or lines
    line = redacted(lines[0] if lines else type(error).__name__)
    if len(line) <= MAX_SHOWN:
        return line
    return f"{line[: MAX_SHOWN - 4].rpartition(' ')[0] or line[: MAX_SHOWN - 4]} ..."
