"""A search with a name: recorded in MLflow, and gone on with after any end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, ShuffleSplit

import lepton
from lepton.search_cv.identity import data_digest, identity
from lepton_core.errors import IdentityError, InputError

pytestmark = pytest.mark.usefixtures("sweep_folder")
X, Y = np.arange(24.0).reshape(12, 2), np.arange(12.0) % 2
SEARCH = '''
import os
import time

import lepton
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

X, Y = np.arange(24.0).reshape(12, 2), np.arange(12.0) % 2


class Hill(BaseEstimator):
    """Its score is known, and each fit leaves a line."""

    def __init__(self, x=0.0, kind="a", n_jobs=None):
        self.x, self.kind, self.n_jobs = x, kind, n_jobs

    def fit(self, X, y):
        time.sleep(float(os.environ.get("FIT", "0")))
        with open("fits", "a") as file:
            file.write(f"{self.x}\\n")
        if self.x > 0.9:
            raise RuntimeError("too much")
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def score(self, X, y):
        return -abs(self.x - 0.3) + X.sum() / 1000 - (self.kind == "b")


def search(estimator=None, **options):
    space = {"x": lepton.Float(0, 1), "kind": ["a", "b"]}
    defaults = {"n_iter": 20, "cv": KFold(3), "random_state": 0, "return_train_score": True}
    estimator = Hill() if estimator is None else estimator
    return lepton.LeptonSearchCV(estimator, space, **{**defaults, **options})
'''
RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from searching import X, Y, search
try:
    search(name="demo", **json.loads(sys.argv[1])).fit(X, Y)
except KeyboardInterrupt as error:
    print(f"KeyboardInterrupt: {error}")
"""


@pytest.fixture
def searching(sweep_folder, monkeypatch):
    """The module of the search, importable here and where a search is killed."""
    (sweep_folder.path / "searching.py").write_text(SEARCH)
    monkeypatch.syspath_prepend(str(sweep_folder.path))
    monkeypatch.delitem(sys.modules, "searching", raising=False)
    import searching

    yield searching
    del sys.modules["searching"]


def fits() -> list[str]:
    with open("fits") as file:  # noqa: PTH123  (of the current directory)
        return file.read().split()


def fitted(search, data=(X, Y)):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return search.fit(*data)


def assert_same_results(one, other) -> None:
    """All that scikit-learn has of two searches is equal, but how long it took."""
    assert set(one.cv_results_) == set(other.cv_results_)
    for key, values in one.cv_results_.items():
        if not key.endswith("_time"):
            np.testing.assert_array_equal(values, other.cv_results_[key], err_msg=key)
    assert one.best_params_ == other.best_params_
    assert getattr(one, "best_score_", None) == getattr(other, "best_score_", None)


@pytest.mark.parametrize(
    ("n_jobs", "end"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (1, signal.SIGINT)]
)
def test_a_search_that_is_ended_goes_on_as_if_it_had_not_been(searching, n_jobs, end):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps({"n_jobs": n_jobs})],
        env={**os.environ, "FIT": "0.05"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(fits() if os.path.exists("fits") else []) < 32:  # noqa: PTH110
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, end)
    out, _ = process.communicate(timeout=60)
    assert (b"KeyboardInterrupt: the search was ended after" in out) == (end == signal.SIGINT)
    before = len(fits())
    resumed = fitted(searching.search(name="demo"))  # with one job, whatever was before
    evaluated = len(fits()) - before - 1  # the refit
    assert 60 - before <= evaluated <= 60 - 15
    assert_same_results(resumed, fitted(searching.search()))


def test_what_is_done_is_rebuilt_from_the_record_and_nothing_is_fitted_but_the_best(searching):
    first = fitted(searching.search(name="demo"))
    before = len(fits())
    again = fitted(searching.search(name="demo"))
    assert fits()[before:] == [str(again.best_params_["x"])]
    assert_same_results(again, first)
    for key in ("mean_fit_time", "std_fit_time", "mean_score_time"):
        usable = np.isfinite(first.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(
            again.cv_results_[key][usable], first.cv_results_[key][usable]
        )
    more = fitted(searching.search(name="demo", n_iter=23))
    assert len(more.cv_results_["params"]) == 23
    assert more.cv_results_["params"][:20] == first.cv_results_["params"]
    assert len(fits()) == before + 1 + 9 + 1


def test_failures_are_rebuilt_too(searching):
    first = fitted(searching.search(name="demo"))
    failed = np.isnan(first.cv_results_["mean_test_score"])
    assert 0 < failed.sum() < 20
    with pytest.warns((FitFailedWarning, UserWarning)) as warned:
        again = searching.search(name="demo").fit(X, Y)
    assert np.isnan(again.cv_results_["mean_test_score"]).tolist() == failed.tolist()
    told = [str(one.message) for one in warned if one.category is FitFailedWarning]
    assert len(told) == 1
    assert "RuntimeError: too much" in told[0]


def near_and_far(estimator, x, y):
    return {"near": -abs(estimator.x - 0.1), "far": -abs(estimator.x - 0.8)}


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        ("r2", True),
        (["r2", "neg_mean_squared_error"], "neg_mean_squared_error"),
        (near_and_far, "near"),
        (near_and_far, lambda results: 2),
    ],
    ids=["one", "several", "callable", "callable, none named"],
)
def test_several_metrics_are_rebuilt_and_the_same_one_is_searched_for(searching, scoring, refit):
    options = {"scoring": scoring, "refit": refit}
    fitted(searching.search(name="demo", n_iter=8, **options))
    before = len(fits())
    resumed = fitted(searching.search(name="demo", n_iter=24, **options))
    assert len(fits()) - before == 48 + 1
    alone = fitted(searching.search(n_iter=24, **options))
    assert_same_results(resumed, alone)
    assert resumed.multimetric_ == alone.multimetric_


def test_the_runs_hold_the_scores_and_what_was_searched(searching):
    found = fitted(searching.search(name="demo"))
    trials = lepton.Optimizer(name="demo").trials
    results = found.cv_results_
    np.testing.assert_array_equal(trials["metrics.split1_test_score"], results["split1_test_score"])
    np.testing.assert_array_equal(trials["value"], results["mean_test_score"])
    assert set(trials["params.search/estimator"]) == {"Hill()"}
    assert set(trials["params.search/cv"]) == {
        "3 splits by KFold(n_splits=3, random_state=None, shuffle=False)"
    }


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"data": (X + 1, Y)}, "search/data"),
        ({"data": (X, 1 - Y)}, "search/data"),
        ({"cv": KFold(4)}, "search/cv"),
        ({"scoring": "r2"}, "search/scoring"),
        ({"kind": "b"}, "search/estimator"),
        ({"random_state": 1}, "seed"),
    ],
    ids=["X", "y", "cv", "scoring", "estimator", "seed"],
)
def test_another_search_of_that_name_is_refused_before_anything_is_fitted(searching, changes, part):
    fitted(searching.search(name="demo", n_iter=4))
    before = len(fits())
    changes = dict(changes)
    data = changes.pop("data", (X, Y))
    estimator = searching.Hill(kind=changes.pop("kind", "a"))
    with pytest.raises(IdentityError, match=f"'demo' exists with another .*{part}"):
        fitted(searching.search(estimator, name="demo", **changes), data)
    assert len(fits()) == before


def test_what_changes_no_score_may_change(searching):
    fitted(searching.search(name="demo", n_iter=4))
    fitted(
        searching.search(searching.Hill(n_jobs=2), name="demo", n_iter=4, n_jobs=2),
        (X.tolist(), Y.tolist()),
    )


def test_splits_that_another_process_would_not_get_are_refused(searching):
    for splitter in (ShuffleSplit(2), KFold(2, shuffle=True)):
        with pytest.raises(InputError, match=r"splits otherwise each time.*give cv a whole number"):
            searching.search(name="demo", cv=splitter).fit(X, Y)
    fitted(searching.search(name="demo", cv=ShuffleSplit(2, random_state=0), n_iter=1))


def test_no_random_state_is_zero_for_a_search_with_a_name(searching):
    named = fitted(searching.search(name="demo", random_state=None, n_iter=4))
    assert named.cv_results_["params"] == fitted(searching.search(n_iter=4)).cv_results_["params"]


def test_a_metric_that_mlflow_cannot_name_is_said_at_once(searching):
    odd = searching.search(name="demo", scoring=lambda *_: {"f1 (a)": 1.0}, refit="f1 (a)")
    with pytest.raises(InputError, match=r"a metric 'f1 \(a\)', whose name MLflow cannot keep"):
        fitted(odd)
    named = searching.search(name="other", scoring={"f1 (a)": "r2"}, refit="f1 (a)", n_iter=3)
    fitted(named)
    assert "mean_test_f1 (a)" in fitted(named).cv_results_


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.eye(3), np.eye(4)),
        (np.eye(3), np.eye(3) * 2),
        (sparse.csr_matrix(np.eye(3)), sparse.csr_matrix(np.eye(3) * 2)),
        (["a", "bc"], ["ab", "c"]),
        (np.array(["x" * 5000], dtype=object), np.array(["x" * 5001], dtype=object)),
        ({"X": 1, "y": 2}, {"X": 1, "z": 2}),
        ([[1], [2, 3]], [[1, 2], [3]]),
        (None, 0),
    ],
    ids=range(8),
)
def test_a_digest_tells_data_apart(one, other):
    import pandas as pd

    assert data_digest(one) == data_digest(one) != data_digest(other)
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert data_digest(table) != data_digest(table.assign(b=["x", "z"]))


def test_an_identity_is_the_same_in_every_process():
    class Model(BaseEstimator):
        def __init__(self, draw=None):
            self.draw = draw

    def of(model):
        return identity(
            estimator=model, scoring=len, refit=True, splitter=KFold(2), splits=2, data=None
        )

    assert of(Model(draw=object())) == of(Model(draw=object())) != of(Model())
    assert len(of(Model(draw="x" * 5000))["search/estimator"]) < 1000
