"""What makes a recorded search the same one, beside its space and seed.

These are recorded as fixed params of the space, so a search of the same name with another
estimator, metric, splitter or other data is refused as another sweep is, and MLflow shows them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone

from lepton.search_cv.distributions import label
from lepton_core.canonical import digest, shown
from lepton_core.errors import InputError

PREFIX = "search/"
LONGEST = 900  # characters of a text that is recorded as it is
LONG = 1_000_000  # characters of a text of which a digest is made
SHORT = 16  # hexadecimal digits of a digest
HOW = {"n_jobs": None, "verbose": 0}  # params that change no score, and what stands for them


def identity(
    *, estimator: Any, scoring: Any, refit: Any, splitter: Any, splits: int, data: Any
) -> dict[str, str]:
    """Texts that are alike, in any process, for searches whose scores can be compared.

    Args:
        estimator: How many jobs it takes, and what it prints, is no part of it.
        scoring: As the search got it.
        refit: The same; its metric is searched for, if there are several.
        splitter: As `sklearn.model_selection.check_cv` gives it.
        splits: How many.
        data: Whatever decides the scores besides: X, y, and what `fit` was given with them.
    """
    steered = f", searched by {refit}" if isinstance(refit, str) else ""
    return {
        PREFIX + "estimator": _bounded(_estimator(estimator)),
        PREFIX + "scoring": _bounded(f"{_scoring(scoring)}{steered}"),
        PREFIX + "cv": _bounded(f"{splits} splits by {_splitter(splitter)}"),
        PREFIX + "data": data_digest(data),
    }


def check_splits_are_fixed(splitter: Any, name: str) -> None:
    """Do nothing if another process gets the same splits.

    Raises:
        InputError: It shuffles without a seed: after a kill, scores could not be compared.
    """
    shuffles = getattr(splitter, "shuffle", True)
    seed = getattr(splitter, "random_state", 0)
    if shuffles and not isinstance(seed, Integral):
        raise InputError(
            f"cv is {shown(splitter)}, which splits otherwise each time; the search {name!r} is "
            "recorded, and whoever resumes it needs the same splits: give cv a whole number as "
            "its random_state",
            name=name,
        )


def _estimator(estimator: Any) -> str:
    """Its repr, with defaults for what changes no score."""
    with suppress(Exception):  # what cannot be cloned or set is taken as it is
        params = estimator.get_params(deep=True)
        how = {n: HOW[last] for n in params if (last := n.rpartition("__")[2]) in HOW}
        estimator = clone(estimator).set_params(**how)
    with config_context(print_changed_only=True):
        return str(label(estimator, longest=LONG))


def _scoring(scoring: Any) -> str:
    if scoring is None:
        return "the estimator's own score"
    if isinstance(scoring, Mapping):
        return ", ".join(f"{name}: {label(one)}" for name, one in scoring.items())
    if isinstance(scoring, list | tuple):
        return ", ".join(str(label(one)) for one in scoring)
    return str(label(scoring))


def _splitter(splitter: Any) -> str:
    listed = getattr(splitter, "cv", None)  # where the user gave the splits themselves
    if isinstance(listed, list):
        return f"a list of {data_digest(listed)}"
    return str(label(splitter))


def _bounded(text: str) -> str:
    """A long text as its beginning and its digest."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {digest(text)[:SHORT]}"


def data_digest(data: Any) -> str:
    """A digest of arrays, tables, sparse matrices, lists and dicts of them.

    Example:
        >>> one, same = data_digest([np.arange(3), None]), data_digest([[0, 1, 2], None])
        >>> one == same, one == data_digest([[0, 1, 3], None])
        (True, False)
    """
    found = hashlib.sha256()
    _add(found, data)
    return found.hexdigest()[:SHORT]


def _add(found: Any, data: Any) -> None:
    if isinstance(data, Mapping):
        for key in sorted(data, key=str):
            found.update(str(key).encode(errors="backslashreplace"))
            _add(found, data[key])
    elif sparse.issparse(data):
        rows = data.tocsr()
        for part in (rows.shape, rows.indptr, rows.indices, rows.data):
            _add(found, np.asarray(part))
    elif hasattr(data, "columns") and hasattr(data, "items"):  # a table, by its columns
        for name, column in data.items():
            found.update(str(name).encode(errors="backslashreplace"))
            _add(found, np.asarray(column))
    elif isinstance(data, str):  # of a list: as an array each would be as wide as the widest
        found.update(data.encode(errors="backslashreplace") + b"\0")
    elif isinstance(data, list | tuple) and not _is_array_like(data):
        for part in data:
            _add(found, part)
    else:
        _add_array(found, np.asarray(data))


def _is_array_like(data: Any) -> bool:
    if data and isinstance(data[0], str):
        return False
    try:
        return np.asarray(data).dtype != object
    except ValueError:  # it is ragged
        return False


def _add_array(found: Any, array: Any) -> None:
    found.update(repr(array.shape).encode())
    if array.dtype == object:
        texts = "\0".join(str(label(value, longest=LONG)) for value in array.ravel().tolist())
        found.update(texts.encode(errors="backslashreplace"))
    else:
        found.update(array.dtype.kind.encode())
        found.update(np.ascontiguousarray(array).tobytes())
