"""What the checks of the Keras learner share: a model, train steps, a loop, and its state."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lepton.training.keras.learner import KerasLearner

SETTINGS = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-3, "clip_norm": 1.0}
_random = np.random.Generator(np.random.PCG64(0))
X = _random.normal(size=(96, 8))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy()


class Optimizer:
    """What a user's train step closes over, for one learner after another."""

    learner: KerasLearner

    def apply_gradients(self, grads_and_vars):
        return self.learner.apply_gradients(grads_and_vars)


optimizer = Optimizer()


def train_step(model, x, y):
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = loss_fn(y, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


def step_of(*, graph):
    """The train step, as it is or compiled; traced by nobody yet."""
    return tf.function(train_step) if graph else train_step


def new_model(*, built=True, drop=0.4, width=6, seed=1):
    tf.keras.utils.set_random_seed(seed)
    layers = [
        tf.keras.layers.Dense(width, "relu"),
        tf.keras.layers.BatchNormalization(),
        tf.keras.layers.Dropout(drop),
        tf.keras.layers.Dense(2, "softmax"),
    ]
    return tf.keras.Sequential([tf.keras.layers.Input((8,)), *layers] if built else layers)


def plain_model():
    """Without anything that draws random numbers, or differs in inference."""
    return dense_model(tf.keras.layers.Input((8,)))


def dense_model(*first):
    tf.keras.utils.set_random_seed(1)
    return tf.keras.Sequential(
        [*first, tf.keras.layers.Dense(6, "relu"), tf.keras.layers.Dense(2, "softmax")]
    )


def learner_of(model, step, *, data=(X, Y), **more):
    """A learner for the shared optimizer, and the data as it has prepared it."""
    learner = optimizer.learner = KerasLearner(model, step, **more)
    return learner, learner.prepare(data)


def batches(learner, data, size=16, *, skip=0):
    """Endless, from the same rows each time."""
    random = np.random.Generator(np.random.PCG64(5))
    i = 0
    while True:
        rows = random.permutation(len(data[0]))[:size]
        if i >= skip:
            yield learner.rows(data, rows)
        i += 1


def state(learner):
    """All that a checkpoint has to hold, as bytes."""
    parts = learner._parts()
    return {
        f"{part} {i}": (variable.dtype, variable.numpy().tobytes())
        for part, variables in parts.items()
        for i, variable in enumerate(variables)
    }


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]
