"""scikit-learn's own tests of its searches, run on `LeptonSearchCV`.

The file that scikit-learn installs is read once more, with our search where it imports its
`RandomizedSearchCV` and `GridSearchCV`. Of the tests that use one of these, all are run but those
of `DO_NOT_APPLY`.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import sklearn.model_selection
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import ParameterGrid
from sklearn.utils.estimator_checks import check_estimator

from lepton import Float, LeptonSearchCV

pytestmark = pytest.mark.filterwarnings("ignore")  # scikit-learn's tests say which they expect

ORDER = "expects the candidates in the order of a grid; they come in the order of the search"
REPEATS = "lists one value several times and expects as many candidates; ours are tried once each"
DO_NOT_APPLY = {
    "test_array_api_search_cv_classifier": "scikit-learn skips it where array-api-strict is not",
    "test_callable_multimetric_clf_all_fits_fail": REPEATS,
    "test_callable_multimetric_error_failing_clf": ORDER,
    "test_custom_run_search": ORDER,
    "test_grid_search": ORDER,
    "test_grid_search_classifier_all_fits_fail": REPEATS,
    "test_grid_search_correct_score_results": ORDER,
    "test_grid_search_cv_splits_consistency": REPEATS,
    "test_grid_search_failing_classifier": ORDER,
    "test_refit_callable": ORDER,
    "test_refit_callable_multi_metric": ORDER,
    "test_search_cv_results_rank_tie_breaking": ORDER,
    "test_search_cv_timing": ORDER,
    "test_search_default_iid": ORDER,
    "test_search_with_2d_array": "expects the very candidates that its seed draws",
}
PAGE = Path(__file__).parents[2] / "docs" / "search-cv.md"


class RandomizedSearchCV(LeptonSearchCV):
    """Ours, with the number of candidates that their tests rely on."""

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        error_score=np.nan,
        return_train_score=False,
        random_state=None,
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
        )


class GridSearchCV(LeptonSearchCV):
    """Ours, for as many candidates as the grid has."""

    _parameter_constraints: ClassVar[dict] = {
        **{k: v for k, v in RandomizedSearchCV._parameter_constraints.items() if "param" not in k},
        "param_grid": [dict, list],
    }

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=0,
        )
        self.param_grid = param_grid

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        self.param_distributions = self.param_grid
        self.n_iter = len(ParameterGrid(self.param_grid))
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)


def their_tests_with_ours() -> ModuleType:
    from sklearn.model_selection.tests import test_search as theirs

    spec = importlib.util.spec_from_file_location("their_tests_with_ours", theirs.__file__)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # what it defines can then be pickled
    with pytest.MonkeyPatch.context() as patched:
        for ours in (RandomizedSearchCV, GridSearchCV):
            patched.setattr(sklearn.model_selection, ours.__name__, ours)
        spec.loader.exec_module(module)
    return module


def of_a_search(test: Any) -> bool:
    """Whether a test uses a search that was exchanged."""
    cases = "".join(str(mark.args) for mark in getattr(test, "pytestmark", ()))
    text = inspect.getsource(test) + cases
    return "RandomizedSearchCV" in text or "GridSearchCV" in text.replace("HalvingGridSearchCV", "")


THEIRS = {
    name: test
    for name, test in vars(their_tests_with_ours()).items()
    if name.startswith("test_") and of_a_search(test)
}
globals().update({name: test for name, test in THEIRS.items() if name not in DO_NOT_APPLY})


def test_what_does_not_apply_is_there_and_all_else_is_run():
    assert DO_NOT_APPLY.keys() <= THEIRS.keys()
    assert len(THEIRS) - len(DO_NOT_APPLY) > 60


def test_the_page_lists_what_does_not_apply():
    rows = [line.split("|")[1].strip(" `") for line in PAGE.read_text().splitlines() if "|" in line]
    assert {row for row in rows if row.startswith("test_")} == DO_NOT_APPLY.keys()


@pytest.mark.parametrize(
    ("search", "fails"),
    [
        (LeptonSearchCV(LogisticRegression(), {"C": Float(0.01, 1)}, cv=2, n_iter=2), set()),
        # scikit-learn's own list has this one for RandomizedSearchCV: Ridge takes several outputs.
        (LeptonSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, n_iter=2), {"check_supervised_y_2d"}),
    ],
    ids=["classifier", "regressor"],
)
def test_it_keeps_what_scikit_learn_asks_of_an_estimator(search, fails):
    results = check_estimator(search, on_skip=None, on_fail=None)
    status = {one["check_name"]: one["status"] for one in results}
    assert {name for name, found in status.items() if found == "failed"} == fails
    assert sum(found == "passed" for found in status.values()) > 40


def test_it_has_the_attributes_of_a_randomized_search():
    x, y = make_classification(n_samples=40, random_state=0)
    space = {"C": [0.1, 1.0], "tol": [1e-3, 1e-4]}
    theirs = sklearn.model_selection.RandomizedSearchCV(LogisticRegression(), space, n_iter=4)
    ours = LeptonSearchCV(LogisticRegression(), space, n_iter=4)
    theirs.fit(x, y)
    ours.fit(x, y)
    assert {name for name in vars(theirs) if name.endswith("_")} <= vars(ours).keys()
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    taken = inspect.signature(LeptonSearchCV).parameters.keys()
    known = inspect.signature(sklearn.model_selection.RandomizedSearchCV).parameters.keys()
    assert known - taken == {"pre_dispatch"}
