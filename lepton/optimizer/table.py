"""An Optimizer's trials as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lepton.optimizer.journal import Metrics
from lepton_core.events import TrialRecord

if TYPE_CHECKING:
    import pandas as pd


def table(
    records: Sequence[TrialRecord], params: Sequence[str], metrics: Mapping[int, Metrics]
) -> pd.DataFrame:
    """The trials told, one a row, in the order of proposal.

    Args:
        records: The trials.
        params: The names of all params.
        metrics: The other metrics, by the trial's number.
    """
    import pandas as pd  # noqa: PLC0415  (half a second that asking and telling need not pay)

    rows = [(record.proposal, record) for record in records]
    columns: dict[str, Any] = {
        name: [getattr(proposal, name) for proposal, _ in rows]
        for name in ("number", "generation", "slot", "proposer")
    }
    columns["value"] = pd.Series([record.value for _, record in rows], dtype=float)
    columns["failure"] = pd.Series(
        [f and f"{f.kind}: {f.reason}" for f in (record.failure for _, record in rows)],
        dtype=object,
    )
    columns["duration_s"] = pd.Series([record.duration_s for _, record in rows], dtype=float)
    for name in params:
        values = [proposal.params.get(name) for proposal, _ in rows]
        # Else an int that is inactive at times would be shown as a float.
        kind = object if None in values else None
        columns[f"params.{name}"] = pd.Series(values, dtype=kind)
    found = [metrics.get(proposal.number, {}) for proposal, _ in rows]
    for name in dict.fromkeys(name for one in found for name in one):
        columns[f"metrics.{name}"] = pd.Series(
            [one.get(name, float("nan")) for one in found], dtype=float
        )
    return pd.DataFrame(columns)
