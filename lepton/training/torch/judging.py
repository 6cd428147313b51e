"""A PyTorch model while it is judged: in evaluation mode, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lepton.training.torch.checkpoint import KERAS, named_tensors, put


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """While nothing that a train step does changes the model: then modes and buffers as before.

    The train step may itself call ``model.train()``, which does nothing meanwhile.

    Example:
        >>> import torch
        >>> from lepton.training.torch.judging import evaluation_mode
        >>> model = torch.nn.Dropout()
        >>> with evaluation_mode(model):
        ...     _ = model.train()
        ...     model.training
        False
        >>> model.training
        True
    """
    kept = [(tensor, tensor.detach().clone()) for tensor in state_of(model)]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with modes_kept(model):
        model.eval()
        model.__dict__["train"] = lambda mode=True: model  # noqa: ARG005  (as of nn.Module)
        try:
            yield
        finally:
            del model.__dict__["train"]
            for tensor, value in kept:
                put(tensor, value)
            for parameter, gradient in gradients:
                parameter.grad = gradient


@contextmanager
def training_mode(model: Any) -> Iterator[None]:
    """While a model trains: modules that the user set to evaluation, as frozen ones are, stay so.

    Only if the model as a whole is in evaluation mode, all of it is set to training.
    """
    with modes_kept(model):
        if not model.training:
            model.train()
        yield


@contextmanager
def modes_kept(model: Any) -> Iterator[None]:
    """Put each module's mode back, whatever it was."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def state_of(model: Any) -> list[Any]:
    """What a call of the model may change: buffers, and variables of Keras that do not train."""
    buffers = {id(buffer) for buffer in model.buffers()}
    return [
        tensor
        for name, tensor in named_tensors(model).items()
        if id(tensor) in buffers or (name.startswith(KERAS) and not tensor.requires_grad)
    ]
