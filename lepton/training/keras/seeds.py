"""The global generators that a Keras program draws from, while they give what a seed gives."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.utils import rng_utils

from lepton.training import generators


@contextmanager
def seeded(seed: int, *, tensorflow: bool = True) -> Iterator[None]:
    """While Python's, NumPy's, TensorFlow's and Keras's generators give what this seed gives.

    Args:
        seed: From 0 on.
        tensorflow: Whether the seed of `tf.random.set_seed` is set too. To set it makes TensorFlow
            prepare every function anew, which takes longer than many steps; who draws nothing from
            it can do without.

    Those of Python, NumPy and Keras, and `tf.random.get_global_generator`, are put back to where
    they were. The seed of `tf.random.set_seed` can be read, but not how many numbers were drawn
    since; so afterwards it is a number that was drawn from it before: what follows is as random as
    it was, and comes out the same if it was seeded.

    What a function drew from ``tf.random.normal`` and the like, or ``tf.nn.dropout``, while
    `tf.function` traced it has the seed of that moment in it, for good. Keras's layers and
    ``keras.random``, ``tf.random.Generator`` and ``tf.random.stateless_*`` do not.
    """
    # A function that was traced holds this very generator, so it must not be replaced by another.
    of_keras = seed_generator.global_seed_generator()
    of_tensorflow = _global_generator()
    variables = (of_keras.state, of_tensorflow.state)
    values = [tf.convert_to_tensor(variable) for variable in variables]
    keras_seed = rng_utils.get_random_seed()
    after = drawn() if tensorflow else None
    with generators.seeded(seed):
        try:
            if tensorflow:
                tf.random.set_seed(seed)
            global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, seed)
            of_keras.state.assign([seed, 0])
            of_tensorflow.reset_from_seed(seed)
            yield
        finally:
            if after is not None:
                tf.random.set_seed(after)
            global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, keras_seed)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _global_generator() -> tf.random.Generator:
    try:
        return tf.random.get_global_generator()
    except RuntimeError:  # it would begin anywhere, which `enable_op_determinism` forbids
        tf.random.set_global_generator(tf.random.Generator.from_seed(0))
        return tf.random.get_global_generator()


def drawn() -> int:
    """A number from TensorFlow's global seed, which moves on by it."""
    try:
        return int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int64))
    except RuntimeError:  # never seeded: the same
        return secrets.randbelow(2**31)
