"""The global generators that a Keras program draws from, while they give what a seed gives."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.utils import rng_utils


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While Python's, NumPy's, TensorFlow's and Keras's generators give what this seed gives.

    Those of Python, NumPy and Keras, and `tf.random.get_global_generator`, are put back to where
    they were. The seed of `tf.random.set_seed` can be read, but not how many numbers were drawn
    since; so afterwards it is a number that was drawn from it before: what follows is as random as
    it was, and comes out the same if it was seeded.

    What a function drew from ``tf.random.normal`` and the like, or ``tf.nn.dropout``, while
    `tf.function` traced it has the seed of that moment in it, for good. Keras's layers and
    ``keras.random``, ``tf.random.Generator`` and ``tf.random.stateless_*`` do not.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the user's)
    # A function that was traced holds this very generator, so it must not be replaced by another.
    of_keras = seed_generator.global_seed_generator()
    of_tensorflow = _global_generator()
    variables = (of_keras.state, of_tensorflow.state)
    values = [tf.convert_to_tensor(variable) for variable in variables]
    keras_seed = rng_utils.get_random_seed()
    after = _drawn_from_tensorflow()
    try:
        _seed(seed, of_keras)
        of_tensorflow.reset_from_seed(seed)
        yield
    finally:
        _seed(after, of_keras)
        global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, keras_seed)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002  (the user's)


def _seed(seed: int, of_keras: seed_generator.SeedGenerator) -> None:
    keras.utils.set_random_seed(seed)
    of_keras.state.assign([seed, 0])
    global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, of_keras)


def _global_generator() -> tf.random.Generator:
    try:
        return tf.random.get_global_generator()
    except RuntimeError:  # it would begin anywhere, which `enable_op_determinism` forbids
        tf.random.set_global_generator(tf.random.Generator.from_seed(0))
        return tf.random.get_global_generator()


def _drawn_from_tensorflow() -> int:
    try:
        return int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int64))
    except RuntimeError:  # never seeded: the same
        return secrets.randbelow(2**31)
