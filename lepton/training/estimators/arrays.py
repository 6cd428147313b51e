"""Training data as scikit-learn and XGBoost take it: arrays, sparse matrices, data frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.training.learner import Batch
from lepton.training.rows import check_rows, parts_of
from lepton_core.canonical import shown
from lepton_core.errors import InputError


def prepared(data: Any, *, unsupervised: bool = False) -> Batch:
    """The features and the target, of as many rows.

    Features stay what they are, if that is something with rows: an estimator knows the columns of a
    data frame by name. Lists become arrays, and so does the target.

    Args:
        data: ``(x, y)``.
        unsupervised: ``(x,)`` will do.

    Raises:
        InputError: It is not that.

    Example:
        >>> from lepton.training.estimators.arrays import prepared
        >>> prepared(([[1.0], [2.0]], [0, 1]))[1].tolist()
        [0, 1]
    """
    parts = parts_of(data)
    allowed = (1, 2) if unsupervised else (2,)
    if len(parts) not in allowed:
        raise InputError(
            f"data has {len(parts)} parts; expected two, data=(x, y)"
            + (", or one for an estimator without a target" if unsupervised else "")
        )
    x = parts[0]
    if hasattr(x, "tocsr"):
        x = x.tocsr()  # of the sparse ones it is this that gives rows
    elif not hasattr(x, "iloc"):
        x = _array(x)
    found = (x, *(_flat(_array(part)) for part in parts[1:]))
    check_rows(found)
    return found


def _flat(target: Any) -> Any:
    """A target in one column as a vector, which is what predictions are."""
    return target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target  # noqa: PLR2004


def rows(data: Batch, indices: Any) -> Batch:
    """Some rows of each part."""
    return tuple(part.iloc[indices] if hasattr(part, "iloc") else part[indices] for part in data)


def labels(y: Any) -> Any:
    """The classes in a target, in order.

    Raises:
        InputError: It has no order: texts beside numbers, or gaps.
    """
    try:
        return np.unique(y)
    except TypeError:
        raise InputError(
            f"y has labels of several types, such as {shown(list(y[:3]))}; expected one type, and "
            "no gaps"
        ) from None


def _array(part: Any) -> Any:
    try:
        array = np.asarray(part)
    except ValueError as error:
        raise InputError(f"a part of data is no array: {error}") from None
    if not array.ndim:
        raise InputError(f"a part of data is {shown(part)}; expected rows, as of an array")
    return array
