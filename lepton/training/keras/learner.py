"""A Keras model on TensorFlow, trained by a train step that the user wrote.

The train step is the user's own loop body: a ``tf.GradientTape``, a loss, and
``optimizer.apply_gradients``, which comes here (`KerasLearner.apply_gradients`). It may be compiled
by ``tf.function``. Nothing depends on which of its traces is called: a trace always updates the
model, by settings that are variables, and what a held-out pass changed is put back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lepton.training.keras import checkpoint, seeds, tensors
from lepton.training.keras.inference import InferenceModel
from lepton.training.keras.updates import (
    EXPECTED,
    Updates,
    checked_template,
    space_of,
    updates_of,
)
from lepton.training.learner import Batch, Evaluate, TrainStep
from lepton.training.under_way import current, under_way
from lepton_core.canonical import Params, shown
from lepton_core.errors import InputError, SweepError

CHUNK = 4096  # rows in a held-out pass
BUILT_ON = 2  # rows


class KerasLearner:
    """Trains a Keras model, one member of the population after another.

    Args:
        model: It is trained in place. One that is not built is built by `prepare`.
        train_step: ``train_step(model, *batch) -> loss``. It updates the model by
            ``optimizer.apply_gradients``. A loss of several numbers, one for each row, is averaged.
        evaluate: ``evaluate(model, *data) -> loss`` on held-out data. None: the train step's loss,
            with the model in inference mode and without its update.
        base_optimizer: A Keras optimizer that the updates are made like. None: AdamW.

    Raises:
        InputError: One of them is not of the kind it must be.

    Attributes:
        space: The settings that the optimizer has, `batch_size` and `clip_norm`.
        start: The optimizer's own settings, in that space.
        row_sets: True.
    """

    row_sets = True

    def __init__(
        self,
        model: Any,
        train_step: TrainStep | None,
        evaluate: Evaluate | None = None,
        base_optimizer: Any | None = None,
    ) -> None:
        self._model = _checked_model(model)
        self._train_step = _checked_step(train_step)
        self._evaluate = evaluate
        self._template = checked_template(base_optimizer)
        self.space, self.start = space_of(self._template)
        self._inference = InferenceModel(model)
        self._training = False
        self._trained, self._draws = 0, True  # how often, and whether from TensorFlow's global seed
        self._made: Updates | None = None
        if evaluate is not None and not callable(evaluate):
            raise InputError(f"evaluate is {shown(evaluate)}; expected a function")

    def prepare(self, data: Batch) -> Batch:
        """The data as arrays; a model that is not built yet is built on its first rows.

        Raises:
            InputError: As `tensors.prepared`; or the train step does not build the model.
        """
        parts = tensors.prepared(data)
        if not self._model.built:
            self._build(tensors.tensors(parts, slice(0, BUILT_ON)))
        _ = self._updates
        return parts

    def rows(self, data: Batch, indices: Any) -> Batch:
        """Some rows of each part of the data, as tensors."""
        return tensors.tensors(data, indices)

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """While the global generators give what this seed gives: see `seeds.seeded`.

        TensorFlow's own seed is left alone once a train step was seen that draws nothing from it.
        """
        with seeds.seeded(seed, tensorflow=self._draws):
            if not self._draws:
                yield
                return
            untouched = seeds.drawn()
            tf.random.set_seed(seed)
            trained = self._trained
            yield
            if self._trained > trained:
                self._draws = seeds.drawn() != untouched

    def train(self, settings: Params, batches: Iterator[Batch], steps: int, seed: int) -> float:
        """Take so many steps; the mean training loss.

        Raises:
            InputError: The train step gives no number, or does not update the model.
        """
        del seed  # what draws numbers is the model's own, or global
        updates = self._updates
        updates.set(settings)
        total, asked, done = 0.0, updates.applied, updates.iterations
        self._training = True
        try:
            for step in range(steps):
                loss = _number(self._train_step(self._model, *next(batches)), "the train step")
                if step == 0 and (asked, done) == (updates.applied, updates.iterations):
                    raise InputError(
                        "the train step did not call optimizer.apply_gradients(), so the model is "
                        f"not trained; expected {EXPECTED}. If it does, it was traced by "
                        "tf.function in another training: make the tf.function anew"
                    )
                total += loss
        finally:
            self._training = False
        self._trained += 1
        return total / steps

    def evaluate(self, data: Batch) -> float:
        """The held-out loss, in inference mode. Variables that it changed are put back.

        Raises:
            InputError: It is no number; or the train step does not use the model it is given.
        """
        if self._evaluate is not None:
            with self._unchanged():
                found = self._evaluate(self._model, *tensors.tensors(data, slice(None)))
                return _number(found, "evaluate")
        n, total = len(data[0]), 0.0
        for begin in range(0, n, CHUNK):
            chunk = tensors.tensors(data, slice(begin, begin + CHUNK))
            with self._unchanged():
                found = _number(self._train_step(self._inference, *chunk), "the train step")
            total += found * len(chunk[0]) / n
        if not self._inference.called:
            raise InputError(
                "the train step does not call the model that it is given, so it cannot be judged "
                "on held-out data in inference mode; use its argument, as in "
                "train_step(model, x, y), also in functions it calls, or give evaluate="
            )
        return total

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """Update the model: what the train step's ``optimizer.apply_gradients`` does.

        Args:
            grads_and_vars: Pairs of a gradient and a trainable variable, as Keras takes them.

        Returns:
            The number of updates so far, as Keras has it.

        Raises:
            InputError: They are not gradients and variables of the model.
        """
        return self._updates.apply(grads_and_vars, really=self._training)

    def save(self, folder: Path) -> None:
        """Write all variables of the model and of its optimizer, into ``model.safetensors``."""
        checkpoint.write(folder, self._parts(), self._about())

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            CheckpointError: It is missing, damaged, or of another model.
        """
        checkpoint.read(folder, self._parts(), self._about())

    def model(self) -> Any:
        """The model as it is now."""
        return self._model

    def _build(self, batch: Batch) -> None:
        """Let the model make its weights, as it does when it is first called.

        The train step knows how it is called. It may need settings that are not known yet; then
        the model is called with the first part of the data. What else is wrong with the step, its
        first real step tells.
        """
        steps: list[Callable[[], Any]] = [
            lambda: self._train_step(self._inference, *batch),
            lambda: self._model(batch[0]),
        ]
        for step in steps:
            # Layers may draw their first weights now: the same ones in every process.
            with self.seeded(0), _eagerly(), self._under_way(), suppress(Exception):
                step()
            if self._model.built:
                return

    def _under_way(self) -> AbstractContextManager[object]:
        """While this learner is at work: it may be already, or not."""
        try:
            current("building a model")
        except SweepError:
            return under_way(self, self.start)
        return nullcontext()

    @property
    def _updates(self) -> Updates:
        if self._made is None:
            if not self._model.trainable_variables:
                name = shown(self._model.name)
                raise InputError(
                    f"the model {name} has no trainable variables; expected some to train"
                    if self._model.built
                    else f"the model {name} is not built: it has no weights yet, and neither the "
                    "train step nor a call with the first part of the data made any; begin it with "
                    "keras.Input(shape=...), or call it once before"
                )
            self._made = updates_of(self._model, self._template)
        return self._made

    def _parts(self) -> checkpoint.Parts:
        return {"model": self._model.variables, "optimizer": self._updates.variables}

    def _about(self) -> dict[str, str]:
        return {"framework": "keras", "optimizer": type(self._template).__name__}

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Put the variables back afterwards that are there before."""
        variables = [*self._model.variables, *(self._made.variables if self._made else ())]
        values = checkpoint.taken(variables)
        try:
            yield
        finally:
            checkpoint.put_back(variables, values)


def _checked_model(model: Any) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras works on {keras.backend.backend()} here; expected TensorFlow: set "
            "KERAS_BACKEND=tensorflow in the environment before Keras is imported"
        )
    if not isinstance(model, keras.Model):
        raise InputError(
            f"the model is {shown(model)} ({type(model).__name__}); expected a model of Keras 3, "
            "such as tf.keras.Sequential([...])"
        )
    return model


def _checked_step(train_step: TrainStep | None) -> TrainStep:
    if not callable(train_step):
        raise InputError(
            f"the train step is {shown(train_step)}; expected a function such as "
            "train_step(model, x, y), which returns the loss"
        )
    return train_step


@contextmanager
def _eagerly() -> Iterator[None]:
    """While functions are not traced: a model that a trace builds has no values at first."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # noqa: FBT003  (TensorFlow's signature)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _number(loss: Any, of: str) -> float:
    """A loss as one number: the mean of those it has.

    Raises:
        InputError: It has none.
    """
    try:
        value = np.asarray(loss)
    except (NotImplementedError, TypeError, ValueError):  # symbolic, ragged
        value = np.asarray(None)
    numbers = value.dtype.kind in "iuf" or value.dtype.name == "bfloat16"
    if not numbers or not value.size:
        raise InputError(
            f"{of} returned {shown(loss)} ({type(loss).__name__}); expected the loss, a number or "
            "one for each row"
        )
    return float(value.astype(np.float64).mean())
