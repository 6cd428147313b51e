"""Scikit-learn's estimators that learn in parts: a step is one `partial_fit` of a mini-batch."""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import is_classifier, is_regressor

from lepton.training import generators
from lepton.training.estimators import arrays
from lepton.training.gradient_settings import SPACE, START
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
from lepton_core.canonical import Params, Value, shown
from lepton_core.domains import Choice, Domain, Fixed, Float
from lepton_core.errors import CheckpointError, InputError
from lepton_core.space import Space
from lepton_tasks import skops_models

FILE = "estimator.skops"
OWN = "parameters.json"
RANDOM_STATE = "random_state"
PASSING = (RANDOM_STATE, "verbose", "n_jobs")
"""Parameters that may be others when a training goes on."""
FEW = 20  # rows that partial_fit is tried with before any training
TINY = np.finfo(np.float64).eps  # the least probability, as scikit-learn's log_loss has it

RATES: Mapping[str, Domain] = {
    "learning_rate_init": Float(1e-4, 1e-1, log=True),
    "eta0": Float(1e-4, 1.0, log=True),
    "C": Float(1e-4, 1e2, log=True),
    "var_smoothing": Float(1e-12, 1e-1, log=True),
}
PENALTY = Float(1e-7, 1e-1, log=True)
SMOOTHING = Float(1e-3, 10.0, log=True)  # of naive Bayes, which calls this alpha as well
MOMENTUM = Float(0.5, 0.99)


class PartialFitLearner:
    """An estimator with `partial_fit`, trained batch by batch.

    The estimator that was handed over is the one that is trained, and holds the result; one that
    was fitted before goes on from there. Of a user's space the names are those of the estimator's
    own parameters, and `batch_size`: the rows in a step. Unless told otherwise it is judged by log
    loss if it gives probabilities, else by the share of wrong classes; a regressor by its mean
    squared error.

    Args:
        model: The estimator, whose class is of scikit-learn.
        evaluate: ``evaluate(model, x, y) -> loss``.

    Raises:
        InputError: It has no `partial_fit`, or no loss to be judged by.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import SGDClassifier
        >>> from lepton.training.estimators.partial_fit import PartialFitLearner
        >>> learner = PartialFitLearner(SGDClassifier(loss="log_loss"))
        >>> list(learner.space)
        ['learning_rate', 'eta0', 'alpha', 'batch_size']
        >>> data = learner.prepare(([[0.0], [1.0]] * 20, [0, 1] * 20))
        >>> with learner.seeded(1):
        ...     _ = learner.train({"alpha": 1e-5}, iter([data] * 9), 9, seed=1)
        >>> learner.evaluate(data) < 0.69
        True
    """

    row_sets = True

    def __init__(self, model: Any, evaluate: Evaluate | None = None) -> None:
        self._model, self._evaluate = _checked(model), checked_judge(evaluate)
        if evaluate is None and not (is_classifier(model) or is_regressor(model)):
            raise InputError(
                f"{type(model).__name__} is no classifier and no regressor, so there is no loss "
                "that it is judged by; give evaluate=, which returns one: evaluate(model, *data)"
            )
        self._own = model.get_params()
        self.space, self.start = _default(self._own)
        self._tuned = list(self.space)
        self._classes = getattr(model, "classes_", None)
        self._was_fitted = self._classes is not None
        self._is_tried = False

    def check_space(self, space: Space) -> None:
        """See that a user's space names parameters of the estimator, or `batch_size`.

        Raises:
            InputError: It names something else.
        """
        check_names(space, self._own, type(self._model).__name__, ("batch_size",))
        self._tuned = list(space)

    def prepare(self, data: Batch) -> Batch:
        """Features as they are, the target as an array; its classes are learned.

        Raises:
            InputError: They are not what the estimator can be fitted to: it is tried, on a copy.
        """
        parts = arrays.prepared(data, unsupervised=self._evaluate is not None)
        if is_classifier(self._model) and len(parts) > 1:
            self._learn_classes(parts[1])
        if not self._is_tried:
            self._try(parts)
            self._is_tried = True
        return parts

    def rows(self, data: Batch, indices: Any) -> Batch:
        """Some rows of each part."""
        return arrays.rows(data, indices)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """NumPy's global generator is what an estimator without a `random_state` draws from."""
        return generators.seeded(seed)

    def train(self, settings: Params, batches: Iterator[Batch], steps: int, seed: int) -> float:
        """Call `partial_fit` so often; the mean of the estimator's `loss_`, where it has one."""
        del seed  # the estimator draws from its random_state, or from the global generator
        model = self._model
        model.set_params(**{**_plain(self._own), **_without_batch_size(settings)})
        _apply_to_moments(model)
        losses = []
        try:
            for _ in range(steps):
                self._fit(model, next(batches))
                losses.append(getattr(model, "loss_", math.nan))
        finally:
            if "batch_size" in self._own:
                model.batch_size = self._own["batch_size"]
        return float(np.mean(losses))

    def evaluate(self, data: Batch) -> float:
        """The loss on data that the estimator does not train on.

        Raises:
            InputError: What the user's `evaluate` returned is no number.
        """
        if self._evaluate is not None:
            return judged(self._evaluate, self._model, data)
        x, y = data
        if is_regressor(self._model):
            return float(np.mean((np.asarray(self._model.predict(x)) - y) ** 2))
        if not hasattr(self._model, "predict_proba"):
            return float(np.mean(self._model.predict(x) != y))
        return log_loss(self._model.predict_proba(x), y, self._model.classes_)

    def save(self, folder: Path) -> None:
        """The whole estimator in the skops format: moments and generators are parts of it."""
        skops.io.dump(self._model, folder / FILE)
        about = {"parameters": written(self._own, PASSING), "tuned": self._tuned}
        (folder / OWN).write_text(as_text(about), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Make the estimator that was handed over what the saved one was.

        Raises:
            CheckpointError: It is missing or damaged, or of another class.
        """
        try:
            found = skops_models.load(folder / FILE)
        except Exception as error:
            raise CheckpointError(
                f"the checkpoint in {folder} cannot be read ({error}); train from the beginning "
                "again"
            ) from error
        if type(found) is not type(self._model):
            raise CheckpointError(
                f"the checkpoint in {folder} is of a {type(found).__name__}; found a "
                f"{type(self._model).__name__} to go on with"
            )
        self._go_on_as(folder)
        if RANDOM_STATE in self._own:  # what shuffles the rows is as it was, whatever it is today
            self._own[RANDOM_STATE] = found.random_state
        vars(self._model).clear()
        vars(self._model).update(vars(found))

    def _go_on_as(self, folder: Path) -> None:
        """Have the parameters that the training began with.

        Of those that are tuned the estimator may have others by now: a member's, as one has that
        was trained before.

        Raises:
            CheckpointError: Others differ, or what they were is not there.
        """
        try:
            content = json.loads((folder / OWN).read_text(encoding="utf-8"))
            known, tuned = dict(content["parameters"]), list(content["tuned"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise CheckpointError(f"the checkpoint in {folder} has no usable {OWN}") from error
        check_same(written(self._own, (*PASSING, *tuned)), known, type(self._model).__name__)
        self._own.update({name: known[name] for name in tuned if name in known})
        self._tuned = tuned

    def model(self) -> Any:
        """The estimator that was handed over."""
        return self._model

    def _learn_classes(self, y: Any) -> None:
        if y.ndim > 1 and self._evaluate is None:
            raise InputError(
                f"y has {y.ndim} dimensions, so there is no loss that it is judged by; give "
                "evaluate=, which returns one: evaluate(model, x, y)"
            )
        found = arrays.labels(y)
        if self._classes is None:
            self._classes = found
            return
        new = [label for label in found if label not in self._classes]
        if new and (self._was_fitted or hasattr(self._model, "classes_")):
            raise InputError(
                f"y has classes that the estimator was not fitted with: {shown(new)}; it knows "
                f"{shown(list(self._classes))}"
            )
        self._classes = arrays.labels(np.concatenate([self._classes, found]))

    def _fit(self, model: Any, batch: Batch) -> None:
        if "batch_size" in self._own:
            model.batch_size = batch[0].shape[0]  # else one call would be several steps
        first = self._classes is not None and not hasattr(model, "classes_")
        if first and "classes" in inspect.signature(model.partial_fit).parameters:
            model.partial_fit(*batch, classes=self._classes)
        else:
            model.partial_fit(*batch)

    def _try(self, data: Batch) -> None:
        """Fit a copy to a few rows, so that what fails does so before any training."""
        name = type(self._model).__name__
        with generators.seeded(0):
            model = copy.deepcopy(self._model)
            try:
                self._fit(model, arrays.rows(data, np.arange(min(FEW, data[0].shape[0]))))
            except Exception as error:
                raise InputError(f"{name} cannot be fitted to the data: {error}") from error
        refused = skops_models.foreign(model)
        if refused:
            raise InputError(
                f"a checkpoint of {name} would not be safe: {skops_models.untrusted(refused)}; "
                "use an estimator of scikit-learn, with parameters of plain values"
            )


def log_loss(probabilities: Any, y: Any, classes: Any) -> float:
    """The mean of -log of the probability of each true class; NaN, where they are not finite.

    A member that diverges must not be judged by a milder measure than the others.

    Args:
        probabilities: ``(rows, classes)``.
        y: ``(rows,)``, true labels.
        classes: ``(classes,)``, in order.

    Example:
        >>> import numpy as np
        >>> from lepton.training.estimators.partial_fit import log_loss
        >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([1]), np.array([0, 1])), 4)
        0.6931
    """
    true = probabilities[np.arange(len(y)), np.searchsorted(classes, y)]
    if not np.isfinite(probabilities).all():
        return math.nan
    return float(-np.mean(np.log(np.clip(true, TINY, 1.0))))


def _checked(model: Any) -> Any:
    if isinstance(model, type) or not all(
        callable(getattr(model, name, None)) for name in ("partial_fit", "get_params", "set_params")
    ):
        raise InputError(
            f"{shown(model)} has no partial_fit, so it cannot be trained in steps; such as have: "
            "SGDClassifier, SGDRegressor, MLPClassifier and MLPRegressor (but for the solver "
            "lbfgs), Perceptron, naive Bayes"
        )
    return model


def _default(own: Mapping[str, Any]) -> tuple[Space, Params]:
    """What is tuned of an estimator with these parameters, and where that begins."""
    domains: dict[str, Domain] = {}
    start: dict[str, Value] = {"batch_size": START["batch_size"]}
    if "eta0" in own and isinstance(own.get("learning_rate"), str):
        schedules = list(dict.fromkeys([own["learning_rate"], "constant"]))
        start["learning_rate"] = schedules[0]
        domains["learning_rate"] = Choice(schedules) if len(schedules) > 1 else Fixed("constant")
    domains |= {name: domain for name, domain in RATES.items() if name in own}
    if own.get("learning_rate") == "optimal":  # a schedule that has no use for it
        domains["eta0"] = Float(1e-4, 1.0, log=True, when={"learning_rate": "constant"})
    if "fit_prior" in own:
        domains["alpha"] = SMOOTHING
    elif "alpha" in own and own.get("penalty", "l2") is not None:
        domains["alpha"] = PENALTY
    if "beta_1" in own:
        domains["beta_1" if own["solver"] == "adam" else "momentum"] = MOMENTUM
    domains["batch_size"] = SPACE.params["batch_size"]
    space, at = space_around(domains, {n: v for n, v in own.items() if n != "batch_size"}, start)
    return space, at


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those that may have been tuned: what a member's settings do not name is the user's own."""
    kinds = (bool, int, float, str, type(None))
    return {name: value for name, value in params.items() if isinstance(value, kinds)}


def _without_batch_size(settings: Params) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "batch_size"}


def _apply_to_moments(model: Any) -> None:
    """Settings that a neural network's optimizer copied when it was made.

    `partial_fit` makes it once, so `set_params` alone would change nothing.
    """
    optimizer = getattr(model, "_optimizer", None)
    if optimizer is None:
        return
    for name in ("learning_rate_init", "momentum", "beta_1", "beta_2", "epsilon", "power_t"):
        if hasattr(optimizer, name) and hasattr(model, name):
            setattr(optimizer, name, getattr(model, name))
    optimizer.learning_rate = float(model.learning_rate_init)
    optimizer.iteration_ends(model.t_)  # a rate that falls with the steps is where it was
