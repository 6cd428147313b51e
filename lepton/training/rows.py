"""What the parts of training data have in common: one row of each is one example."""

from __future__ import annotations

from typing import Any

from lepton_core.canonical import shown
from lepton_core.errors import InputError


def parts_of(data: Any) -> tuple[Any, ...]:
    """The parts of what the user gave as data.

    Raises:
        InputError: It is no tuple of parts.
    """
    if not isinstance(data, tuple | list) or not data:
        raise InputError(
            f"data is {shown(data)} ({type(data).__name__}); expected a tuple of arrays, such as "
            "data=(x, y)"
        )
    return tuple(data)


def rows_of(part: Any) -> int:
    """How many rows a part has; a sparse matrix has no length.

    Raises:
        TypeError: It has none.

    Example:
        >>> rows_of([[1.0, 2.0], [3.0, 4.0]])
        2
    """
    shape = getattr(part, "shape", None)
    return int(shape[0]) if shape else len(part)


def check_rows(parts: tuple[Any, ...]) -> None:
    """See that all parts have the same number of rows.

    Raises:
        InputError: They do not, or have none.

    Example:
        >>> import numpy as np
        >>> from lepton.training.rows import check_rows
        >>> check_rows((np.zeros((3, 2)), np.zeros(3)))
    """
    rows = [part.shape[0] for part in parts]
    if len(set(rows)) > 1 or not rows[0]:
        raise InputError(
            f"the parts of data have {', '.join(map(str, rows))} rows; expected as many of each, "
            "and some: row i of all parts is one example"
        )
