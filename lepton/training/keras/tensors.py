"""What a Keras model is trained on: the data as the train step is to see it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lepton.training.learner import Batch
from lepton_core.canonical import shown
from lepton_core.errors import InputError

MIN_ROWS = 2  # one to train on and one to be judged on
KINDS = "biufcSU"


def prepared(data: Any) -> Batch:
    """Each part of the data as an array of NumPy, with one row for each example.

    Floating-point numbers of NumPy and pandas become Keras's ``floatx()``, float32, as
    ``model.fit`` has it. Tensors keep their type.

    Raises:
        InputError: A part is no array, or holds objects; rows are missing, or not as many in each.
    """
    if not isinstance(data, tuple | list) or not data:
        raise InputError(
            f"data is {shown(data)} ({type(data).__name__}); expected a tuple of arrays, such as "
            "data=(x, y), which the train step is given after the model"
        )
    parts = tuple(_array(part, i) for i, part in enumerate(data))
    lengths = [len(part) for part in parts]
    if len(set(lengths)) > 1:
        raise InputError(
            f"the parts of data have {lengths} rows; expected as many in each: row i of all parts "
            "is one example"
        )
    if lengths[0] < MIN_ROWS:
        raise InputError(f"data has {lengths[0]} rows; expected {MIN_ROWS} or more")
    return parts


def tensors(data: Batch, which: Any) -> Batch:
    """Some rows of each part, as tensors.

    Args:
        data: As `prepared` gave it.
        which: A slice, or indices ``(n,)``.
    """
    return tuple(tf.convert_to_tensor(part[which]) for part in data)


def _array(part: Any, i: int) -> Any:
    if isinstance(part, tf.Tensor | tf.Variable):
        if not hasattr(part, "numpy"):
            raise InputError(f"data[{i}] is a symbolic tensor; expected one that has values")
        array = np.asarray(part.numpy())
    else:
        array = _standard(_as_numpy(part, i), i)
    if not array.ndim:
        raise InputError(f"data[{i}] is {shown(part)}, one value; expected an array of rows")
    return array


def _as_numpy(part: Any, i: int) -> Any:
    if hasattr(part, "to_numpy"):  # pandas, polars
        return np.asarray(part.to_numpy())
    if isinstance(part, np.ndarray) or hasattr(part, "__array__"):
        return np.asarray(part)
    raise InputError(
        f"data[{i}] is {shown(part)} ({type(part).__name__}); expected an array: of NumPy, of "
        f"TensorFlow or of pandas; {_instead(part)}"
    )


def _instead(part: Any) -> str:
    if isinstance(part, list | tuple):
        return "make it one with numpy.asarray"
    if hasattr(part, "toarray"):
        return "it is sparse: make it dense with toarray()"
    if isinstance(part, tf.data.Dataset):
        return "give what the dataset was made of: Lepton makes the batches, of the size it tunes"
    return "make it one, with one row for each example"


def _standard(array: Any, i: int) -> Any:
    if array.dtype.kind in KINDS:
        return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.isbuiltin != 1:
        return array  # bfloat16 and the like
    raise InputError(
        f"data[{i}] has values of type {array.dtype}; expected numbers, booleans or text of one "
        "type; encode categories and dates as numbers"
    )
