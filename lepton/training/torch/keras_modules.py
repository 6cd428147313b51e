"""What is different about a Keras model on the torch backend, which is a module of PyTorch too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def is_keras(model: Any) -> bool:
    """Whether it is a Keras model, or derived from one.

    Example:
        >>> import torch
        >>> from lepton.training.torch.keras_modules import is_keras
        >>> is_keras(torch.nn.ReLU())
        False
    """
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While Keras's own global generator, of layers and draws without a seed, starts there."""
    from keras.src.random import seed_generator  # noqa: PLC0415  (only where there is Keras)

    state = seed_generator.global_seed_generator().state
    before = state.value.detach().clone()
    state.assign(torch.tensor([seed % 2**31, 0]))
    try:
        yield
    finally:
        state.assign(before)
