"""``lepton.LeptonSearchCV``: a search over the params of a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import effective_n_jobs
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils._param_validation import Interval

from lepton.optimizer import Optimizer
from lepton.search_cv.driving import GENERATION, Drive
from lepton.search_cv.evaluation import (
    Evaluation,
    Row,
    in_one_form,
    is_multimetric,
    metrics_of,
    splitting,
)
from lepton.search_cv.identity import check_splits_are_fixed, identity
from lepton.search_cv.seeds import seed_of
from lepton.search_cv.spaces import searched
from lepton_core.space import Space

CONSTRAINTS = BaseSearchCV._parameter_constraints  # noqa: SLF001  (how a subclass declares its own)
FITTED = (
    *("best_estimator_", "best_index_", "best_params_", "best_score_", "cv_results_"),
    *("feature_names_in_", "multimetric_", "n_splits_", "refit_time_", "scorer_"),
)


@dataclass
class _Fit:
    """What one call of `fit` keeps for itself.

    Attributes:
        data: All that `fit` was given.
        warned: What scikit-learn warns of as it forms the results of the candidates so far.
        interrupted: What to say of a Ctrl-C that ended the search early.
    """

    data: Mapping[str, Any]
    warned: list[Warning] = field(default_factory=list)
    interrupted: str = ""


class LeptonSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn carries no types
    """Search the params of an estimator, by cross-validation.

    It takes what `sklearn.model_selection.RandomizedSearchCV` takes, has what it has after `fit`,
    and learns from the scores so far where to look next, as `lepton.Optimizer` does.

    Ctrl-C loses nothing that was found: the best candidate so far is refitted on the whole data,
    and `KeyboardInterrupt` is raised again.

    Args:
        estimator: A scikit-learn estimator.
        param_distributions: By the name of a param (``clf__C`` in a pipeline): `lepton.Float`,
            `lepton.Int` or `lepton.Choice`, a frozen distribution of `scipy.stats`, a list, or one
            plain value. Or a list of such dicts.
        n_iter: How many candidates are tried; fewer if there are no more.
        scoring: As everywhere in scikit-learn. Of several metrics the one that `refit` names is
            searched for, else the first.
        n_jobs: As everywhere in scikit-learn. The candidates are the same for any number.
        refit: Whether to fit the best candidate on the whole data; the metric's name, if there are
            several; or a callable that chooses the index from ``cv_results_``.
        cv: As everywhere in scikit-learn. All candidates get the same splits.
        verbose: As of `RandomizedSearchCV`.
        error_score: What a fit that fails counts as. NaN: the search is told of a failure.
        return_train_score: Whether ``cv_results_`` has the scores on the training splits too.
        random_state: Same state and same scores, same candidates.
        name: To record the search in MLflow, and resume it.

    Attributes:
        cv_results_: As of `RandomizedSearchCV`, in the order of evaluation.
        best_index_: The candidate with the best mean score, as scikit-learn ranks them.
        best_score_: Its mean score, on the metric searched for.
        best_params_: Its params.
        best_estimator_: The estimator refitted with them.

    Raises:
        InputError: Something in ``param_distributions`` is wrong; nothing was fitted.
        KeyboardInterrupt: After Ctrl-C, once the best so far is refitted.

    Example:
        >>> from scipy.stats import loguniform
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> space = {"C": loguniform(1e-3, 1e3), "kernel": ["linear", "rbf"]}
        >>> search = LeptonSearchCV(SVC(), space, n_iter=10, random_state=0)
        >>> search.fit(*load_iris(return_X_y=True)).best_params_["kernel"]
        'linear'
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{k: v for k, v in CONSTRAINTS.items() if k != "pre_dispatch"},
        "param_distributions": [dict, list, tuple, Space],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "name": [str, None],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 50,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., Any] = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state
        self.name = name

    def fit(self, X: Any, y: Any = None, **params: Any) -> LeptonSearchCV:  # noqa: N803
        """Search, then fit the best candidate on the whole data.

        Args:
            X: ``(n_samples, n_features)``.
            y: ``(n_samples,)`` or ``(n_samples, n_outputs)``; None: unsupervised.
            **params: As of `RandomizedSearchCV`: ``sample_weight``, ``groups``, what the
                estimator's `fit` takes, and metadata to be routed.

        Returns:
            The search itself.

        Raises:
            ValueError: All fits failed, or an argument is wrong.
            KeyboardInterrupt: Ctrl-C. If a candidate was evaluated by then, ``best_estimator_`` and
                the others are there. A second Ctrl-C while it is refitted ends it at once.
        """
        for name in FITTED:  # of an earlier call: after a Ctrl-C they would pass for this one's
            self.__dict__.pop(name, None)
        self._fit = _Fit({"X": X, "y": y, **params})
        try:
            super().fit(X, y, **params)
            interrupted = self._fit.interrupted
        except BaseException:
            if "refit_time_" not in self.__dict__:
                self.__dict__.pop("best_estimator_", None)  # it is not fitted
            raise
        finally:
            del self._fit
        if interrupted:
            raise KeyboardInterrupt(interrupted)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without what a `fit` under way keeps: scikit-learn sends the search to its workers."""
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_fit"}

    def _run_search(
        self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None
    ) -> None:
        """Ask, evaluate, tell."""
        splitter, splits = splitting(self, evaluate_candidates)
        space = searched(self.param_distributions, self._identity(splitter, splits))
        trials = self._within_reach(space.space)
        optimizer = Optimizer(
            space.space,
            seed=seed_of(self.random_state, recorded=self.name is not None),
            generation=GENERATION,
            trials=trials,
            direction="maximize",
            name=self.name,
        )
        context = None
        if callback_ctx is not None:
            context = callback_ctx.subcontext(
                task_name="search",
                max_subtasks=None if self.name else trials * splits,
                sequential_subtasks=False,
            ).call_on_fit_task_begin(estimator=self)
        evaluation = Evaluation(
            evaluate_candidates,
            splitter=splitter,
            splits=splits,
            error_score=self.error_score,
            context=context,
        )
        drive = Drive(
            optimizer,
            space,
            evaluation,
            metric=self._metric,
            scoring=self.scoring,
            error_score=self.error_score,
            train=self.return_train_score,
            splits=splits,
        )
        try:
            with optimizer:
                drive.run(GENERATION if effective_n_jobs(self.n_jobs) > 1 else 1)
        except KeyboardInterrupt:
            if not drive.has_usable:
                raise
            self._fit.interrupted = (
                f"the search was ended after {evaluation.evaluated} of {trials} "
                "candidates; the best of them is in best_params_, and refitted where refit is on"
            )
        evaluation.give_verdict()
        for warning in self._fit.warned:
            warnings.warn(warning, stacklevel=5)
        self.cv_results_ = evaluation.results  # now, as a second Ctrl-C may end the refit
        if context is not None:
            context.call_on_fit_task_end(estimator=self)

    def _identity(self, splitter: Any, splits: int) -> dict[str, str]:
        """What else must be the same for a search to go on under its name."""
        if self.name is None:
            return {}
        check_splits_are_fixed(splitter, self.name)
        return identity(
            estimator=self.estimator,
            scoring=self.scoring,
            refit=self.refit,
            splitter=splitter,
            splits=splits,
            data=self._fit.data,
        )

    def _within_reach(self, space: Space) -> int:
        """How many candidates will be tried."""
        if space.size is None or space.size >= self.n_iter:
            return int(self.n_iter)
        warnings.warn(
            f"the space holds {space.size} candidates, fewer than n_iter={self.n_iter}: all "
            f"{space.size} are tried, once each",
            UserWarning,
            stacklevel=6,
        )
        return space.size

    def _metric(self, rows: Sequence[Row]) -> str:
        """The metric that is searched for: the one that `refit` names, or the first of several."""
        if not is_multimetric(rows):
            return "score"
        metrics = metrics_of(rows)
        if callable(self.scoring):
            self._check_refit_for_multimetric(metrics)  # now, before others are evaluated
        return self.refit if isinstance(self.refit, str) else metrics[0]

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: Any, more_results: Any = None
    ) -> dict[str, Any]:
        """scikit-learn's, which is called for each batch anew and would warn each time."""
        in_one_form(out, self.error_score)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results: dict[str, Any] = super()._format_results(
                candidate_params, n_splits, out, more_results
            )
        self._fit.warned = [one.message for one in caught if isinstance(one.message, Warning)]
        return results
