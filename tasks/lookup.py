"""A run by its id, where it may be gone: purged from the store, or never there."""

from __future__ import annotations

from typing import Any

from lepton_tasks.store_client import StoreClient

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter: not an id at all
DELETED = "deleted"  # its lifecycle stage: it can be restored


def run_or_none(client: StoreClient, run_id: str) -> Any:
    """The run (a deleted one too), or None where the store has no such run."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def is_deleted(run: Any) -> bool:
    """Whether a run is in the store's bin."""
    return bool(run.info.lifecycle_stage == DELETED)
