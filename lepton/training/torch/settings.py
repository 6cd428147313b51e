"""A member's settings in a torch optimizer's param groups, whatever optimizer it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from lepton.training.gradient_settings import SPACE, START
from lepton_core.canonical import Params, Value, shown
from lepton_core.domains import Domain, Float
from lepton_core.errors import InputError
from lepton_core.space import Space

TUNED = ("learning_rate", "momentum", "weight_decay")
BELOW, ABOVE = 30.0, 10.0
"""How far around the learning rate that the user wrote the space reaches at least."""


class Groups:
    """The param groups of one optimizer, and what they held when it was handed over.

    Groups of several rates keep their ratio: the setting is that of the fastest group. So it is
    with weight decay, so that groups without any stay without. Momentum is every group's.

    Args:
        optimizer: Of torch, or one like it.

    Raises:
        InputError: It is none, or one whose step needs a closure.

    Example:
        >>> import torch
        >>> from lepton.training.torch.settings import Groups
        >>> slow, fast = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        >>> groups = Groups(torch.optim.SGD(
        ...     [{"params": slow.parameters(), "lr": 0.001}, {"params": fast.parameters()}], lr=0.1
        ... ))
        >>> groups.apply({"learning_rate": 0.5})
        >>> [group["lr"] for group in groups.optimizer.param_groups]
        [0.005, 0.5]
    """

    def __init__(self, optimizer: Any) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError(
                f"found {shown(optimizer)} ({type(optimizer).__name__}); expected a torch optimizer"
            )
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise InputError(
                f"{type(optimizer).__name__} calls the loss itself, several times in a step (its "
                "step needs a closure); expected an optimizer that takes a step from gradients"
            )
        self.optimizer = optimizer
        self._first = [
            {name: _get(group, name) for name in TUNED if _has(group, name)}
            for group in optimizer.param_groups
        ]

    def found(self) -> dict[str, float]:
        """The settings that the groups have, as they were: of several, the greatest."""
        return {
            name: max(first[name] for first in self._first if name in first)
            for name in TUNED
            if any(name in first for first in self._first)
        }

    def apply(self, settings: Params, greatest: Mapping[str, float] | None = None) -> None:
        """Set the groups to these settings, and what is not among them to what it was.

        Args:
            settings: By name; others than those of `TUNED` do not matter.
            greatest: What `found` gives of all the optimizers that are set together; None: of this.
        """
        greatest = greatest or self.found()
        for group, first in zip(self.optimizer.param_groups, self._first, strict=True):
            for name, was in first.items():
                value = settings.get(name)
                if value is None:
                    _set(group, name, was)
                elif name == "momentum" or not greatest[name]:
                    _set(group, name, float(value))
                else:
                    _set(group, name, float(value) * (was / greatest[name]))


def found_in(all_groups: Iterable[Groups]) -> dict[str, float]:
    """What `Groups.found` says, of several optimizers together."""
    each = [groups.found() for groups in all_groups]
    names = [name for name in TUNED if any(name in found for found in each)]
    return {name: max(found[name] for found in each if name in found) for name in names}


def space_of(found: Mapping[str, float]) -> tuple[Space, Params]:
    """The space around an optimizer that the user chose, and the user's settings in it.

    Args:
        found: As `Groups.found` gives it. A setting that the optimizer does not have is not tuned.

    Example:
        >>> from lepton.training.torch.settings import space_of
        >>> space, start = space_of({"learning_rate": 0.5, "momentum": 0.0})
        >>> space.params["learning_rate"].text(), start["momentum"], "weight_decay" in space.params
        ('a number from 0.0001 to 5.0', 0.0, False)
    """
    params: dict[str, Domain] = {}
    start: dict[str, Value] = {}
    for name, domain in SPACE.params.items():
        if name not in TUNED or not isinstance(domain, Float):
            params[name], start[name] = domain, START[name]
        elif name in found:
            params[name] = around = _around(name, domain, found[name])
            start[name] = min(around.high, max(around.low, found[name]))
    return Space(params), start


def _around(name: str, domain: Float, value: float) -> Float:
    """The domain, wide enough for the user's value: 0 on a logarithm is its least value."""
    low, high = domain.low, domain.high
    if name == "learning_rate" and value > 0:
        low, high = min(low, value / BELOW), max(high, value * ABOVE)
    elif value > 0 or not domain.log:
        low, high = min(low, value), max(high, value)
    return replace(domain, low=low, high=high)


def _has(group: Mapping[str, Any], name: str) -> bool:
    if name == "momentum":
        return "momentum" in group or "betas" in group
    return _key(name) in group


def _get(group: Mapping[str, Any], name: str) -> float:
    if name == "momentum" and "momentum" not in group:
        return float(group["betas"][0])
    return float(group[_key(name)])


def _set(group: dict[str, Any], name: str, value: float) -> None:
    if name == "momentum" and "momentum" not in group:
        group["betas"] = (value, *group["betas"][1:])
    elif isinstance(group[_key(name)], torch.Tensor):  # which a compiled or captured step reads
        group[_key(name)].fill_(value)
    else:
        group[_key(name)] = value


def _key(name: str) -> str:
    return "lr" if name == "learning_rate" else name
