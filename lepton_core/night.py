"""A night: what one scheduled run may add to a sweep, which goes on with the next.

A night decides only how far a run gets, never what is proposed. One that ends in the middle of a
generation leaves it open, so the history is the same however it was shared out among nights.
"""

from __future__ import annotations

from collections.abc import Sequence

from lepton_core.declaration import Budget, Settings
from lepton_core.errors import InputError
from lepton_core.plan import SECONDS_PER_HOUR


def night_of(settings: Settings, wanted: Budget) -> Budget:
    """The limits of one scheduled run.

    Args:
        settings: The sweep's, whose `nightly` holds where nothing else is wanted.
        wanted: Limits that take the place of those.

    Raises:
        InputError: Neither says anything.

    Example:
        >>> night_of(Settings(budget=Budget(), nightly=Budget(trials=40, hours=2)), Budget(hours=1))
        Budget(trials=40, hours=1)
    """
    usual = settings.nightly or Budget()
    night = Budget(
        trials=usual.trials if wanted.trials is None else wanted.trials,
        hours=usual.hours if wanted.hours is None else wanted.hours,
    )
    if night == Budget():
        raise InputError(
            "the sweep file has no nightly limits, and none were given; expected such as "
            "nightly: {trials: 40, hours: 2} in the file: what one scheduled run may add"
        )
    return night


def tonight(slots: Sequence[int], night: Budget, added: int) -> Sequence[int]:
    """Which slots of the open generation this run may evaluate: the first so many.

    Args:
        slots: Those that have no result yet.
        night: The run's limits.
        added: How many results it has added before.

    Example:
        >>> tonight([1, 4, 5], Budget(trials=40), added=38)
        [1, 4]
    """
    return slots if night.trials is None else slots[: max(0, night.trials - added)]


def is_over(night: Budget, *, added: int, driven_s: float) -> bool:
    """Whether a run is to begin no further trial.

    Args:
        night: Its limits.
        added: How many results it has added.
        driven_s: For how many seconds it drives.

    Example:
        >>> is_over(Budget(hours=2), added=40, driven_s=7199.0)
        False
    """
    out_of_time = night.hours is not None and driven_s >= night.hours * SECONDS_PER_HOUR
    return out_of_time or (night.trials is not None and added >= night.trials)


def night_text(added: int, done: int, target: int | None) -> str:
    """How a night ended that left something to do, for people.

    Example:
        >>> night_text(40, 120, 400)
        '40 trials tonight; 120 of 400; goes on with the next run'
    """
    plural = "" if added == 1 else "s"
    of = f"{done} of {target}" if target is not None else f"{done} in all"
    return f"{added} trial{plural} tonight; {of}; goes on with the next run"
