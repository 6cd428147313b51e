"""What a user wants called while a sweep is driven: references to functions, by occasion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReferences:
    """References to functions, each ``file.py:function`` or ``package.module:function``.

    Attributes:
        improved: Called when a trial is better than all before.
        failed: Called when a driver ends by an error, and when all trials of a generation failed.
        ended: Called when a driver has left a sweep, however, but for an error.

    Example:
        >>> HookReferences(improved="hooks.py:tell").given()
        {'improved': 'hooks.py:tell'}
    """

    improved: str | None = None
    failed: str | None = None
    ended: str | None = None

    def given(self) -> Mapping[str, str]:
        """Those that there are, by occasion."""
        return {occasion: name for occasion, name in asdict(self).items() if name is not None}


OCCASIONS = tuple(one.name for one in fields(HookReferences))
