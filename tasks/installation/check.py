"""What one look at an installation came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem", "skipped"]
GRAVITY: tuple[State, ...] = ("skipped", "ok", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is about, such as ``packages``.
        state: "warning": it works, but not as it should; "problem": sweeps fail, or may;
            "skipped": it could not be looked at.
        found: What is there.
        expected: What Lepton needs.
        advice: What to do; empty where all is well.

    Example:
        >>> Check("python", "ok", "3.11.9", ">=3.11").state
        'ok'
    """

    name: str
    state: State
    found: str
    expected: str
    advice: str = ""


def gravest(states: Iterable[State]) -> State:
    """The worst of some states; "ok" if there are none.

    Example:
        >>> gravest(["ok", "problem", "warning"]), gravest([])
        ('problem', 'ok')
    """
    return max(states, key=GRAVITY.index, default="ok")
