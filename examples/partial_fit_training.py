"""Tune a scikit-learn estimator while it trains: ``python examples/partial_fit_training.py``.

A step is one `partial_fit` of a mini-batch, so there is no train step to write. The estimator's
own settings (here its rate, beta 1 and penalty) and the batch size follow a schedule that Lepton
finds as it trains; at the end the estimator that was handed over is the best one.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import lepton

STEPS = 400

x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, random_state=0, stratify=y)
model = MLPClassifier((64,), random_state=0)
optimizer = lepton.Optimizer(seed=0)

if __name__ == "__main__":
    optimizer.minimize(steps=STEPS, model=model, data=(x, y))
    print("Best loss: ", optimizer.best_loss)
    print("Best model:", optimizer.best_model)
    print("Accuracy on rows that chose nothing:", model.score(x_test, y_test))
