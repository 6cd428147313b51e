"""The objective: how well an XGBoost classifier with these params tells tumours apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold
from xgboost import XGBClassifier

FOLDS = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
X, Y = load_breast_cancer(return_X_y=True)


def cross_validate(params: Mapping[str, Any]) -> dict[str, float]:
    """The mean log loss and accuracy over five folds that are always the same."""
    losses, accuracies = [], []
    for train, test in FOLDS.split(X, Y):
        model = XGBClassifier(**params, n_jobs=1, random_state=0)
        model.fit(X[train], Y[train])
        probability = model.predict_proba(X[test])
        losses.append(log_loss(Y[test], probability))
        accuracies.append(accuracy_score(Y[test], probability.argmax(axis=1)))
    return {"loss": sum(losses) / 5, "accuracy": sum(accuracies) / 5}


def objective(trial: Mapping[str, Any]) -> dict[str, float]:
    """What Lepton calls: the trial reads like a mapping of params."""
    return cross_validate(dict(trial))
