"""Which learner trains a model: told by the libraries that its class comes from."""

from __future__ import annotations

import importlib
from typing import Any

from lepton.training.learner import Evaluate, Learner, TrainStep
from lepton_core.canonical import shown
from lepton_core.errors import InputError, MissingExtraError

POSSIBLE = (
    "a Keras model, a torch.nn.Module, a scikit-learn estimator with partial_fit, an XGBClassifier "
    "or an XGBRegressor"
)


def learner_for(
    model: Any,
    *,
    train_step: TrainStep | None = None,
    evaluate: Evaluate | None = None,
    base_optimizer: Any | None = None,
) -> Learner:
    """The learner of a model's framework, around this model.

    Args:
        model: An instance, not a class.
        train_step: ``train_step(model, *batch) -> loss``; for Keras and PyTorch, which need one.
        evaluate: ``evaluate(model, *data) -> loss``; None: as the learner judges by itself.
        base_optimizer: What updates the model, for Keras and PyTorch; None: AdamW.

    Raises:
        InputError: Nothing here trains such a model, or an argument is missing or of no use.
        MissingExtraError: A library is not installed.

    Example:
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from lepton.training.frameworks import learner_for
        >>> type(learner_for(GaussianNB())).__name__
        'PartialFitLearner'
    """
    if evaluate is not None and not callable(evaluate):
        raise InputError(f"evaluate is {shown(evaluate)}; expected a function, or None")
    found = _framework(model)
    if found in ("keras", "torch"):
        if not callable(train_step):
            raise InputError(
                f"train_step is {shown(train_step)}; expected a function train_step(model, x, y) "
                "that takes a step on a batch and returns its loss"
            )
        where = "keras.learner.KerasLearner" if found == "keras" else "torch.learner.TorchLearner"
        extra = "tensorflow" if found == "keras" else "torch"
        return _class(where, extra)(model, train_step, evaluate, base_optimizer)  # type: ignore[no-any-return]
    name = type(model).__name__
    for argument, given in (("train_step", train_step), ("base_optimizer", base_optimizer)):
        if given is not None:
            raise InputError(
                f"{argument} is given, and a {name} has no use for it: it is trained by its own "
                "method; leave it out, as in minimize(steps=..., model=..., data=(x, y))"
            )
    if found == "xgboost":
        return _class("estimators.boosting.BoostingLearner", "xgboost")(model, evaluate)  # type: ignore[no-any-return]
    return _class("estimators.partial_fit.PartialFitLearner", None)(model, evaluate)  # type: ignore[no-any-return]


def _framework(model: Any) -> str:
    """The framework of a model, by the first word of the modules of its class and bases.

    Raises:
        InputError: It is none of those that are possible.
    """
    if isinstance(model, type):
        raise InputError(
            f"model is the class {model.__name__}; expected a model: {model.__name__}(...)"
        )
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in roots:
        import keras  # noqa: PLC0415  (it is there, as it made the model)

        backend = keras.backend.backend()
        if backend in ("tensorflow", "torch"):
            return "keras" if backend == "tensorflow" else "torch"
        raise InputError(
            f"the model is Keras's on the backend {backend}; expected tensorflow or torch: set "
            "KERAS_BACKEND before Keras is imported"
        )
    if "torch" in roots:
        return "torch"
    if "xgboost" in roots:
        return "xgboost"
    if callable(getattr(model, "partial_fit", None)):
        return "partial_fit"
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise InputError(f"model is a {kind}, which nothing here trains in steps; expected {POSSIBLE}")


def _class(where: str, extra: str | None) -> Any:
    """A learner's class, imported when it is needed.

    Raises:
        MissingExtraError: A library that it works with is not installed.
    """
    module, _, name = where.rpartition(".")
    try:
        return getattr(importlib.import_module(f"lepton.training.{module}"), name)
    except MissingExtraError:
        raise
    except ImportError as error:
        if extra is None or (error.name or "").partition(".")[0] == "lepton":
            raise
        raise MissingExtraError(
            f"to train this model needs a library that is not installed ({error}); install it: "
            f"pip install 'lepton-tuning[{extra}]'",
            extra=extra,
        ) from error
