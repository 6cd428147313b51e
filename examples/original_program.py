"""A Keras model that is tuned while it trains, on scikit-learn's images of digits.

Run it with ``python examples/original_program.py`` (the extra ``tensorflow``).
"""
# ruff: noqa: ANN001, ANN201, B905, D103  (the program is as its user wrote it)

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import tensorflow as tf
from sklearn.datasets import load_digits

import lepton

x, y = load_digits(return_X_y=True)
x = x / 16

optimizer = lepton.Optimizer()
model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(10, activation="softmax"),
    ]
)
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy()


def train_step(model, x, y):
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = loss_fn(y, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


optimizer.minimize(train_step, steps=1000, model=model, data=(x, y))
print("Best loss: ", optimizer.best_loss)
print("Best model: ", optimizer.best_model)
