"""The user's objective: finding it, calling it, and telling a usable result from a failure."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lepton_core.canonical import shown
from lepton_core.errors import ObjectiveError
from lepton_core.events import Failure, FailureKind
from lepton_core.keys import is_mlflow_key
from lepton_core.trial import Trial
from lepton_tasks.redaction import redacted

Objective = Callable[[Trial], Any]

OBJECTIVE = "objective"
MODEL = "model"  # the key of what is no metric in an objective's dict
MAX_REASON = 1000  # characters; as JSON with escapes it must still fit into a tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one call of the objective: a value or a failure, never both.

    Attributes:
        value: The metric in the user's own sign, finite.
        metrics: The other metrics, by name; NaN and infinities may be among them.
        steps: The step at which a metric goes on, where the objective logged it under the same
            name on the way; MLflow takes the metric of the highest step for a run's value.
        model: What the objective returned as ``"model"``, or None.
    """

    value: float | None = None
    failure: Failure | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    model: Any = field(default=None, repr=False, compare=False)


def source_file(reference: str, folder: Path) -> Path | None:
    """The file of an objective given as ``file.py:function``, or None for a module's."""
    where = reference.rpartition(":")[0]
    return (folder / where).resolve() if where.endswith(".py") else None


def load(reference: str, folder: Path, *, what: str = OBJECTIVE) -> Objective:
    """Import the objective, or another function of the user, as the user's own script would.

    The objective has its process to itself; others share the driver's, where they come after what
    is installed, and their module's name is one that no import has.

    Args:
        reference: ``file.py:function`` beside the sweep file, or ``package.module:function``.
        folder: The sweep file's folder.
        what: What it is to the user.

    Raises:
        ObjectiveError: The file, the module or the function is not there, or importing it failed.
    """
    where, _, name = reference.rpartition(":")
    file = source_file(reference, folder)
    for place in (str(Path.cwd()), str(folder)):
        if place not in sys.path:
            sys.path.insert(0 if what == OBJECTIVE else len(sys.path), place)
    try:
        module = importlib.import_module(where) if file is None else _import_file(file, what)
    except ObjectiveError:
        raise
    except BaseException as error:
        raise ObjectiveError(
            f"importing the {what} {reference!r} failed:\n{own_traceback(error)}",
            reference=reference,
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        functions = [
            n
            for n, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", None) == module.__name__
        ]
        raise ObjectiveError(
            f"{where} has no function {name!r}; it has {', '.join(functions) or 'none'}",
            reference=reference,
        )
    return found  # type: ignore[no-any-return]


def _import_file(file: Path, what: str) -> Any:
    if not file.is_file():
        raise ObjectiveError(
            f"the {what}'s file {file} does not exist; it is looked for beside the sweep file",
            file=str(file),
        )
    name = file.stem if what == OBJECTIVE else f"lepton_{what}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ObjectiveError(f"{file} cannot be imported as Python", file=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that what it defines can be pickled by the user's code
    spec.loader.exec_module(module)
    return module


def call(objective: Objective, trial: Trial, metric: str) -> Outcome:
    """Call the objective once; whatever it does becomes an outcome.

    A traceback goes to standard error, which is the trial's output.
    """
    try:
        return judge(objective(trial), metric)
    except BaseException as error:  # noqa: BLE001  (SystemExit and the user's own too)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the user's code closed it
            sys.stderr.write(own_traceback(error))
        return raised(error)


def raised(error: BaseException) -> Outcome:
    """What it comes to that the objective raised this."""
    kind: FailureKind = "memory" if isinstance(error, MemoryError) else "exception"
    return failed(kind, "".join(traceback.format_exception_only(error)).strip())


def own_traceback(error: BaseException) -> str:
    """The traceback from the user's code on, without Lepton's own frames and our secrets."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)  # not resolved: frames are named as their modules were found
    kept = [
        f
        for f in frames
        if not f.filename.startswith((ours, "<frozen importlib")) and "importlib" not in f.filename
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(kept)] if kept else []
    return redacted("".join([*lines, *traceback.format_exception_only(error)]))


def judge(returned: Any, metric: str) -> Outcome:
    """Tell a usable result from a failure.

    Args:
        returned: What the objective returned: a number, or a dict of metrics, which may hold a
            model too, under "model"; a number there is a metric.
        metric: The key of the dict that is minimised or maximised.
    """
    if not isinstance(returned, Mapping):
        return _judge_value(returned, f"the objective returned {_shown(returned)}", {})
    metrics = dict(returned)
    model = None if _is_number(metrics.get(MODEL, 0)) else metrics.pop(MODEL)
    for name, value in metrics.items():
        if not is_mlflow_key(name):
            allowed = "letters, digits, _ . - : / and spaces, as MLflow allows"
            return failed("type", f"the objective has a metric {_shown(name)}; allowed: {allowed}")
        if name != metric and not _is_number(value):
            return failed(
                "type", f"the objective's metric {name!r} is {_shown(value)}; expected a number"
            )
    if metric not in metrics:
        names = ", ".join(metrics) or "nothing"
        return failed("type", f"the objective returned {names}; the metric {metric!r} is missing")
    value = metrics.pop(metric)
    others = {name: _float(number) for name, number in metrics.items()}
    outcome = _judge_value(value, f"the metric {metric!r} is {_shown(value)}", others)
    return outcome if outcome.failure else replace(outcome, model=model)


def _judge_value(value: Any, found: str, metrics: Mapping[str, float]) -> Outcome:
    if value is None:
        return failed("none", f"{found}; expected a number or a dict of metrics")
    if not _is_number(value):
        return failed("type", f"{found}; expected a number or a dict of metrics")
    number = _float(value)
    if math.isnan(number):
        return replace(failed("nan", found), metrics=metrics)
    if math.isinf(number):
        return replace(failed("inf", found), metrics=metrics)
    return Outcome(value=number, metrics=metrics)


def failed(kind: FailureKind, reason: str) -> Outcome:
    """A failure whose reason any store can hold: bounded, no lone surrogates, no NUL, no secret.

    What an objective raises is often a store's or database's error, which quotes the URI.
    """
    text = redacted(reason).encode(errors="backslashreplace").decode().replace("\0", "\\0")
    cut = text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
    return Outcome(failure=Failure(kind=kind, reason=cut))


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and bool(np.issubdtype(value.dtype, np.floating))
    if getattr(value, "ndim", None) == 0 and hasattr(value, "detach"):
        return True  # a tensor of no dimensions
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _float(number: Any) -> float:
    """A number as a float: one too large for it is infinite."""
    number = number.detach() if hasattr(number, "detach") else number
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _shown(value: Any) -> str:
    return f"{shown(value)} ({type(value).__name__})"
