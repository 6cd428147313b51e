"""What a Keras model and its optimizer know, in a file that runs no code when it is read.

Variables are known by their position: their names differ from one process to another, as Keras
counts the layers that a process makes (``dense``, ``dense_1``). Shape and type are checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lepton_core.errors import CheckpointError

FILE = "model.safetensors"
Parts = Mapping[str, Sequence[Any]]
"""Keras variables by what they belong to: ``"model"``, ``"optimizer"``."""


def taken(variables: Sequence[Any]) -> list[Any]:
    """The values of variables as they are now."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def put_back(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Give variables the values that were taken of them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def write(folder: Path, parts: Parts, about: Mapping[str, str]) -> None:
    """Write variables into a folder, exactly.

    Args:
        folder: It exists.
        parts: What to write.
        about: What `read` is to find unchanged, such as the optimizer's kind.
    """
    arrays, types = {}, {}
    for key, variable in _keyed(parts).items():
        value = np.asarray(variable.numpy())
        types[key] = value.dtype.name
        arrays[key] = _plain(value).copy(order="C")  # of its own memory
    about = {**about, "dtypes": json.dumps(types)}
    save_file(arrays, folder / FILE, metadata=about)


def read(folder: Path, parts: Parts, about: Mapping[str, str]) -> None:
    """Give variables the values that `write` wrote, all of them or none.

    Raises:
        CheckpointError: The file is missing, damaged, or of something else.
    """
    file = folder / FILE
    try:
        with safe_open(file, framework="numpy") as opened:
            found = opened.metadata() or {}
            arrays = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (no mapping)
        types = json.loads(found.get("dtypes", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}; {_NEXT}", file=str(file)) from error
    problem = _difference(arrays, types, found, parts, about)
    if problem:
        raise CheckpointError(f"{file} is of another model: {problem}; {_NEXT}", file=str(file))
    for key, variable in _keyed(parts).items():
        variable.assign(arrays[key].view(np.dtype(variable.dtype)).reshape(variable.shape))


_NEXT = "train with the model that the sweep began with, or begin another sweep"


def _difference(
    arrays: Mapping[str, Any],
    types: Mapping[str, str],
    found: Mapping[str, str],
    parts: Parts,
    about: Mapping[str, str],
) -> str | None:
    """The first thing in which a file differs from what is to be read, or None."""
    for name, value in about.items():
        if found.get(name) != value:
            return f"found the {name} {found.get(name, 'missing')}, expected {value}"
    for part, variables in parts.items():
        n = sum(key.startswith(f"{part}/") for key in arrays)
        if n != len(variables):
            return f"found {n} variables of the {part}, expected {len(variables)}"
    for key, variable in _keyed(parts).items():
        there, here = arrays.get(key), f"{variable.dtype} {tuple(variable.shape)}"
        if there is None:
            return f"nothing found for {variable.path} ({key}), expected {here}"
        own = types.get(key, there.dtype.name)
        shape = there.shape if own == there.dtype.name else there.shape[:-1]
        if f"{own} {shape}" != here:
            return f"found {own} {shape} for {variable.path} ({key}), expected {here}"
    return None


def _keyed(parts: Parts) -> dict[str, Any]:
    return {f"{part}/{i}": v for part, variables in parts.items() for i, v in enumerate(variables)}


def _plain(value: Any) -> Any:
    """An array whose type every NumPy has; bfloat16 and the like as bytes, on a last axis."""
    if value.dtype.kind in "biuf" and value.dtype.isbuiltin == 1:
        return value
    return value.reshape((*value.shape, 1)).view(np.uint8)
