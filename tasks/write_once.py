"""The one primitive that leases and seals rest on: a register that can be written only once.

An MLflow param is one. A second, different value for a key is refused by the store itself, through
the REST server too; the same value again succeeds. A refusal's error code differs by backend, and
an error may come after the write was applied, so the answer is always read back, never guessed.
"""

from __future__ import annotations

from lepton_tasks.store_client import StoreClient
from lepton_tasks.write_points import WritePoint

MAX_VALUE = 5500  # characters; MLflow's own limit on a param's value is 6,000


def write_once(client: StoreClient, point: WritePoint, run_id: str, key: str, value: str) -> str:
    """Write a register if it is empty.

    Returns:
        What the register holds now: the value given, or that of an earlier writer.

    Raises:
        MlflowException: The store failed, and the register is still empty.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)

    try:
        client.log_param(point, run_id, key, value)
    except MlflowException:
        stored = client.get_run(run_id).data.params.get(key)
        if stored is None:
            raise
        return str(stored)
    return value
