"""`lepton.LeptonSearchCV`, as somebody meets it who used `RandomizedSearchCV`."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from hills import Hill
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import lepton
from lepton import Choice, Float, Int, LeptonSearchCV
from lepton.search_cv.evaluation import exchanged

X, Y = make_classification(n_samples=60, n_features=4, random_state=0)


def search(estimator=None, space=None, **options) -> LeptonSearchCV:
    space = {"x": Float(0, 1), "n": Int(1, 3)} if space is None else space
    defaults = {"n_iter": 20, "cv": KFold(3), "random_state": 0}
    return LeptonSearchCV(Hill() if estimator is None else estimator, space, **defaults | options)


def candidates(fitted: LeptonSearchCV) -> list[dict]:
    return fitted.cv_results_["params"]


# -- the search ----------------------------------------------------------------------------------


def test_it_finds_what_is_best_and_refits_it():
    found = search(n_iter=40).fit(X, Y)
    assert abs(found.best_params_["x"] - 0.3) < 0.05
    assert found.best_params_["n"] == 1
    assert found.best_estimator_.get_params()["x"] == found.best_params_["x"]
    assert found.best_score_ == found.cv_results_["mean_test_score"].max()
    assert found.best_index_ == found.cv_results_["rank_test_score"].argmin()
    assert (found.predict(X) == 0).all()


def test_it_proposes_what_an_optimizer_proposes():
    found = search().fit(X, Y)
    optimizer = lepton.Optimizer({"x": Float(0, 1), "n": Int(1, 3)}, seed=0)
    optimizer.maximize(lambda trial: Hill(**trial).score(range(20), None), trials=20)
    assert [dict(trial) for trial in candidates(found)] == [
        {"x": row["params.x"], "n": row["params.n"]} for _, row in optimizer.trials.iterrows()
    ]


def test_the_same_seed_gives_the_same_results_for_any_number_of_jobs():
    one, two = search().fit(X, Y), search(n_jobs=2).fit(X, Y)
    assert candidates(one) == candidates(two)
    assert candidates(one) != candidates(search(random_state=1).fit(X, Y))
    drawn = [search(random_state=np.random.RandomState(5)).fit(X, Y) for _ in "ab"]  # noqa: TID251
    assert candidates(drawn[0]) == candidates(drawn[1]) != candidates(one)


def test_one_candidate_at_a_time_is_evaluated_by_one_job_and_a_generation_by_several(capsys):
    search(n_iter=9, verbose=1).fit(X, Y)
    search(n_iter=9, verbose=1, n_jobs=2).fit(X, Y)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Fitting")]
    assert [line.split("each of ")[1].split()[0] for line in said] == ["1"] * 9 + ["8", "1"]


def test_a_small_space_is_tried_whole_with_a_warning_and_each_candidate_once():
    small = search(space={"x": [0.1, 0.3, 0.9], "n": [1, 2]})
    with pytest.warns(UserWarning, match="holds 6 candidates, fewer than n_iter=20: all 6"):
        small.fit(X, Y)
    assert len({str(one) for one in candidates(small)}) == len(candidates(small)) == 6
    assert small.best_params_ == {"x": 0.3, "n": 1}


def test_all_candidates_get_the_same_splits_from_a_splitter_that_shuffles():
    found = search(
        LogisticRegression(), {"C": [1.0], "tol": [1e-4, 1.00001e-4]}, n_iter=2, cv=ShuffleSplit(2)
    ).fit(X, Y)
    scores = found.cv_results_["split0_test_score"]
    assert scores[0] == scores[1]


def test_steps_of_a_pipeline_are_searched_and_inactive_params_are_masked():
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    scalers = [StandardScaler(), MinMaxScaler(), "passthrough"]
    space = {
        "scale": scalers,
        "clf__C": stats.loguniform(0.01, 100),
        "scale__with_mean": Choice([True, False], when={"scale": "StandardScaler()"}),
    }
    found = search(pipeline, space).fit(X, Y)
    mask = found.cv_results_["param_scale__with_mean"].mask
    assert {id(one["scale"]) for one in candidates(found)} == {id(scaler) for scaler in scalers}
    assert [one["scale"] is not scalers[0] for one in candidates(found)] == mask.tolist()
    assert found.best_estimator_.score(X, Y) > 0.8


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_candidates_that_fail_are_told_apart_and_the_search_goes_on(n_jobs):
    failing = search(Hill(fails=0.5), n_jobs=n_jobs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        failing.fit(X, Y)
    scores = failing.cv_results_["mean_test_score"]
    failed = [one["x"] > 0.5 for one in candidates(failing)]
    assert np.isnan(scores).tolist() == failed
    assert 1 < sum(failed) < 20
    assert failing.best_score_ == np.nanmax(scores)
    fits, finite = (str(one.message) for one in caught if "joblib" not in one.filename)
    assert f"{3 * sum(failed)} fits failed out of a total of 60" in fits  # once, for all
    assert "scores are non-finite" in finite


def test_an_estimator_that_never_fits_ends_the_search_after_a_generation():
    Hill.fitted.clear()
    with pytest.raises(ValueError, match=r"All the 24 fits failed(.|\n)*is too much"):
        search(Hill(fails=-1)).fit(X, Y)
    assert len(Hill.fitted) == 8


def test_an_error_score_of_a_number_counts_as_a_result():
    counted = search(Hill(fails=0.5), error_score=-9)
    with pytest.warns(FitFailedWarning):
        counted.fit(X, Y)
    assert counted.cv_results_["mean_test_score"].min() == -9


def test_what_an_earlier_fit_found_does_not_pass_for_that_of_one_that_was_interrupted():
    def scoring(estimator, x, y):
        if interrupting:
            raise KeyboardInterrupt
        return 1.0

    interrupting = False
    twice = search(scoring=scoring, n_iter=2).fit(X, Y)
    assert hasattr(twice, "best_estimator_")
    interrupting = True
    with pytest.raises(KeyboardInterrupt):
        twice.fit(X, Y)
    assert not [name for name in vars(twice) if name.startswith(("best_", "cv_results"))]


def test_metrics_are_known_though_nothing_can_be_fitted():
    for scoring in (["accuracy", "f1"], both):
        with pytest.raises(ValueError, match="All the 24 fits failed"):
            search(Hill(fails=-1), scoring=scoring, refit=False).fit(X, Y)


def test_raised_errors_are_raised():
    with pytest.raises(RuntimeError, match="is too much"):
        search(Hill(fails=-1), error_score="raise").fit(X, Y)


def test_a_param_that_the_estimator_has_not_is_an_error():
    with pytest.raises(ValueError, match="Invalid parameter 'z' for estimator Hill"):
        search(space={"z": [1, 2]}, n_iter=2).fit(X, Y)


# -- metrics -------------------------------------------------------------------------------------


def both(estimator, x, y):
    if estimator.x > 0.9:
        return {"far": np.nan, "near": np.nan}
    return {"far": -abs(estimator.x - 0.9), "near": -abs(estimator.x - 0.1)}


@pytest.mark.parametrize(
    ("refit", "expected"),
    [("near", 0.1), ("far", 0.9), (False, 0.9), (lambda results: 3, 0.9)],
    ids=["near", "far", "first as none is named", "first, and a callable chooses"],
)
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_of_several_metrics_the_one_that_refit_names_is_searched_for(refit, expected):
    found = search(scoring=both, refit=refit, space={"x": Float(0, 1)}, n_iter=40).fit(X, Y)
    xs = np.array([one["x"] for one in candidates(found)])
    assert np.median(abs(xs[16:] - expected)) < 0.1 < np.median(abs(xs[16:] - (1 - expected)))
    assert found.multimetric_
    if refit == "near":
        assert found.best_score_ == np.nanmax(found.cv_results_["mean_test_near"])
    if callable(refit):
        assert found.best_index_ == 3


def test_a_metric_that_a_callable_does_not_give_is_an_error_after_one_candidate():
    Hill.fitted.clear()
    with pytest.raises(ValueError, match="must be set to a scorer key"):
        search(scoring=both, refit="nearer").fit(X, Y)
    assert len(Hill.fitted) == 1


def test_metrics_of_a_callable_are_known_late_if_the_first_candidates_fail():
    first = candidates(search().fit(X, Y))[0]["x"]
    seen = search(Hill(fails=first - 1e-9), scoring=both, refit="near")
    with pytest.warns((FitFailedWarning, UserWarning)) as warned:
        seen.fit(X, Y)
    assert [one.category for one in warned].count(FitFailedWarning) == 1
    assert np.isnan(seen.cv_results_["mean_test_near"][0])
    assert seen.best_score_ == np.nanmax(seen.cv_results_["mean_test_near"])


# -- what fit is given besides -----------------------------------------------------------------


def test_groups_and_weights_reach_the_splitter_and_the_estimator():
    groups = np.repeat([0, 1, 2], 20)
    found = search(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=GroupKFold(3))
    found.fit(X, Y, groups=groups, sample_weight=np.ones(60))
    assert found.n_splits_ == 3
    with pytest.raises(ValueError, match="groups"):
        found.fit(X, Y)


def test_metadata_is_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True)
        estimator.set_score_request(sample_weight=False)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        space = {"C": [0.1, 1.0]}
        found = search(estimator, space, n_iter=2, scoring=scorer, cv=GroupKFold(3))
        routed = found.get_metadata_routing().consumes("fit", ["sample_weight", "groups"])
        found.fit(X, Y, sample_weight=np.r_[np.ones(30), np.zeros(30)], groups=np.arange(60) % 3)
        plain = search(estimator, space, n_iter=2, cv=GroupKFold(3))
        plain.fit(X, Y, sample_weight=np.ones(60), groups=np.arange(60) % 3)
    assert routed == {"sample_weight", "groups"}
    assert found.best_score_ != plain.best_score_


# -- how it is made ------------------------------------------------------------------------------


def test_import_lepton_loads_no_scikit_learn():
    code = "import sys, lepton; print({'sklearn', 'scipy', 'joblib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_what_is_sent_to_workers_holds_no_data():
    sent = []

    def scoring(estimator, x, y):
        sent.append((hasattr(asked, "_fit"), "_fit" in asked.__getstate__()))
        return 1.0

    asked = search(scoring=scoring, n_iter=1)
    asked.fit(X, Y)
    assert set(sent) == {(True, False)}
    assert not hasattr(asked, "_fit")


def test_another_scikit_learn_than_is_known_is_an_error_in_words():
    with pytest.raises(lepton.LeptonError, match=r"does not know how scikit-learn .* evaluates"):
        exchanged(lambda: 1, {"_warn_or_raise_about_fit_failures": print})
