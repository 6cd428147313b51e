"""Spans of time: how the environment sets them, and how people read them."""

from __future__ import annotations

import os


def seconds_from(variable: str, usual: float, least: float) -> float:
    """The seconds that an environment variable sets.

    Args:
        variable: Its name.
        usual: What holds where it is not set, or is no number.
        least: What a smaller number is raised to.
    """
    try:
        return max(least, float(os.environ.get(variable, usual)))
    except ValueError:
        return usual


def duration_text(seconds: float) -> str:
    """A span of time for people, to the second; to the minute from an hour on.

    Example:
        >>> duration_text(5.2), duration_text(75), duration_text(600), duration_text(7300)
        ('5 s', '1 min 15 s', '10 min', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    found = {"h": hours, "min": minutes, "s": 0 if hours else rest}
    return " ".join(f"{count} {unit}" for unit, count in found.items() if count) or "0 s"
