"""What a trial says while it is evaluated, and where that goes."""

from __future__ import annotations

import math
import operator
from typing import Any, Protocol

import numpy as np

from lepton_core.canonical import shown
from lepton_core.errors import InputError

MAX_STEP = 2**53  # as ints elsewhere: beyond it a float, hence a JSON reader, loses them


class Reporter(Protocol):
    """Whoever hears what a trial reports, and knows whether it is to stop.

    A trial that was told to stop has not come to its end, so its attempt counts for nothing. That
    is the one reason to stop, today. Rules that prune hopeless trials will be another, and such a
    trial counts: the port is then to say which of the two it was (`should_stop` grows a reason;
    its truth stays), and the evaluator to keep what a pruned trial returned.
    """

    def report(self, step: int, value: float) -> None:
        """Hear of the loss after a step; it must not wait for a store."""
        ...

    def should_stop(self) -> bool:
        """Whether the trial is to stop; once true, it stays so."""
        ...


def checked_step(step: Any) -> int:
    """A step of training as an int.

    Raises:
        InputError: It is no whole number from 0 on.

    Example:
        >>> checked_step(np.int64(3))
        3
    """
    try:
        found = None if isinstance(step, bool | np.bool_) else operator.index(step)
    except TypeError:
        found = None
    if found is None or not 0 <= found <= MAX_STEP:
        raise InputError(
            f"trial.report: step is {shown(step)} ({type(step).__name__}); expected a whole "
            "number from 0 on, such as the number of the epoch",
            step=step,
        )
    return found


def checked_value(value: Any) -> float:
    """What is reported as a float; NaN and infinities are fine.

    Args:
        value: A number, or an array or a tensor of no dimensions.

    Raises:
        InputError: It is something else.

    Example:
        >>> checked_value(np.float32(0.5)), checked_value(10**400)
        (0.5, inf)
    """
    detach = getattr(value, "detach", None)  # of a tensor that is part of a graph
    plain = detach() if callable(detach) else value
    is_number = hasattr(type(plain), "__float__") or hasattr(type(plain), "__index__")
    if is_number and not isinstance(plain, bool | np.bool_) and not getattr(plain, "ndim", 0):
        try:
            return float(plain)
        except OverflowError:
            return math.inf if plain > 0 else -math.inf
        except (TypeError, ValueError):
            pass
    raise InputError(
        f"trial.report: loss is {shown(value)} ({type(value).__name__}); expected a number, or an "
        "array or tensor of no dimensions",
        loss=value,
    )
