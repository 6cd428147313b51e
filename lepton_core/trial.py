"""What an objective is given: a trial that reads like a mapping of its params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lepton_core.canonical import Params


@dataclass(frozen=True, slots=True)
class Trial(Mapping[str, Any]):
    """One trial: its params, its seed and its number.

    It reads like a mapping of its active params: ``trial["lr"]`` is a value,
    ``trial.get("drop", 0.0)`` one that may be inactive, and ``Model(**trial)`` takes them all.

    Attributes:
        params: The active params.
        seed: A seed of the trial's own in [0, 2**31): the same for every attempt at it.
        number: Order of proposal over the whole sweep, from 0.

    Example:
        >>> from lepton import Trial
        >>> trial = Trial({"lr": 0.1, "depth": 3}, seed=7, number=0)
        >>> trial["lr"], dict(trial), trial.seed
        (0.1, {'lr': 0.1, 'depth': 3}, 7)
    """

    params: Params
    seed: int = field(default=0, kw_only=True)
    number: int = field(default=0, kw_only=True)

    def __getitem__(self, name: str) -> Any:
        """The value of an active param.

        Raises:
            KeyError: The trial has no such param; it names those that it has.
        """
        if name not in self.params:
            raise KeyError(f"{name!r} is not active in this trial, which has {list(self.params)}")
        return self.params[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the active params, in the space's order."""
        return iter(self.params)

    def __len__(self) -> int:
        """How many params are active."""
        return len(self.params)
