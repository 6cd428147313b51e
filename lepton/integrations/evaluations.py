"""Which of a booster's evaluations is reported: there is one per dataset and metric."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_core.errors import InputError

__all__ = ()  # the callbacks are what users import

Evaluations = Mapping[tuple[str, str], float]
"""The latest value of each metric on each dataset."""


def chosen(found: Evaluations, metric: str | None, how: str) -> float:
    """The value of the evaluation that was asked for.

    Args:
        found: Those there are.
        metric: ``DATASET-METRIC``, or the metric alone if it is of one dataset; None: the only one.
        how: How the library is told to evaluate, for the error.

    Raises:
        InputError: There is none, or no such, or several; it lists those there are.

    Example:
        >>> found = {("train", "auc"): 0.9, ("test", "auc"): 0.8, ("test", "error"): 0.3}
        >>> chosen(found, "test-auc", ""), chosen(found, "error", "")
        (0.8, 0.3)
    """
    if not found:
        raise InputError(f"nothing is evaluated while it trains, so nothing can be reported; {how}")
    names = {f"{dataset}-{name}": value for (dataset, name), value in found.items()}
    if metric is None:
        values = list(names.values())
    elif metric in names:
        values = [names[metric]]
    else:
        values = [value for (_, name), value in found.items() if name == metric]
    if len(values) != 1:
        which = "which metric to report is not said" if metric is None else f"metric is {metric!r}"
        problem = "and there are several" if len(values) > 1 else "which is not there"
        raise InputError(
            f"{which}, {problem}; expected one of {', '.join(map(repr, names))}", metric=metric
        )
    return values[0]
