"""Reporting while XGBoost trains: `xgboost.train`, `xgboost.cv` and the scikit-learn estimators."""

from __future__ import annotations

from typing import Any

from lepton.integrations.evaluations import chosen
from lepton.integrations.extras import checked_name, checked_trial, missing
from lepton_core.trial import Trial

try:
    from xgboost.callback import TrainingCallback
except ModuleNotFoundError as error:
    raise missing("xgboost", error) from error

__all__ = ["ReportCallback"]


class ReportCallback(TrainingCallback):
    """Reports an evaluation after each round of boosting; ends the training when told to stop.

    With `xgboost.cv` it reports the mean over the folds. The step is the number of the round, from
    0. The value is XGBoost's own: a metric that is better when higher is reported as it is. Give it
    before an `EarlyStopping` of your own, which else keeps the last round from it.

    Args:
        trial: What the objective was given.
        metric: ``DATASET-METRIC`` as XGBoost prints it, such as ``"validation_0-logloss"`` with
            the scikit-learn estimators, ``"test-logloss"`` with ``evals=[(dtest, "test")]``. A
            metric alone will do if it is of one dataset; None, if only one is evaluated.

    Raises:
        InputError: At once, if an argument is wrong; after the first round, if that evaluation is
            not there.

    Example:
        >>> import numpy as np, xgboost
        >>> from lepton import Trial
        >>> from lepton.integrations.xgboost import ReportCallback
        >>> def objective(trial):
        ...     X = np.arange(20.0).reshape(-1, 1)
        ...     model = xgboost.XGBRegressor(
        ...         n_estimators=3, max_depth=trial["depth"], callbacks=[ReportCallback(trial)]
        ...     )
        ...     model.fit(X, X[:, 0], eval_set=[(X, X[:, 0])], verbose=False)
        ...     return model.evals_result()["validation_0"]["rmse"][-1]
        >>> objective(Trial({"depth": 2})) < 5
        True
    """

    def __init__(self, trial: Trial, metric: str | None = None) -> None:
        super().__init__()
        self.trial = checked_trial(trial)
        self.metric = None if metric is None else checked_name(metric, "metric")

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Report the round; true ends the training."""
        found = {
            (dataset, name): values[-1]
            for dataset, metrics in evals_log.items()
            for name, values in metrics.items()
        }
        how = "give xgboost.train its evals, or fit its eval_set"
        value: Any = chosen(found, self.metric, how)
        folds = isinstance(value, tuple)  # of cv: the mean and its deviation
        self.trial.report(epoch, value[0] if folds else value)
        stop = self.trial.should_stop()
        if stop and folds and model.attr("best_iteration") is None:
            model.set_attr(best_iteration=str(epoch))  # where cv cuts its table when it is stopped
        return stop
