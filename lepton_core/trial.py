"""What an objective is given: a trial that reads like a mapping of its params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from lepton_core.canonical import Params
from lepton_core.reporting import Reporter, checked_step, checked_value


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
    _reporter: Reporter | None = field(default=None, kw_only=True, compare=False, repr=False)

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

    def report(self, step: int, loss: Any) -> None:
        """Report how the training goes, once an epoch or so: a curve beside the trial's result.

        In a recorded sweep each report is a point of the MLflow metric ``reported_<metric>`` of
        the trial's run. It decides nothing: what counts is what the objective returns. A trial
        that nobody records (one made by hand, or one that was pickled into another process) takes
        reports and drops them.

        Args:
            step: A whole number from 0 on, such as the epoch. One may be reported again.
            loss: A number in your own sign, as the objective's value: a score that is to be
                maximized is reported as it is. NaN and infinities are fine, and so are NumPy's
                scalars, and tensors of no dimensions.

        Raises:
            InputError: One of the two is something else.

        Example:
            >>> trial = Trial({"lr": 0.1})
            >>> for epoch in range(3):
            ...     trial.report(epoch, 1.0 / (1 + epoch))
            ...     if trial.should_stop():
            ...         break
        """
        point = checked_step(step), checked_value(loss)
        if self._reporter is not None:
            self._reporter.report(*point)

    def should_stop(self) -> bool:
        """Whether to stop training now: the sweep is being stopped, by Ctrl-C for instance.

        A trial that was told so has not come to its end. Whatever it returns or raises then, the
        attempt counts for nothing, and ``lepton resume`` begins it again with the same params and
        seed. A trial that never asks is let come to its end, and counts.
        """
        return self._reporter is not None and self._reporter.should_stop()

    # The reporter is of this process: copies keep it, pickles do not. (scikit-learn's clone copies
    # whatever an estimator was given, callbacks included.)

    def __copy__(self) -> Trial:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Trial:
        return replace(self, params=deepcopy(self.params, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.params, self.seed, self.number)


def _unpickled(params: Params, seed: int, number: int) -> Trial:
    return Trial(params, seed=seed, number=number)
