"""Who is told what: whether MLflow and Prefect send anything about this use to their makers."""

from __future__ import annotations

import os

from lepton_tasks.installation.check import Check, State


def check_telemetry(*, prefect_server_sends: bool | None) -> Check:
    """What holds for sweeps that are driven with this environment.

    Args:
        prefect_server_sends: Whether the configured Prefect server says that it does; None if there
            is none, or it did not say.
    """
    sends = []
    if not (_is("MLFLOW_DISABLE_TELEMETRY", "1", "true") or _is("DO_NOT_TRACK", "true")):
        sends.append(("MLflow's client", "MLFLOW_DISABLE_TELEMETRY=true"))
    if prefect_server_sends:
        off = "PREFECT_SERVER_ANALYTICS_ENABLED=false for the Prefect server"
        sends.append(("the Prefect server", off))
    state: State = "warning" if sends else "ok"
    found = "; ".join(f"{who} sends usage data to its makers" for who, _ in sends)
    return Check(
        "telemetry",
        state,
        found or "off",
        "nobody is told",
        "; ".join(f"set {what}" for _, what in sends),
    )


def _is(variable: str, *values: str) -> bool:
    """Whether a variable has one of the values that MLflow takes for yes."""
    return os.environ.get(variable, "").lower() in values
