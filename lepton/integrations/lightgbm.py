"""Reporting while LightGBM trains: `lightgbm.train`, `lightgbm.cv`, the scikit-learn estimators."""

from __future__ import annotations

from typing import Any

from lepton.integrations.evaluations import chosen
from lepton.integrations.extras import checked_name, checked_trial, missing
from lepton_core.trial import Trial

try:
    from lightgbm.callback import EarlyStopException
except ModuleNotFoundError as error:
    raise missing("lightgbm", error) from error

__all__ = ["ReportCallback"]

BEFORE_EARLY_STOPPING = 25  # LightGBM calls callbacks by their order, its early_stopping at 30


class ReportCallback:
    """Reports an evaluation after each round of boosting; ends the training when told to stop.

    With `lightgbm.cv` it reports the mean over the folds. The step is LightGBM's iteration, from 0,
    or from where an ``init_model`` ended. The value is LightGBM's own: a metric that is better when
    higher is reported as it is. A training that is ended gives back its booster, as after early
    stopping.

    Args:
        trial: What the objective was given.
        metric: ``DATASET-METRIC``, such as ``"valid_0-binary_logloss"``. A metric alone will do
            if it is of one dataset; None, if only one is evaluated.

    Raises:
        InputError: At once, if an argument is wrong; after the first round, if that evaluation is
            not there.

    Example:
        >>> import lightgbm, numpy as np
        >>> from lepton import Trial
        >>> from lepton.integrations.lightgbm import ReportCallback
        >>> def objective(trial):
        ...     X = np.arange(80.0).reshape(-1, 1)
        ...     data = lightgbm.Dataset(X, X[:, 0])
        ...     params = {"num_leaves": trial["leaves"], "metric": "l2", "verbose": -1}
        ...     report = ReportCallback(trial, "test-l2")
        ...     booster = lightgbm.train(
        ...         params, data, 3, valid_sets=[data], valid_names=["test"], callbacks=[report]
        ...     )
        ...     return float(booster.best_score["test"]["l2"])
        >>> objective(Trial({"leaves": 4})) < 500
        True
    """

    def __init__(self, trial: Trial, metric: str | None = None) -> None:
        self.trial = checked_trial(trial)
        self.metric = None if metric is None else checked_name(metric, "metric")
        self.order, self.before_iteration = BEFORE_EARLY_STOPPING, False

    def __call__(self, env: Any) -> None:
        """Report the round.

        Raises:
            EarlyStopException: The trial is to stop; LightGBM catches it.
        """
        results = env.evaluation_result_list or []
        found = {}
        for row in results:
            dataset, name = row[0], row[1]
            if dataset == "cv_agg":  # so before LightGBM 4.6
                dataset, _, name = name.partition(" ")
            found[dataset, name] = row[2]
        how = "give lightgbm.train its valid_sets, or fit its evaluation set"
        self.trial.report(env.iteration, chosen(found, self.metric, how))
        if self.trial.should_stop():
            raise EarlyStopException(env.iteration, results)
