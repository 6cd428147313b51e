"""What MLflow itself cannot put right, as statements for whoever has access to its database."""

from __future__ import annotations

WRITE_ONCE = "MLflow writes a param once, so only its database can put it right"


def _text(value: str) -> str:
    """A text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def set_param(run_id: str, key: str, value: str) -> str:
    """The statement that sets a param."""
    where = f"run_uuid = {_text(run_id)} AND key = {_text(key)}"
    return f"UPDATE params SET value = {_text(value)} WHERE {where};"  # noqa: S608  (shown, not run)


def take_out_param(run_id: str, key: str) -> str:
    """The statement that takes a param out."""
    return f"DELETE FROM params WHERE run_uuid = {_text(run_id)} AND key = {_text(key)};"  # noqa: S608


def move_run(run_id: str, experiment_id: str) -> str:
    """The statement that moves a run to another experiment, which MLflow has no call for."""
    where = f"run_uuid = {_text(run_id)}"
    return f"UPDATE runs SET experiment_id = {_text(experiment_id)} WHERE {where};"  # noqa: S608
