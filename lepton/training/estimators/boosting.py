"""XGBoost's estimators: a step is one round of boosting, on all of the training data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from lepton.training import generators
from lepton.training.estimators import arrays
from lepton.training.learner import Batch, Evaluate
from lepton.training.own_settings import (
    as_text,
    check_names,
    check_same,
    checked_judge,
    judged,
    space_around,
    written,
)
from lepton_core.canonical import Params, shown
from lepton_core.domains import Domain, Float, Int
from lepton_core.errors import CheckpointError, InputError
from lepton_core.space import Space

BOOSTER, ROUNDS = "booster.ubj", "boosting.json"
HIGHER_IS_BETTER = ("auc", "aucpr", "map", "ndcg", "pre")
MULTICLASS = 2  # more classes than this
MATRICES = 2  # kept: of the training data, and of those held out
FEW = 20  # rows that are tried before any training

RATE: Mapping[str, Domain] = {"learning_rate": Float(0.01, 1.0, log=True)}
OF_TREES: Mapping[str, Domain] = {
    "max_depth": Int(1, 11),
    "min_child_weight": Float(0.1, 100.0, log=True),
    "subsample": Float(0.5, 1.0),
    "colsample_bytree": Float(0.5, 1.0),
    "gamma": Float(1e-8, 7.0, log=True),
}
PENALTY: Mapping[str, Domain] = {"reg_lambda": Float(0.1, 100.0, log=True)}
DEFAULTS: Params = {
    "learning_rate": 0.3,
    "max_depth": 6,
    "min_child_weight": 1.0,
    "subsample": 1.0,
    "colsample_bytree": 1.0,
    "gamma": 0.0,
    "reg_lambda": 1.0,
}
"""XGBoost's own, where the estimator says nothing."""


class BoostingLearner:
    """An XGBoost estimator whose booster grows by one round in a step, with the member's settings.

    Each interval begins from the booster's bytes and seeds each round by itself
    (``seed_per_iteration``), so it gives the same trees in this process and in any other. Of a
    user's space the names are those of the estimator's parameters. Unless told otherwise the model
    is judged by its own last `eval_metric`, or by that of its objective: log loss, RMSE. One that
    was fitted before goes on from its booster.

    The ranges are those of `lepton.spaces.xgboost`, wider where small data and single rounds ask
    for it: the rate up to 1, leaves of less weight than 1.

    Args:
        model: An ``XGBClassifier`` or ``XGBRegressor``; not the random forests, not the ranker.
        evaluate: ``evaluate(model, x, y) -> loss``.

    Raises:
        InputError: It is another one, or is set up for what rounds one by one cannot do.

    Example:
        >>> import numpy as np, xgboost
        >>> from lepton.training.estimators.boosting import BoostingLearner
        >>> learner = BoostingLearner(xgboost.XGBRegressor(n_jobs=1))
        >>> x = np.arange(20.0).reshape(-1, 1)
        >>> data = learner.prepare((x, x[:, 0]))
        >>> loss = learner.train({"max_depth": 2}, iter([data] * 9), 9, seed=1)
        >>> learner.evaluate(data) < 2, learner.model().predict(x).shape
        (True, (20,))
    """

    row_sets = False

    def __init__(self, model: Any, evaluate: Evaluate | None = None) -> None:
        self._model, self._evaluate = _checked(model), checked_judge(evaluate)
        # As they were: to load a booster writes into the estimator's parameters.
        self._own = model.get_params()
        self._params = {k: v for k, v in model.get_xgb_params().items() if v is not None}
        if evaluate is None:
            _check_metric(self._own.get("eval_metric"))
        linear = self._own.get("booster") == "gblinear"
        domains = {**RATE, **({} if linear else OF_TREES), **PENALTY}
        said = {name: self._own.get(name) for name in domains}
        own = {name: DEFAULTS[name] if v is None else v for name, v in said.items()}
        self.space, self.start = space_around(domains, own, DEFAULTS)
        self._tuned = list(self.space)
        self._classes = 0
        self._raw: bytes | None = None
        if model.__sklearn_is_fitted__():
            self._raw = bytes(model.get_booster().save_raw("ubj"))
            self._classes = getattr(model, "n_classes_", 0)
        self._handed_over = dict(vars(model))
        self._is_loaded = True
        self._columns: int | None = None
        self._matrices: list[tuple[Batch, Any]] = []

    def check_space(self, space: Space) -> None:
        """See that a user's space names parameters of the estimator.

        Raises:
            InputError: It names something else, or what rounds one by one have no use for.
        """
        known = {name: value for name, value in self._own.items() if name not in _WITHOUT_USE}
        check_names(space, known, type(self._model).__name__, ())
        self._tuned = list(space)

    def prepare(self, data: Batch) -> Batch:
        """Features as they are, the target as an array.

        Raises:
            InputError: They are not what XGBoost takes.
        """
        parts = arrays.prepared(data)
        if isinstance(self._model, xgboost.XGBClassifier):
            self._learn_classes(parts[1])
        few = _matrix(arrays.rows(parts, np.arange(min(FEW, len(parts[1])))), self._own)
        self._columns = few.num_col()
        return parts

    def rows(self, data: Batch, indices: Any) -> Batch:
        """Some rows of each part: a share of the data for training, and one held out."""
        return arrays.rows(data, indices)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """XGBoost's generators are keyed in each round; these are the process's own."""
        return generators.seeded(seed)

    def train(self, settings: Params, batches: Iterator[Batch], steps: int, seed: int) -> float:
        """Boost so many rounds more; the mean training loss, by the metric that judges."""
        matrix = self._matrix(next(batches))
        booster = self._booster({**settings, "random_state": seed}, [matrix])
        done, losses = booster.num_boosted_rounds(), []
        for i in range(steps):
            booster.update(matrix, done + i)
            losses.append(self._loss(booster, matrix))
        self._raw, self._is_loaded = bytes(booster.save_raw("ubj")), False
        return float(np.mean(losses))

    def evaluate(self, data: Batch) -> float:
        """The loss on data that the model does not train on.

        Raises:
            InputError: What the user's `evaluate` returned is no number.
        """
        if self._evaluate is not None:
            return judged(self._evaluate, self.model(), data)
        matrix = self._matrix(data)
        return self._loss(self._booster({}, [matrix]), matrix)

    def save(self, folder: Path) -> None:
        """The booster in XGBoost's own format, UBJSON: trees, and no code."""
        (folder / ROUNDS).write_text(as_text({"begun": self._raw is not None, **self._written()}))
        if self._raw is not None:
            (folder / BOOSTER).write_bytes(self._raw)

    def load(self, folder: Path) -> None:
        """Go on from a booster, or from none.

        Raises:
            CheckpointError: It is missing or damaged, or of other data or another estimator.
        """
        try:
            content = json.loads((folder / ROUNDS).read_text())
            known, tuned = dict(content["parameters"]), list(content["tuned"])
            raw = (folder / BOOSTER).read_bytes() if content["begun"] else None
            if raw is not None:
                self._check(raw)
        except (OSError, ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(
                f"the checkpoint in {folder} cannot be read ({why}); train from the beginning again"
            ) from error
        self._go_on_as(known, tuned)
        self._raw, self._is_loaded = raw, False

    def _written(self) -> dict[str, Any]:
        """The parameters that the training begins with, and which of them are tuned."""
        # As XGBoost has the objective: that is what a booster writes into its estimator.
        own = {**self._own, "objective": {**self._own, **self._objective()}.get("objective")}
        return {"parameters": written(own, _PASSING), "tuned": self._tuned}

    def _go_on_as(self, known: dict[str, Any], tuned: list[str]) -> None:
        """Have the parameters that the training began with.

        Raises:
            CheckpointError: Others than those that are tuned differ.
        """
        now = {k: v for k, v in self._written()["parameters"].items() if k not in tuned}
        check_same(now, known, type(self._model).__name__)
        for name in tuned:
            self._params.pop(name, None)
            if known.get(name) is not None:
                self._params[name] = known[name]
        self._tuned = tuned

    def model(self) -> Any:
        """The estimator that was handed over, with the booster as it is now."""
        if not self._is_loaded:
            vars(self._model).clear()
            vars(self._model).update(self._handed_over)
            if self._raw is not None:
                # Not into the booster that is there: that may be the one that was handed over.
                vars(self._model).pop("_Booster", None)
                self._model.load_model(bytearray(self._raw))
                # What the booster knows better; as a param it would bind the user's next `fit`.
                self._model.base_score = self._own.get("base_score")
            self._is_loaded = True
        return self._model

    def _booster(self, settings: Params, matrices: list[Any]) -> Any:
        params = {**self._params, **self._objective(), "seed_per_iteration": True, **settings}
        raw = None if self._raw is None else bytearray(self._raw)
        return xgboost.Booster(params, matrices, model_file=raw)

    def _objective(self) -> dict[str, Any]:
        """As the estimator's own `fit` has it."""
        if self._classes <= MULTICLASS:
            return {}
        softmax = self._params.get("objective") == "multi:softmax"
        objective = "multi:softmax" if softmax else "multi:softprob"
        return {"objective": objective, "num_class": self._classes}

    def _matrix(self, data: Batch) -> Any:
        """The data as XGBoost sorts it, once: it does not change."""
        for entry in self._matrices:
            if all(part is other for part, other in zip(entry[0], data, strict=True)):
                break
        else:
            entry = data, _matrix(data, self._own)
        self._matrices = [entry, *(e for e in self._matrices if e is not entry)][:MATRICES]
        return entry[1]

    def _loss(self, booster: Any, matrix: Any) -> float:
        """The last metric, of which early stopping takes the last one too."""
        if self._evaluate is not None:
            return math.nan
        return float(booster.eval(matrix).rpartition(":")[2])

    def _learn_classes(self, y: Any) -> None:
        found = arrays.labels(y)
        if found.dtype.kind not in "biuf" or (found != np.floor(found)).any() or found[0] < 0:
            raise InputError(
                f"y has the labels {shown(list(found))}; XGBoost's classes are numbered from 0: "
                "use sklearn.preprocessing.LabelEncoder"
            )
        if self._raw is not None and found[-1] >= self._classes:
            raise InputError(
                f"y has the class {found[-1]}; the model was fitted with {self._classes} classes"
            )
        self._classes = max(self._classes, int(found[-1]) + 1)

    def _check(self, raw: bytes) -> None:
        booster = xgboost.Booster(model_file=bytearray(raw))
        if self._columns not in (None, booster.num_features()):
            raise ValueError(
                f"it is of {booster.num_features()} features, the data has {self._columns}"
            )


_PASSING = (
    *("n_estimators", "random_state", "n_jobs", "verbosity", "device"),
    # These a booster writes into the estimator that it is loaded into.
    *("booster", "base_score", "feature_types", "enable_categorical"),
)
"""Parameters that may be others when a training goes on."""
_WITHOUT_USE = ("n_estimators", "early_stopping_rounds", "callbacks", "random_state")


def _matrix(data: Batch, own: Mapping[str, Any]) -> Any:
    """The data as XGBoost has it, as the estimator says.

    Raises:
        InputError: XGBoost does not take it.
    """
    x, y = data
    try:
        return xgboost.DMatrix(
            x,
            label=y,
            missing=own.get("missing", math.nan),
            nthread=own.get("n_jobs"),
            feature_types=own.get("feature_types"),
            enable_categorical=bool(own.get("enable_categorical")),
        )
    except (TypeError, ValueError, xgboost.core.XGBoostError) as error:
        raise InputError(f"XGBoost cannot take the data: {error}") from error


def _checked(model: Any) -> Any:
    kinds = (xgboost.XGBClassifier, xgboost.XGBRegressor)
    others = (xgboost.XGBRFClassifier, xgboost.XGBRFRegressor)
    if not isinstance(model, kinds) or isinstance(model, others):
        raise InputError(
            f"found {shown(type(model))}; expected an XGBClassifier or an XGBRegressor, which grow "
            "round by round"
        )
    for name in ("early_stopping_rounds", "callbacks"):
        if getattr(model, name, None) is not None:
            raise InputError(
                f"the estimator has {name}, which has no use here: `steps` says how many rounds "
                "there are; leave it out"
            )
    if callable(model.objective):
        raise InputError(
            "the estimator's objective is a function; expected one of XGBoost's own, by its name"
        )
    return model


def _check_metric(metric: Any) -> None:
    """See that a lower value of the metric that judges is a better one."""
    last = metric[-1] if isinstance(metric, list | tuple) and metric else metric
    if callable(last) or str(last).partition("@")[0] in HIGHER_IS_BETTER:
        raise InputError(
            f"eval_metric is {shown(last)}; expected the name of a metric that is lower when "
            "better, such as logloss or rmse; or give evaluate=, which returns a loss"
        )
