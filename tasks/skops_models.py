"""Scikit-learn models in the skops format, which holds no code: what is trusted in it, and loading.

A file names the classes that it is made of. MLflow trusts those that the file's own metadata lists;
here they must be classes of the libraries below, whatever the store says.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lepton_core.canonical import shown

LIBRARIES = ("sklearn", "xgboost", "lightgbm")
OTHERS = ("collections.OrderedDict",)  # of LightGBM's estimators


def foreign(model: Any) -> list[str]:
    """The types of a model that make its file one that is not trusted; [] for an ordinary one.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> foreign(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1]))
        []
    """
    return [name for name in needed(model) if not is_harmless(name)]


def needed(model: Any) -> list[str]:
    """The types of a model that skops does not trust by itself."""
    import skops.io  # noqa: PLC0415  (half a second; MLflow needs it)

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


def load(file: Path) -> Any:
    """The model of a file.

    Raises:
        ValueError: It names types that are not trusted.
    """
    import skops.io  # noqa: PLC0415  (half a second; MLflow needs it)

    names = skops.io.get_untrusted_types(file=file)
    refused = [name for name in names if not is_harmless(name)]
    if refused:
        raise ValueError(untrusted(refused))
    return skops.io.load(file, trusted=names)


def untrusted(names: Iterable[str]) -> str:
    """What is wrong with a model of these types, in words."""
    listed = ", ".join(shown(name) for name in names)
    return f"it holds {listed}; only classes of {', '.join(LIBRARIES)} are trusted"


def is_harmless(name: str) -> bool:
    """Whether it is a class of one of the libraries; functions, which loading may call, are not.

    Example:
        >>> is_harmless("sklearn.tree._tree.Tree"), is_harmless("os.system")
        (True, False)
    """
    if name in OTHERS:
        return True
    where, _, last = name.rpartition(".")
    if where.partition(".")[0] not in LIBRARIES:
        return False
    try:
        found = getattr(importlib.import_module(where), last, None)
    except ImportError:
        return False
    return isinstance(found, type) and found.__module__.partition(".")[0] in LIBRARIES
