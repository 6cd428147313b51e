"""A torch optimizer that a training loop written the PyTorch way goes on calling by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lepton.training import under_way
from lepton.training.torch.settings import Groups
from lepton_core.errors import SweepError


class WrappedOptimizer:
    """A torch optimizer whose steps are those of the member that trains.

    It has all that the optimizer has. While Lepton trains, its param groups hold the member's
    settings, `step` clips the gradients as the member does, and its state is part of the
    checkpoints; while Lepton judges, `step` does nothing. At any other time it is the optimizer.

    Args:
        optimizer: Made of the model's parameters, once, outside of the train step.

    Raises:
        InputError: It is no torch optimizer.

    Example:
        >>> import torch
        >>> from lepton.training.torch.wrapper import WrappedOptimizer
        >>> model = torch.nn.Linear(2, 1)
        >>> opt = WrappedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        >>> def train_step(model, x, y):
        ...     opt.zero_grad()
        ...     loss = torch.nn.functional.mse_loss(model(x), y)
        ...     loss.backward()
        ...     opt.step()
        ...     return loss
        >>> loss = train_step(model, torch.ones(4, 2), torch.ones(4, 1))
    """

    def __init__(self, optimizer: Any) -> None:
        self.groups = Groups(optimizer)

    @property
    def optimizer(self) -> Any:
        """The torch optimizer itself."""
        return self.groups.optimizer

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients, as the learner at work says.

        Args:
            closure: Computes the gradients first, and returns the loss, which is returned then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        try:
            under_way.current("step() of a wrapped optimizer")
        except SweepError:  # nothing is: a step of the user's own
            self.optimizer.step()
        else:
            under_way.method("update", "PyTorch")(self)
        return loss

    def __getattr__(self, name: str) -> Any:
        """All else is the optimizer's own."""
        if name == "groups":  # a copy that is being made has none yet
            raise AttributeError(name)
        return getattr(self.groups.optimizer, name)
