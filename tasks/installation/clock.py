"""Clocks that differ. Nothing is decided by them, but people compare what the machines say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from lepton_tasks.duration import duration_text
from lepton_tasks.installation.check import Check, State, gravest

MOST_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Another machine's clock, read once.

    Attributes:
        whose: Which machine, for people.
        ahead_s: Seconds that it is ahead of this one's; negative if it is behind.
        unsure_s: How wrong that may be, either way, in seconds.
    """

    whose: str
    ahead_s: float
    unsure_s: float


def reading(whose: str, theirs_s: float, before_s: float, after_s: float, tick_s: float) -> Reading:
    """A clock that was read between two readings of this machine's.

    Args:
        whose: Which machine's it is.
        theirs_s: What it said, in seconds since 1970.
        before_s: What this one said when the question was sent.
        after_s: What this one said when the answer had come.
        tick_s: The other clock's steps: what it said holds for so long.

    Example:
        >>> reading("it", 100.0, 101.0, 103.0, 1.0)
        Reading(whose='it', ahead_s=-1.5, unsure_s=1.5)
    """
    ahead = theirs_s + tick_s / 2 - (before_s + after_s) / 2
    return Reading(whose, ahead, (after_s - before_s + tick_s) / 2)


def of_date_header(whose: str, date: str | None, before_s: float, after_s: float) -> Reading | None:
    """A clock as a server's ``Date`` header (whole seconds) tells it; None if it does not.

    Example:
        >>> of_date_header("it", "Thu, 01 Jan 1970 00:01:40 GMT", 101.0, 103.0).ahead_s
        -1.5
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return None
    return reading(whose, theirs, before_s, after_s, 1.0)


def check_clocks(readings: Sequence[Reading]) -> Check:
    """Whether the other machines' clocks are about right, this one's being taken for it."""
    states: list[State] = []
    told = []
    for one in readings:
        off = abs(one.ahead_s) - one.unsure_s > MOST_S
        states.append("warning" if off else "ok")
        way = "ahead" if one.ahead_s > 0 else "behind"
        told.append(
            f"{one.whose} is {duration_text(abs(one.ahead_s))} {way}"
            if off
            else f"{one.whose} agrees within {max(1.0, abs(one.ahead_s) + one.unsure_s):.0f} s"
        )
    state = gravest(states)
    return Check(
        "clock",
        state,
        "; ".join(told),
        f"within {MOST_S:g} s of this machine's; no sweep depends on it",
        "let NTP set both clocks: times in the UI and in logs do not fit" if state != "ok" else "",
    )
