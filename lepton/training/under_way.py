"""Which learner trains at this moment, in this process: what a train step's optimizer calls.

The train step closes over its `Optimizer`. In a worker process that is a copy, which knows nothing
of the training around it; so the learner is found here, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lepton.training.learner import Learner
from lepton_core.canonical import Params, shown
from lepton_core.errors import InputError, SweepError


class Settings(Mapping[str, Any]):
    """A member's settings, which notes what of them the train step reads.

    Example:
        >>> settings = Settings({"learning_rate": 0.1, "dropout": 0.2})
        >>> settings["dropout"], settings.read
        (0.2, {'dropout'})
    """

    def __init__(self, settings: Params) -> None:
        self._settings, self.read = dict(settings), set[str]()

    def __getitem__(self, name: str) -> Any:
        """The value of a setting that is active.

        Raises:
            KeyError: There is none of that name; it names those that are.
        """
        self.read.add(name)
        if name not in self._settings:
            raise KeyError(f"{name!r} is no setting of this member, which has {list(self)}")
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        """Their names; who asks for all of them is taken to read all."""
        self.read.update(self._settings)
        return iter(self._settings)

    def __len__(self) -> int:
        """How many they are."""
        return len(self._settings)

    def __repr__(self) -> str:
        """As of a dict."""
        return repr(self._settings)


_stack: list[tuple[Learner, Settings]] = []


@contextmanager
def under_way(learner: Learner, settings: Params) -> Iterator[Settings]:
    """While this learner trains, or is judged, with these settings.

    Returns:
        The settings as the train step is given them.

    Raises:
        SweepError: Another one is: a train step that itself tunes.
    """
    if _stack:
        raise SweepError(
            "a model is being trained in this process; a train step cannot train another one with "
            "Lepton, and one process trains one model at a time"
        )
    given = Settings(settings)
    _stack.append((learner, given))
    try:
        yield given
    finally:
        _stack.pop()


def current(what: str) -> tuple[Learner, Settings]:
    """The learner at work, and its settings.

    Args:
        what: What the caller wanted, for the error.

    Raises:
        SweepError: None is.
    """
    if not _stack:
        raise SweepError(
            f"{what} is for a train step, while minimize(train_step, steps=..., model=..., "
            "data=...) trains; nothing is being trained now"
        )
    return _stack[-1]


def method(name: str, framework: str) -> Any:
    """A method of the learner at work.

    Raises:
        InputError: It is of another framework.
        SweepError: None is at work.
    """
    learner, _ = current(f"optimizer.{name}()")
    found = getattr(learner, name, None)
    if found is None:
        raise InputError(
            f"optimizer.{name}() is for {framework} models; found {shown(type(learner.model()))}"
        )
    return found
