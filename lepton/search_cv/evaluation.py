"""scikit-learn's ``evaluate_candidates``, called many times in one search.

`BaseSearchCV.fit` evaluates the candidates that it is handed, and takes one call to be all of them:
it raises if all fits of a call failed, it splits anew at each call, and it has no way to take in
what was evaluated before. Here that is mended without a copy of `fit`, so that all else stays
scikit-learn's own: routing, scorers, callbacks, the form of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import getclosurevars
from types import CellType, FunctionType
from typing import Any

import numpy as np

from lepton_core.errors import LeptonError

Row = dict[str, Any]
"""What scikit-learn's ``_fit_and_score`` returns for one fit: scores, times, the error."""

RAISES = "_warn_or_raise_about_fit_failures"  # scikit-learn's, about the fits of one call


def exchanged(function: Callable[..., Any], names: Mapping[str, Any]) -> Callable[..., Any]:
    """A copy of a function that finds other objects under some of the names it looks up.

    The function itself, and the module that it is from, stay as they are.

    Raises:
        LeptonError: It looks none of that name up: this scikit-learn is another than we know.

    Example:
        >>> def shout(text): return str(text).upper()
        >>> exchanged(shout, {"str": repr})("a")
        "'A'"
    """
    if not isinstance(function, FunctionType):
        raise _unknown(sorted(names))
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    free = {name: value for name, value in names.items() if name not in cells}
    missing = sorted(set(free) - set(function.__code__.co_names))
    if missing:
        raise _unknown(missing)
    copy = FunctionType(
        function.__code__,
        {**function.__globals__, **free},
        function.__name__,
        function.__defaults__,
        tuple(CellType(names[n]) if n in names else cell for n, cell in cells.items()),
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _unknown(names: Sequence[str]) -> LeptonError:
    import sklearn  # noqa: PLC0415  (for its version alone)

    return LeptonError(
        f"LeptonSearchCV does not know how scikit-learn {sklearn.__version__} evaluates its "
        f"candidates ({', '.join(names)} is not there); expected 1.5 to 1.9: install one of these, "
        "and please report this",
        missing=tuple(names),
    )


def splitting(search: Any, evaluate_candidates: Callable[..., Any]) -> tuple[Any, int]:
    """The splitter that a search uses, and how many splits that gives.

    The search itself has them since scikit-learn 1.9; before, the function had.
    """
    if hasattr(search, "_checked_cv_orig") and hasattr(search, "n_splits_"):
        return search._checked_cv_orig, int(search.n_splits_)  # noqa: SLF001  (for subclasses)
    found = getclosurevars(evaluate_candidates).nonlocals
    if not {"cv_orig", "n_splits"} <= found.keys():
        raise _unknown(["cv_orig", "n_splits"])
    return found["cv_orig"], int(found["n_splits"])


class SplitOnce:
    """A splitter that gives the splits of its first call again: all candidates get the same.

    Splitters that shuffle without a fixed seed split anew each time they are asked.
    """

    def __init__(self, splitter: Any) -> None:
        self._splitter = splitter
        self._splits: list[Any] | None = None

    def split(self, *args: Any, **params: Any) -> list[Any]:
        """The splits."""
        if self._splits is None:
            self._splits = list(self._splitter.split(*args, **params))
        return self._splits


class _Numbered:
    """A callback context that numbers its subcontexts on, where each call begins at 0."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._given = 0

    def subcontext(self, *, task_name: str, task_id: int) -> Any:
        """The next one."""
        del task_id  # Unused: it is of one call, and they must differ over all of them.
        self._given += 1
        return self._context.subcontext(task_name=task_name, task_id=self._given - 1)


class Evaluation:
    """The candidates of one search, evaluated some at a time.

    Args:
        evaluate_candidates: As `BaseSearchCV.fit` gives it.
        splitter: For all candidates.
        splits: How many it gives.
        error_score: Of the estimator.
        context: scikit-learn's callback context of the whole search; None before 1.9.

    Attributes:
        rows: Of all fits that count, in the order of candidates and splits.
        results: Of all candidates so far, in scikit-learn's form.
    """

    def __init__(
        self,
        evaluate_candidates: Callable[..., Any],
        *,
        splitter: Any,
        splits: int,
        error_score: Any,
        context: Any = None,
    ) -> None:
        self.rows: list[Row] = []
        self.results: dict[str, Any] = {}
        self._evaluate = exchanged(evaluate_candidates, {RAISES: self._keep})
        self._parallel: Any = getclosurevars(evaluate_candidates).nonlocals.get("parallel")
        self._raise_or_warn = evaluate_candidates.__globals__[RAISES]
        self._splitter, self._splits, self._error_score = SplitOnce(splitter), splits, error_score
        self._context = None if context is None else _Numbered(context)

    def __call__(
        self, candidates: Sequence[Mapping[str, Any]], done: Callable[[int, list[Row]], None]
    ) -> None:
        """Evaluate candidates.

        Args:
            candidates: The params of each.
            done: Called with a candidate's place among them and its fits, one for each split, as
                soon as it and those before it are evaluated.

        Raises:
            KeyboardInterrupt: Ctrl-C; the candidates that were done are in the results.
        """
        finished: list[Row] = []

        def gather(tasks: Iterable[Any]) -> list[Row]:
            for row in self._each(tasks):
                finished.append(row)
                place, rest = divmod(len(finished), self._splits)
                if not rest:
                    done(place - 1, finished[-self._splits :])
            return finished

        try:
            self._call(exchanged(self._evaluate, {"parallel": gather}), candidates)
        except KeyboardInterrupt:
            whole = len(finished) // self._splits
            if whole:
                self.recall(candidates[:whole], finished[: whole * self._splits])
            raise

    def _each(self, tasks: Iterable[Any]) -> Iterable[Row]:
        """The fits in their order, each when it is there and not when all are."""
        jobs = self._parallel
        if getattr(getattr(jobs, "_backend", None), "supports_return_generator", False):
            jobs.return_generator = jobs.return_ordered = True  # as return_as="generator" does
        found: Iterable[Row] = jobs(tasks)
        return found

    def recall(self, candidates: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> None:
        """Take in candidates that were evaluated before, with a row for each of their splits."""

        def recalled(tasks: Iterable[Any]) -> list[Row]:
            del tasks  # Unused: nothing is fitted.
            return list(rows)

        others = {"parallel": recalled, "print": _silent}
        self._call(exchanged(self._evaluate, others), candidates)

    def _call(self, evaluate: Callable[..., Any], candidates: Sequence[Mapping[str, Any]]) -> None:
        options = {} if self._context is None else {"callback_ctx": self._context}
        self.results = evaluate([dict(c) for c in candidates], cv=self._splitter, **options)

    def _keep(self, rows: list[Row], error_score: Any) -> None:
        """In place of scikit-learn's verdict on the fits of one call."""
        del error_score  # Unused: it is known.
        self.rows.extend(rows)

    @property
    def evaluated(self) -> int:
        """How many candidates are in the results."""
        return len(self.results.get("params", ()))

    @property
    def hopeless(self) -> bool:
        """Whether no fit succeeded."""
        return all(row["fit_error"] is not None for row in self.rows)

    def give_verdict(self) -> None:
        """Warn of the fits that failed, in scikit-learn's words, once for all.

        Raises:
            ValueError: All of them failed.
        """
        self._raise_or_warn(self.rows, self._error_score)


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The names of the metrics that the scorers gave; of a failed fit they may be unknown.

    Example:
        >>> metrics_of([{"test_scores": 0.5}]), metrics_of([{"test_scores": {"r2": 1, "mse": 0}}])
        (['score'], ['r2', 'mse'])
    """
    scores = [row["test_scores"] for row in rows]
    known = next((one for one in scores if isinstance(one, dict)), ["score"])
    return list(known)


def is_multimetric(rows: Sequence[Row]) -> bool:
    """Whether the scorers gave a dict of metrics, as far as is known."""
    return any(isinstance(row["test_scores"], dict) for row in rows)


def mean_score(rows: Sequence[Row], metric: str, kind: str = "test_scores") -> float:
    """The mean over the splits, as scikit-learn takes it: not finite, if one of them is not."""
    scores = [row[kind][metric] if isinstance(row[kind], dict) else row[kind] for row in rows]
    return float(np.average(np.array([scores], dtype=np.float64), axis=1)[0])


def failure(rows: Sequence[Row]) -> str:
    """Why a candidate has no finite score."""
    errors = [row["fit_error"] for row in rows if row["fit_error"] is not None]
    if not errors:
        return "the mean of its test scores is not finite"
    return f"{len(errors)} of {len(rows)} fits failed: {errors[0].strip().splitlines()[-1]}"


def _silent(*args: Any, **options: Any) -> None:
    del args, options  # Unused: nothing is said.


def in_one_form(rows: Sequence[Row], error_score: Any) -> None:
    """Give failed fits their error scores by metric, once the metrics are known."""
    if not is_multimetric(rows):
        return
    names = metrics_of(rows)
    for row in rows:
        for kind in ("test_scores", "train_scores"):
            if kind in row and not isinstance(row[kind], dict):
                row[kind] = dict.fromkeys(names, error_score)
