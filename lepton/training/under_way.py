"""Which learner trains at this moment, in this process: what a train step's optimizer calls.

The train step closes over its `Optimizer`. In a worker process that is a copy, which knows nothing
of the training around it; so the learner is found here, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lepton.training.learner import Learner
from lepton_core.canonical import Params, shown
from lepton_core.errors import InputError, SweepError

_stack: list[tuple[Learner, Params]] = []


@contextmanager
def under_way(learner: Learner, settings: Params) -> Iterator[None]:
    """While this learner trains, or is judged, with these settings.

    Raises:
        SweepError: Another one is: a train step that itself tunes.
    """
    if _stack:
        raise SweepError(
            "a model is being trained in this process; a train step cannot train another one with "
            "Lepton, and one process trains one model at a time"
        )
    _stack.append((learner, settings))
    try:
        yield
    finally:
        _stack.pop()


def current(what: str) -> tuple[Learner, Params]:
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
