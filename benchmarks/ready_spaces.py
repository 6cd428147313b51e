"""Models tuned in the ready spaces, beside their defaults, on data that neither has seen.

Each data set is halved at random; a model is tuned by cross-validation in three folds on the one
half, fitted there, and judged on the other, as is the model with its defaults. All data is scaled.
The loss is the log loss; of the SVM, which gives no probabilities, the error.

Run it with ``python benchmarks/ready_spaces.py --help``: some ten minutes.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from statistics import mean
from typing import Any

import lepton

ROWS = 600  # of a data set, at most


def models() -> dict[str, tuple[Any, dict[str, Any]]]:
    """The estimators, and what each is given beside the params searched."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC
    from xgboost import XGBClassifier

    return {
        "xgboost": (XGBClassifier, {"n_jobs": 1}),
        "lightgbm": (LGBMClassifier, {"n_jobs": 1, "verbose": -1}),
        "hist_gradient_boosting": (HistGradientBoostingClassifier, {}),
        "random_forest": (RandomForestClassifier, {}),
        "svc": (SVC, {"max_iter": 200_000}),
        "mlp": (MLPClassifier, {}),
        "logistic_regression": (LogisticRegression, {"max_iter": 500}),
    }


def halves(data: str, seed: int) -> Any:
    """Two halves of a data set: their rows, then their targets."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{data}")(return_X_y=True)
    if len(y) > ROWS:
        size = ROWS - 1
        x, _, y, _ = train_test_split(x, y, train_size=size, stratify=y, random_state=seed)
    return train_test_split(x, y, test_size=0.5, stratify=y, random_state=seed)


def losses(name: str, data: str, seed: int, trials: int) -> Iterator[float]:
    """In cross-validation and on the other half: default, tuned; default, tuned."""
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind, given = models()[name]
    x, other_x, y, other_y = halves(data, seed)
    scoring = "accuracy" if name == "svc" else "neg_log_loss"
    best_score = 1.0 if name == "svc" else 0.0
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)

    def model(params: dict[str, Any]) -> Any:
        return make_pipeline(StandardScaler(), kind(**given, **params, random_state=0))

    def objective(trial: Any) -> float:
        found = cross_val_score(model(dict(trial)), x, y, cv=folds, scoring=scoring)
        return float(best_score - found.mean())

    space = getattr(lepton.spaces, name)()
    optimizer = lepton.Optimizer(space, seed=seed).minimize(objective, trials=trials)
    yield objective({})
    yield optimizer.best_loss
    for params in ({}, optimizer.best_params):
        yield float(best_score - get_scorer(scoring)(model(params).fit(x, y), other_x, other_y))


def main() -> int:
    """Tune, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="+", default=["breast_cancer", "digits"])
    parser.add_argument("--models", nargs="+", default=list(models()))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of convergence, and of what LightGBM says of names
    print(f"{'':40}{'cross-validated':>18}{'other half':>18}")
    print(f"{'':40}{'default':>9}{'tuned':>9}{'default':>9}{'tuned':>9}")
    for data in arguments.data:
        for name in arguments.models:
            seeds = range(arguments.seeds)
            found = [list(losses(name, data, seed, arguments.trials)) for seed in seeds]
            means = "".join(f"{mean(column):9.3f}" for column in zip(*found, strict=True))
            print(f"{data:16}{name:24}{means}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
