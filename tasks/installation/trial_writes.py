"""Writing to a store as a sweep does, and taking it back: is it writable, and does it keep all?

A run of the doctor's own, in the ledger's experiment, is written to, read and removed. Where only a
tracking server can be asked, a run can be deleted but not removed: that one is taken up again by
the next examination, so at most one is left, in the trash, until ``mlflow gc``.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lepton_core.errors import RecordError
from lepton_tasks import records
from lepton_tasks.artifact_place import local_path, own_place
from lepton_tasks.installation.check import Check, State, gravest
from lepton_tasks.redaction import without_secrets
from lepton_tasks.store import LEDGER_EXPERIMENT, Store
from lepton_tasks.store_advice import advice_on
from lepton_tasks.store_client import first_line
from lepton_tasks.trial_metrics import MAX_BATCH
from lepton_tasks.write_once import MAX_VALUE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KIND = "doctor"  # of the run, in its tag `lepton.kind`
NAME = "lepton doctor"
FILE = "lepton-doctor.txt"
MAX_PARAMS = 100  # that MLflow's client puts into one call
TOO_LONG = 6001  # characters of a param: more than MLflow keeps
LOOKED_AT = 20  # runs that say they are an examination's
PATTERN = "ü😀x"  # choices of a space may hold any character
PARAM, CUT, MANY, METRIC, TAG = "whole", "too-long", "many", "points", "lepton.doctor"
LOOPBACK = ("127.0.0.1", "localhost", "::1", None)


@dataclass(slots=True)
class TrialWrites:
    """What came of it.

    Attributes:
        checks: ``writing``, ``limits``, ``artifacts``; the later two only where the first is well.
        left: What could not be taken back, for people.
    """

    checks: list[Check] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def write_and_take_back(store: Store) -> TrialWrites:
    """Make a run with all that a sweep writes, read it, and remove it.

    Args:
        store: The store, open.
    """
    done = TrialWrites()
    client, uri = store.client.plain, store.address.tracking_uri
    try:
        run_id = _writable_run(client, store.ledger_id)
    except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
        done.checks.append(_unwritable(error, uri))
        return done
    try:
        expected = "a run is made, a tag written, read and removed"
        done.checks.append(Check("writing", "ok", "works", expected))
        done.checks.append(_try(lambda: check_limits(client, run_id), "limits", uri))
        keep = partial(_check_artifacts, store, run_id, done.left)
        done.checks.append(_try(keep, "artifacts", uri))
    finally:
        done.left += _remove(store, run_id)
    return done


def advice_or_neutral(error: Exception, tracking_uri: str) -> str:
    """What to do about it, or where to look: a server knows more than it says."""
    away = tracking_uri.startswith("http")
    return advice_on(error) or ("see the server's log" if away else "mend that, then look again")


def _unwritable(error: Exception, tracking_uri: str) -> Check:
    return Check(
        "writing",
        "problem",
        f"it cannot be written: {first_line(error)}",
        "a run is made, a tag written, read and removed",
        advice_or_neutral(error, tracking_uri),
    )


def _try(look: Callable[[], Check], name: str, tracking_uri: str) -> Check:
    try:
        return look()
    except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
        text = f"failed: {first_line(error)}"
        advice = advice_or_neutral(error, tracking_uri)
        return Check(name, "problem", text, "what a sweep writes is kept", advice)


def _writable_run(client: MlflowClient, experiment_id: str) -> str:
    """A run that takes a tag: the one that an earlier examination left, or a new one."""
    from mlflow.entities import ViewType  # noqa: PLC0415  (costs a second)

    left = client.search_runs(
        [experiment_id],
        f"tags.`{records.KIND}` = '{KIND}'",
        run_view_type=ViewType.ALL,
        max_results=LOOKED_AT,
        order_by=["attributes.start_time ASC"],
    )
    with suppress(Exception):  # somebody else's examination may have it just now, and delete it
        ours = next((run for run in left if _is_ours(run)), None)
        if ours is not None:
            run_id = str(ours.info.run_id)
            if ours.info.lifecycle_stage != "active":
                client.restore_run(run_id)
            _prove_writable(client, run_id)
            return run_id
    made = client.create_run(experiment_id, tags={records.KIND: KIND}, run_name=NAME)
    run_id = str(made.info.run_id)
    _prove_writable(client, run_id)
    return run_id


def _is_ours(run: Run) -> bool:
    """Whether a run holds nothing but what an examination writes: it will be deleted."""
    params, tags = run.data.params, run.data.tags
    return (
        run.info.run_name == NAME
        and all(key in (PARAM, CUT) or key.startswith(f"{MANY}/") for key in params)
        and not any(key in tags for key in (records.SWEEP, records.LEDGER, records.PARENT_RUN))
        and set(run.data.metrics) <= {METRIC}
    )


def _prove_writable(client: MlflowClient, run_id: str) -> None:
    mark = secrets.token_hex(8)
    client.set_tag(run_id, TAG, mark)
    found = client.get_run(run_id).data.tags.get(TAG)
    if found != mark:
        raise OSError(f"a tag was written as {mark} and read as {found}")
    client.delete_tag(run_id, TAG)


def check_limits(client: MlflowClient, run_id: str) -> Check:
    """Whether the store keeps texts as long, and calls as large, as a sweep needs.

    Args:
        client: MLflow's.
        run_id: A run to write to.
    """
    from mlflow.entities import Metric, Param  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    whole, tag = _text(MAX_VALUE), _text(records.MAX_TAG)
    wrong: list[str] = []

    def attempt(what: str, write: Callable[[], Any]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
            wrong.append(f"{what} is refused ({first_line(error)})")

    many = [Param(f"{MANY}/{number:03d}", "x") for number in range(MAX_PARAMS)]
    points = [Metric(METRIC, float(step), 1, step) for step in range(MAX_BATCH)]
    attempt(f"a param of {MAX_VALUE} characters", lambda: client.log_param(run_id, PARAM, whole))
    attempt(f"a tag of {records.MAX_TAG} characters", lambda: client.set_tag(run_id, TAG, tag))
    attempt(f"a call with {MAX_PARAMS} params", lambda: client.log_batch(run_id, params=many))
    attempt(f"a call with {MAX_BATCH} metrics", lambda: client.log_batch(run_id, metrics=points))
    refused = False
    try:
        client.log_param(run_id, CUT, _text(TOO_LONG))
    except MlflowException:
        refused = True  # rightly; what is there may be what an earlier examination wrote
    kept = client.get_run(run_id)
    if not wrong:
        wrong += _altered(kept, whole, tag)
    return _limits(wrong, cut=not refused and len(kept.data.params.get(CUT, "")) < TOO_LONG)


def _text(length: int) -> str:
    return (PATTERN * length)[:length]


def _altered(kept: Run, whole: str, tag: str) -> list[str]:
    found, altered = kept.data, []
    if found.params.get(PARAM) != whole:
        altered.append(f"a param of {len(whole)} characters is not read as it was written")
    if found.tags.get(TAG) != tag:
        altered.append(f"a tag of {len(tag)} characters is not read as it was written")
    if sum(key.startswith(f"{MANY}/") for key in found.params) != MAX_PARAMS:
        altered.append(f"of {MAX_PARAMS} params of one call some are missing")
    if found.metrics.get(METRIC) != MAX_BATCH - 1:
        altered.append(f"the last of {MAX_BATCH} metrics of one call is missing")
    return altered


def _limits(wrong: list[str], *, cut: bool) -> Check:
    expected = (
        f"params of {MAX_VALUE} and tags of {records.MAX_TAG} characters of any script, "
        f"{MAX_PARAMS} params or {MAX_BATCH} metrics a call; what is too long is refused, not cut"
    )
    states: list[State] = []
    found, advice = list(wrong), []
    if wrong:
        states.append("problem")
        advice.append(
            "look for limits between here and the database: a proxy's body size, the "
            "database's encoding (UTF8) and columns"
        )
    if cut:
        states.append("warning")
        found.append("a param that is too long is cut without a word")
        advice.append("set MLFLOW_TRUNCATE_LONG_VALUES=false for the server and its clients")
    state = gravest(states)
    return Check("limits", state, "; ".join(found) or "all kept whole", expected, "; ".join(advice))


def _check_artifacts(store: Store, run_id: str, left: list[str]) -> Check:
    """Whether a file can be kept with a run, and read again.

    Args:
        store: The store.
        run_id: A run of it.
        left: Told what could not be removed.
    """
    location = store.client.plain.get_run(run_id).info.artifact_uri
    expected, text = "a file is written, read and removed", secrets.token_hex(8)
    try:
        place = own_place(location, run_id, store.address)
    except RecordError as error:
        advice = "start the server with --artifacts-destination"
        return Check("artifacts", "problem", error.message, expected, advice)
    if place is not None:
        _try_folder(place, text)
        found = f"below {place.parents[1]}, as the store was moved"
        return Check("artifacts", "ok", found, expected)
    with tempfile.TemporaryDirectory(prefix="lepton-doctor-") as folder:
        file = Path(folder, FILE)
        file.write_text(text)
        store.client.plain.log_artifact(run_id, str(file))
        again = store.client.plain.download_artifacts(run_id, FILE, _new(Path(folder, "read")))
        if Path(again).read_text() != text:
            raise OSError("a file was not read as it was written")
    left += _remove_artifact(location, run_id, store)
    return _artifacts(location, store.address.tracking_uri, expected)


def _new(folder: Path) -> str:
    folder.mkdir()
    return str(folder)


def _try_folder(place: Path, text: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    file = place / FILE
    file.write_text(text)
    read = file.read_text()
    file.unlink()
    _remove_empty(place)
    if read != text:
        raise OSError("a file was not read as it was written")


def _remove_empty(place: Path) -> None:
    """Remove a run's folder of artifacts, and the run's own, if they are empty."""
    with suppress(OSError):
        place.rmdir()
        place.parent.rmdir()


def _remove_artifact(location: str, run_id: str, store: Store) -> list[str]:
    from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415
        get_artifact_repository,
    )

    try:
        place = local_path(location)
        if place is not None:
            (place / FILE).unlink()
            _remove_empty(place)
        else:
            uri = store.address.tracking_uri
            kept: Any = get_artifact_repository(location, tracking_uri=uri)
            kept.delete_artifacts(FILE)
    except Exception as error:  # noqa: BLE001  (stores differ in what they let be removed)
        return [f"the artifact {FILE} of run {run_id} ({first_line(error)})"]
    return []


def _artifacts(location: str, tracking_uri: str, expected: str) -> Check:
    scheme, host = urlsplit(tracking_uri).scheme, urlsplit(tracking_uri).hostname
    place = local_path(location)
    shared = not scheme.startswith("sqlite") and host not in LOOPBACK
    if place is not None and shared:
        return Check(
            "artifacts",
            "warning",
            f"they go to the folder {place.parents[1]} of whichever machine writes them",
            "one place for all machines",
            "use an MLflow server with --artifacts-destination (docs/shared-store.md)",
        )
    where = str(place.parents[2]) if place is not None else without_secrets(location)
    return Check(
        "artifacts",
        "ok",
        f"kept in {where.partition(':')[0] if place is None else where}",
        expected,
    )


def _remove(store: Store, run_id: str) -> list[str]:
    """Remove the run, or delete it where a store does not let runs be removed; what is left."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    client = store.client.plain
    behind = client._tracking_client.store  # noqa: SLF001  (as `mlflow gc` removes runs)
    try:
        if isinstance(behind, SqlAlchemyStore):
            untyped: Any = behind
            untyped._hard_delete_run(run_id)  # noqa: SLF001
            return []
        client.set_terminated(run_id)
        client.delete_run(run_id)
    except Exception as error:  # noqa: BLE001  (it is told)
        return [f"run {run_id} in the experiment {LEDGER_EXPERIMENT} ({first_line(error)})"]
    there = f"one deleted run, {run_id}, in the experiment {LEDGER_EXPERIMENT}"
    return [f"{there}: the next examination uses it again, 'mlflow gc' removes it"]
