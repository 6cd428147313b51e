"""Real, noisy objectives: scikit-learn's bundled data and small models, tens of milliseconds each.

Every evaluation draws its own folds and the model's seed from the trial's seed, so the same params
give another loss each time. What a search is judged by is the true loss of the params that it
recommends: the mean over `REPEATS` evaluations with seeds that no trial can have.

The split is fixed once: settings are chosen on `DEVELOPMENT`, results are reported on `REPORT`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import datasets, metrics, model_selection
from threadpoolctl import threadpool_limits

from lepton_core.rng import TRIAL_SEEDS, rng
from lepton_core.space import Choice, Float, Int, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DEVELOPMENT = ("svc", "forest", "boosting")
REPORT = ("mlp", "xgboost", "pipeline")
REPEATS = 20
REFERENCES = Path(__file__).parent / "data" / "real_references.json"  # `references.py real`


@dataclass(frozen=True)
class Task:
    """A model, data, and what is measured by cross-validation.

    Attributes:
        data: The features and targets.
        make: The model for params and a seed in [0, 2**31).
        score: The loss of a fitted model on features and targets.
    """

    name: str
    space: Space
    data: Callable[[], tuple[Array, Array]]
    make: Callable[[Mapping[str, Any], int], Any]
    score: Callable[[Any, Array, Array], float]
    folds: int = 3

    def loss(self, params: Mapping[str, Any], seed: int) -> float:
        """The mean loss over folds that the seed draws."""
        x, y = self.data()
        are_classes = len(np.unique(y)) < len(y) // 4
        kind = model_selection.StratifiedKFold if are_classes else model_selection.KFold
        folds = kind(self.folds, shuffle=True, random_state=seed)
        model_seed = seed % TRIAL_SEEDS
        found = []
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # no convergence is a bad loss, not a message
            for train, test in folds.split(x, y):
                model = self.make(params, model_seed).fit(x[train], y[train])
                found.append(self.score(model, x[test], y[test]))
        return float(np.mean(found))

    def true_loss(self, params: Mapping[str, Any]) -> float:
        """The mean loss over the seeds that no trial can have."""
        return float(np.mean([self.loss(params, int(seed)) for seed in fresh_seeds(self.name)]))


def fresh_seeds(name: str) -> Array:
    """``(REPEATS,)`` seeds above those that trials have."""
    return rng(0, "real", name).integers(TRIAL_SEEDS, 2 * TRIAL_SEEDS, size=REPEATS)


def tasks() -> dict[str, Task]:
    """All six by name."""
    return {one.name: one for one in (_svc(), _forest(), _boosting(), _mlp(), _xgboost(), _pipe())}


def references() -> dict[str, dict[str, float]]:
    """By name: the `best` true loss known and the `usual` one, the median of random params."""
    if not REFERENCES.exists():
        return {}
    return dict(json.loads(REFERENCES.read_text())["tasks"])


@cache
def _sample(load: Callable[..., Any], rows: int) -> tuple[Array, Array]:
    """So many rows of a data set, always the same, standardised."""
    x, y = load(return_X_y=True)
    chosen = rng(0, "real", "rows").permutation(len(y))[:rows]
    x, y = x[chosen].astype(float), y[chosen]
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9), y


def _error(model: Any, x: Array, y: Array) -> float:
    return float(np.mean(model.predict(x) != y))


def _log_loss(model: Any, x: Array, y: Array) -> float:
    return float(metrics.log_loss(y, model.predict_proba(x), labels=model.classes_))


def _unexplained(model: Any, x: Array, y: Array) -> float:
    return 1 - float(metrics.r2_score(y, model.predict(x)))


def _svc() -> Task:
    from sklearn.svm import SVC

    return Task(
        "svc",
        Space(
            {
                "C": Float(1e-3, 1e4, log=True),
                "kernel": Choice(["rbf", "poly", "sigmoid"]),
                "gamma": Float(1e-5, 10.0, log=True),
                "degree": Int(2, 5, when={"kernel": "poly"}),
                "coef0": Float(-1.0, 1.0, when={"kernel": ["poly", "sigmoid"]}),
                "shrinking": Choice([True, False]),
            }
        ),
        lambda: _sample(datasets.load_digits, 360),
        lambda params, seed: SVC(**params, random_state=seed, max_iter=5000),
        _error,
    )


def _forest() -> Task:
    from sklearn.ensemble import RandomForestRegressor

    return Task(
        "forest",
        Space(
            {
                "n_estimators": Int(2, 24, log=True),
                "max_depth": Int(1, 16),
                "max_features": Float(0.05, 1.0),
                "min_samples_split": Int(2, 64, log=True),
                "min_samples_leaf": Int(1, 32, log=True),
                "bootstrap": Choice([True, False]),
                "max_samples": Float(0.1, 1.0, when={"bootstrap": True}),
                "criterion": Choice(["squared_error", "friedman_mse"]),
            }
        ),
        lambda: _sample(datasets.load_diabetes, 442),
        lambda params, seed: RandomForestRegressor(**params, random_state=seed),
        _unexplained,
        folds=2,
    )


def _boosting() -> Task:
    from sklearn.ensemble import GradientBoostingClassifier

    return Task(
        "boosting",
        Space(
            {
                "learning_rate": Float(1e-3, 1.0, log=True),
                "n_estimators": Int(4, 48, log=True),
                "max_depth": Int(1, 6),
                "subsample": Float(0.2, 1.0),
                "max_features": Float(0.05, 1.0),
                "min_samples_leaf": Int(1, 40, log=True),
                "min_impurity_decrease": Float(1e-6, 1.0, log=True),
            }
        ),
        lambda: _sample(datasets.load_breast_cancer, 300),
        lambda params, seed: GradientBoostingClassifier(**params, random_state=seed),
        _log_loss,
        folds=2,
    )


def _mlp() -> Task:
    from sklearn.neural_network import MLPClassifier

    def make(params: Mapping[str, Any], seed: int) -> Any:
        layers = [params["units"], *([params["units_2"]] if params["layers"] == 2 else [])]
        return MLPClassifier(
            hidden_layer_sizes=layers,
            activation=params["activation"],
            alpha=params["alpha"],
            learning_rate_init=params["learning_rate"],
            batch_size=params["batch_size"],
            beta_1=params["beta_1"],
            max_iter=12,
            random_state=seed,
        )

    return Task(
        "mlp",
        Space(
            {
                "layers": Int(1, 2),
                "units": Int(4, 64, log=True),
                "units_2": Int(4, 64, log=True, when={"layers": 2}),
                "activation": Choice(["relu", "tanh", "logistic"]),
                "alpha": Float(1e-6, 10.0, log=True),
                "learning_rate": Float(1e-4, 0.3, log=True),
                "batch_size": Int(16, 128, log=True),
                "beta_1": Float(0.5, 0.99),
            }
        ),
        lambda: _sample(datasets.load_digits, 300),
        make,
        _log_loss,
        folds=2,
    )


def _xgboost() -> Task:
    from xgboost import XGBClassifier

    return Task(
        "xgboost",
        Space(
            {
                "booster": Choice(["gbtree", "gblinear", "dart"]),
                "n_estimators": Int(4, 40, log=True),
                "learning_rate": Float(1e-3, 1.0, log=True),
                "reg_lambda": Float(1e-3, 100.0, log=True),
                "reg_alpha": Float(1e-3, 100.0, log=True),
                "max_depth": Int(1, 10, when={"booster": ["gbtree", "dart"]}),
                "min_child_weight": Float(
                    0.1, 32.0, log=True, when={"booster": ["gbtree", "dart"]}
                ),
                "subsample": Float(0.2, 1.0, when={"booster": ["gbtree", "dart"]}),
                "colsample_bytree": Float(0.05, 1.0, when={"booster": ["gbtree", "dart"]}),
                "rate_drop": Float(0.0, 0.8, when={"booster": "dart"}),
            }
        ),
        lambda: _sample(datasets.load_breast_cancer, 400),
        lambda params, seed: XGBClassifier(**params, random_state=seed, n_jobs=1),
        _log_loss,
    )


def _pipe() -> Task:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    def model(params: Mapping[str, Any], seed: int) -> Any:
        of = {k.split(".")[1]: v for k, v in params.items() if k.startswith(f"{params['model']}.")}
        match params["model"]:
            case "svc":
                return SVC(**of, random_state=seed, max_iter=5000)
            case "forest":
                return RandomForestClassifier(**of, random_state=seed)
            case "logistic":
                return LogisticRegression(**of, max_iter=60, random_state=seed)
            case _:
                return KNeighborsClassifier(**of)

    def make(params: Mapping[str, Any], seed: int) -> Any:
        if not params["reduce"]:
            return make_pipeline(model(params, seed))
        pca = PCA(params["components"], whiten=params["whiten"], random_state=seed)
        return make_pipeline(pca, model(params, seed))

    return Task(
        "pipeline",
        Space(
            {
                "reduce": Choice([True, False]),
                "components": Int(2, 48, when={"reduce": True}),
                "whiten": Choice([True, False], when={"reduce": True}),
                "model": Choice(["svc", "forest", "logistic", "knn"]),
                "svc.C": Float(1e-3, 1e3, log=True, when={"model": "svc"}),
                "svc.gamma": Float(1e-5, 10.0, log=True, when={"model": "svc"}),
                "forest.n_estimators": Int(2, 24, log=True, when={"model": "forest"}),
                "forest.max_depth": Int(1, 16, when={"model": "forest"}),
                "forest.max_features": Float(0.05, 1.0, when={"model": "forest"}),
                "logistic.C": Float(1e-4, 100.0, log=True, when={"model": "logistic"}),
                "knn.n_neighbors": Int(1, 40, log=True, when={"model": "knn"}),
                "knn.weights": Choice(["uniform", "distance"], when={"model": "knn"}),
                "knn.p": Choice([1, 2], when={"model": "knn"}),
            }
        ),
        lambda: _sample(datasets.load_digits, 360),
        make,
        _error,
    )
