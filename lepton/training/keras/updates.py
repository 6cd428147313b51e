"""What updates a Keras model: an optimizer of Keras whose settings are variables.

A train step that is compiled by ``tf.function`` is traced once, and what Python numbers said then
is said forever. So each setting is a variable, which the trace reads anew in every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from lepton.training.gradient_settings import SPACE, START
from lepton_core.canonical import Params, shown
from lepton_core.domains import Float
from lepton_core.errors import InputError
from lepton_core.space import Space

EXPECTED = (
    "optimizer.apply_gradients(zip(gradients, model.trainable_variables)), with gradients = "
    "tape.gradient(loss, model.trainable_variables)"
)


class _Momentum(keras.Variable):  # type: ignore[misc]  # Keras carries no types
    """A momentum that is always in use.

    Optimizers ask ``momentum != 0`` or ``momentum > 0`` to leave work out. The answer cannot be
    part of a trace, which serves any value; and with a momentum of 0 the update is the same.
    """

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    __hash__ = keras.Variable.__hash__


def checked_template(template: Any) -> Any:
    """A Keras optimizer that the updates can be made like.

    Args:
        template: None: AdamW.

    Raises:
        InputError: It is no optimizer of Keras, or its learning rate is a schedule, or it hands
            its work to other optimizers.
    """
    if template is None:
        return keras.optimizers.AdamW(
            learning_rate=START["learning_rate"],
            beta_1=START["momentum"],
            weight_decay=START["weight_decay"],
        )
    if not isinstance(template, keras.optimizers.Optimizer):
        raise InputError(
            f"the optimizer is {shown(template)}; expected one of Keras, such as "
            "keras.optimizers.SGD(momentum=0.9)"
        )
    kind = type(template).__name__
    if isinstance(
        getattr(template, "inner_optimizer", None), keras.optimizers.Optimizer
    ) or hasattr(template, "_optimizers"):
        raise InputError(
            f"the optimizer is {kind}, which hands its work to other optimizers; expected one that "
            "has a learning rate of its own, such as keras.optimizers.SGD(momentum=0.9)"
        )
    if not isinstance(template.learning_rate, keras.Variable):
        raise InputError(
            f"the learning rate of {kind} is a schedule or a function; expected a number: Lepton "
            "finds the schedule while the model trains, so leave yours out"
        )
    return template


class Updates:
    """An optimizer for the variables of one model, and the settings of the member that trains.

    Args:
        variables: The model's trainable ones.
        template: As `checked_template` gave it. It is not changed.

    Attributes:
        applied: How often updates were asked for, from Python.
    """

    def __init__(self, variables: Sequence[Any], template: Any) -> None:
        self.like = _likeness(template)
        self.optimizer = type(template).from_config(template.get_config())
        self.applied = 0
        self._defaults = defaults(template)
        self._settings = {"clip_norm": keras.Variable(math.inf, trainable=False)}
        for name, attribute in _attributes(template).items():
            kind = _Momentum if name == "momentum" else keras.Variable
            if name == "learning_rate":
                self._settings[name] = self.optimizer.learning_rate
                continue
            self._settings[name] = kind(self._defaults[name], trainable=False, name=name)
            setattr(self.optimizer, attribute, self._settings[name])
        self._trainable = list(variables)
        self._position = {id(variable): i for i, variable in enumerate(self._trainable)}
        self.optimizer.build(self._trainable)
        self._first = [tf.convert_to_tensor(variable.value) for variable in self.variables]
        # In eager mode this is three times as fast as Keras, which runs each of its operations
        # from Python; within a user's own tf.function it becomes a part of that.
        self._compiled = tf.function(self._update, autograph=False)

    @property
    def variables(self) -> list[Any]:
        """What the next update depends on besides the settings: steps taken, and all slots."""
        settings = {id(variable) for variable in self._settings.values()}
        return [v for v in self.optimizer.variables if id(v) not in settings]

    @property
    def iterations(self) -> int:
        """How many updates there were."""
        return int(self.optimizer.iterations)

    def serves(self, variables: Sequence[Any], template: Any) -> bool:
        """Whether it is for just these variables, with such an optimizer."""
        return (
            len(variables) == len(self._trainable)
            and all(a is b for a, b in zip(variables, self._trainable, strict=True))
            and self.like == _likeness(template)
        )

    def reset(self) -> None:
        """As if there had been no update."""
        for variable, value in zip(self.variables, self._first, strict=True):
            variable.assign(value)

    def set(self, settings: Params) -> None:
        """Use these settings from the next update on; those not named, or None, are the template's.

        Raises:
            InputError: One is no number.
        """
        for name, variable in self._settings.items():
            value = settings.get(name)
            if value is None:
                value = self._defaults.get(name, math.inf)
            if isinstance(value, bool) or not isinstance(value, float | int):
                raise InputError(
                    f"{name} is {shown(value)}; expected a number, as it is applied to the updates "
                    "of the model; give a setting of your own another name"
                )
            variable.assign(float(value))

    def apply(self, grads_and_vars: Iterable[tuple[Any, Any]], *, really: bool) -> Any:
        """Update the variables.

        Args:
            grads_and_vars: As Keras takes them. Pairs without a gradient are left out.
            really: False: only check. Where a function is being traced they are updated all the
                same, as what is traced may be called later, for training.

        Raises:
            InputError: A variable is not of the model, or there are no gradients at all.
        """
        pairs = self._checked(grads_and_vars)
        self.applied += 1
        if really or not tf.executing_eagerly():
            positions = tuple(self._position[id(variable)] for _, variable in pairs)
            self._compiled([gradient for gradient, _ in pairs], positions)
        return self.optimizer.iterations

    def _checked(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
        try:
            pairs = [(gradient, variable) for gradient, variable in grads_and_vars]
        except (TypeError, ValueError):
            raise InputError(
                f"apply_gradients() was given {shown(grads_and_vars)}; expected {EXPECTED}"
            ) from None
        for _, variable in pairs:
            if id(variable) not in self._position:
                name = getattr(variable, "path", None) or shown(variable)
                raise InputError(
                    f"apply_gradients() was given {name}, which was no trainable variable of the "
                    f"model when the training began; expected {EXPECTED}"
                )
        if not any(gradient is not None for gradient, _ in pairs):
            raise InputError(
                "apply_gradients() was given no gradients: the loss does not depend on the model's "
                "trainable variables; call the model within the tf.GradientTape, and compute the "
                "loss there too, with TensorFlow's functions"
            )
        return [(gradient, variable) for gradient, variable in pairs if gradient is not None]

    def _update(self, gradients: list[Any], positions: tuple[int, ...]) -> None:
        variables = [self._trainable[i] for i in positions]
        norm = tf.linalg.global_norm(gradients)
        clip = tf.cast(self._settings["clip_norm"].value, norm.dtype)
        # As tf.clip_by_global_norm, but exactly 1 where nothing is clipped, also for infinity.
        scale = tf.minimum(tf.ones([], norm.dtype), clip / norm)
        self.optimizer.apply([_scaled(gradient, scale) for gradient in gradients], variables)


def _scaled(gradient: Any, scale: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):  # of an embedding: some rows
        values = gradient.values * tf.cast(scale, gradient.dtype)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(scale, gradient.dtype)


def _attributes(optimizer: Any) -> dict[str, str]:
    """The settings that an optimizer has, each with the name of its attribute."""
    found = {"learning_rate": "learning_rate", "weight_decay": "weight_decay"}
    for attribute in ("momentum", "beta_1"):
        if hasattr(optimizer, attribute):
            return {**found, "momentum": attribute}
    return found


def defaults(template: Any) -> dict[str, float]:
    """The settings that an optimizer has, as it has them."""
    config = template.get_config()
    found = {name: float(config[key] or 0.0) for name, key in _attributes(template).items()}
    # It was asked of a variable: 0.001, and not the 0.0010000000474974513 that float32 makes of it.
    return {**found, "learning_rate": float(str(np.float32(found["learning_rate"])))}


def space_of(template: Any) -> tuple[Space, Params]:
    """What is tuned of an optimizer if the user gives no space, and its own settings therein."""
    own = defaults(template)
    lacking = {"learning_rate", "momentum", "weight_decay"} - own.keys()
    domains = {name: domain for name, domain in SPACE.params.items() if name not in lacking}
    start = {name: START[name] for name in domains}
    for name, value in own.items():
        domain = domains[name]
        if isinstance(domain, Float):
            start[name] = min(max(value, domain.low), domain.high)
    return Space(domains), start


def _likeness(template: Any) -> tuple[type, str]:
    return type(template), repr({**template.get_config(), "name": None})


_of_models: WeakKeyDictionary[Any, Updates] = WeakKeyDictionary()


def updates_of(model: Any, template: Any) -> Updates:
    """What updates this model.

    The same for the same model as long as it fits: a train step that was traced before goes on
    updating with what it was traced with.
    """
    found = _of_models.get(model)
    variables = model.trainable_variables
    if found is None or not found.serves(variables, template):
        found = _of_models[model] = Updates(variables, template)
    found.reset()
    return found
