"""Training data as PyTorch takes it: tensors on the model's device, in its type."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lepton_core.canonical import shown
from lepton_core.errors import InputError

IMAGE_DIMENSIONS = 2
"""From so many on, bytes are left as they are: pictures, which a train step scales itself."""


def as_tensor(part: Any, *, device: Any, floats: Any) -> Any:
    """One part of the data: a tensor, an array, a list, a data frame or a series.

    A tensor keeps its type. Of the others, floats become the model's, since NumPy's are twice as
    wide as PyTorch's; whole numbers become 64 bits wide, as class numbers must be, but for pictures
    of bytes.

    Args:
        part: ``(rows, ...)``.
        device: Where the model's parameters are.
        floats: The type of the model's parameters.

    Raises:
        InputError: It holds what is no number, or has no rows.

    Example:
        >>> import numpy as np, torch
        >>> from lepton.training.torch.tensors import as_tensor
        >>> x = as_tensor(np.zeros((2, 3)), device="cpu", floats=torch.float32)
        >>> x.dtype, as_tensor([0, 1], device="cpu", floats=torch.float32).dtype
        (torch.float32, torch.int64)
    """
    is_tensor = isinstance(part, torch.Tensor)
    tensor = part.detach() if is_tensor else _from_array(_array(part), floats)
    if not tensor.ndim:
        raise InputError(f"a part of data is {shown(part)}; expected rows, as of an array")
    return tensor.to(device)


def _array(part: Any) -> Any:
    """A NumPy array of numbers."""
    try:
        array = np.asarray(part)
        if array.dtype == object:  # columns of several types, or pandas' own ones with gaps
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _no_numbers(part, str(error).splitlines()[0]) from None
    if array.dtype.kind not in "biufc":
        raise _no_numbers(part, f"its type is {array.dtype}")
    return array


def _from_array(array: Any, floats: Any) -> Any:
    kind = array.dtype.kind
    if kind in "iu" and not (array.dtype == np.uint8 and array.ndim >= IMAGE_DIMENSIONS):
        array = array.astype(np.int64)
    array = np.ascontiguousarray(array) if array.ndim else array
    if not array.flags.writeable or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))  # PyTorch takes no other
    tensor = torch.from_numpy(array) if array.ndim else torch.tensor(array.item())
    return tensor.to(floats) if kind == "f" else tensor


def _no_numbers(part: Any, why: str) -> InputError:
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    return InputError(
        f"a part of data, of type {kind}, is nothing that PyTorch can train on: {why}; expected "
        "numbers: encode texts and categories first, and make sparse matrices dense"
    )
