"""A candidate's scores as metrics of its MLflow run, and back.

Metrics are named as in ``cv_results_``: ``split0_test_score``, ``mean_test_score``; and
``split0_fit_time``, which that holds only the mean of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from lepton.search_cv.evaluation import Row, mean_score, metrics_of
from lepton_core.keys import is_mlflow_key

SCORES = {"test_scores": "test", "train_scores": "train"}  # in a row, and in a metric's name
TIMES = ("fit_time", "score_time")
FITS_FAILED = re.compile(r"(\d+) of \d+ fits failed: ")  # as `failure` says it


def metrics(rows: Sequence[Row]) -> dict[str, float]:
    """The metrics of a candidate, from its fits."""
    found: dict[str, float] = {}
    for split, row in enumerate(rows):
        for kind, said in SCORES.items():
            for name in metrics_of(rows) if kind in row else ():
                score = mean_score([row], name, kind)
                found[f"split{split}_{said}_{recorded_name(name)}"] = score
        for name in TIMES:
            found[f"split{split}_{name}"] = float(row[name])
    for name in metrics_of(rows):
        found[f"mean_test_{recorded_name(name)}"] = mean_score(rows, name)
    return found


def recorded_name(metric: str) -> str:
    """A metric's name as MLflow allows it.

    Example:
        >>> recorded_name("neg_log_loss"), recorded_name("f1 (macro)")
        ('neg_log_loss', 'f1 _macro_')
    """
    if is_mlflow_key(f"split0_test_{metric}"):
        return metric
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", str(metric)).strip()


def rows(
    recorded: Mapping[str, float],
    *,
    splits: int,
    names: Sequence[str],
    multimetric: bool,
    train: bool,
) -> list[Row]:
    """What scikit-learn returned for each split, from the metrics of a run.

    Args:
        recorded: The metrics.
        splits: How many.
        names: Of the scorers' metrics.
        multimetric: Whether the scorers give a dict.
        train: Whether scores on the training splits are wanted.
    """
    found: list[Row] = []
    for split in range(splits):
        row: Row = {name: recorded.get(f"split{split}_{name}", nan) for name in TIMES}
        for kind, said in SCORES.items():
            scores = {
                n: recorded.get(f"split{split}_{said}_{recorded_name(n)}", nan) for n in names
            }
            if kind == "test_scores" or train:
                row[kind] = scores if multimetric else scores[names[0]]
        found.append({**row, "fit_error": None, "n_test_samples": 0})
    return found


def failed_rows(failure: str, error_score: Any, *, splits: int, train: bool) -> list[Row]:
    """The same of a candidate that failed: which of its splits did not is not on record."""
    score = nan if error_score == "raise" else error_score
    row: Row = {"fit_time": nan, "score_time": nan, "test_scores": score, "n_test_samples": 0}
    if train:
        row["train_scores"] = score
    known = FITS_FAILED.search(failure)
    count = int(known[1]) if known else 0
    errors = [failure if split < count else None for split in range(splits)]
    return [{**row, "fit_error": error} for error in errors]


def metric_names(recorded: Sequence[Mapping[str, float]]) -> list[str]:
    """The metrics that a callable scorer gave.

    Example:
        >>> metric_names([{"mean_test_near": -0.1, "split0_test_near": -0.1}])
        ['near']
    """
    prefix = "mean_test_"
    longest = max(recorded, key=len, default={})  # one that failed may have fewer
    return [name[len(prefix) :] for name in longest if name.startswith(prefix)]
