"""Tune XGBoost while it boosts: ``python examples/boosting_training.py``.

A step is one round of boosting, so the learning rate, the depth of the trees and the shares of rows
and columns may change from round to round. At the end the estimator that was handed over holds the
best booster.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

import lepton

ROUNDS = 40

x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
model = XGBClassifier()
optimizer = lepton.Optimizer(seed=0)

if __name__ == "__main__":
    optimizer.minimize(steps=ROUNDS, interval=5, model=model, data=(x, y))
    print("Best loss: ", optimizer.best_loss)
    print("Rounds:    ", optimizer.best_model.get_booster().num_boosted_rounds())
    print("Accuracy on rows that chose nothing:", model.score(x_test, y_test))
