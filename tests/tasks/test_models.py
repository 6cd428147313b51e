"""Models of the common libraries, logged to a run and loaded from it without running their code."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

from lepton_core.errors import NothingUsableError
from lepton_tasks import models, skops_models

X = np.random.Generator(np.random.PCG64(0)).random((40, 3))
Y = (X[:, 0] > 0.5).astype(int)


def of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    yield make_pipeline(StandardScaler(), SVC()).fit(X, Y)
    yield RandomForestClassifier(3, random_state=0).fit(X, Y)
    yield HistGradientBoostingClassifier(max_iter=3).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge
        yield MLPClassifier(max_iter=3, random_state=0).fit(X, Y)


def of_boosting_libraries():
    import lightgbm
    import xgboost
    from sklearn.pipeline import make_pipeline

    yield xgboost.XGBClassifier(n_estimators=2).fit(X, Y)
    yield make_pipeline(xgboost.XGBClassifier(n_estimators=2)).fit(X, Y)
    yield lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names features by itself
        yield lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, Y)


@pytest.fixture
def a_run(store):
    """Log a model to a run; gives what was wrong, and the run."""
    import mlflow

    def log(model):
        mlflow.set_tracking_uri(store.address.tracking_uri)
        try:
            with mlflow.start_run(experiment_id=store.experiment_id) as run:
                return models.log(model), run.info.run_id
        finally:
            mlflow.set_tracking_uri(None)
            os.environ.pop("MLFLOW_TRACKING_URI", None)

    return log


@pytest.mark.parametrize("these", [of_scikit_learn, of_boosting_libraries])
def test_what_is_logged_is_loaded_and_predicts_the_same(store, a_run, these):
    for model in these():
        problem, run_id = a_run(model)
        assert problem == ""
        loaded = models.load(store, run_id, 0)
        assert type(loaded) is type(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LightGBM's, of names of features
            assert np.array_equal(loaded.predict(X), model.predict(X))


def test_a_model_with_the_users_own_code_in_it_is_not_logged_and_said(a_run):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import SVC

    def doubled(x):
        return 2 * x

    problem, _ = a_run(make_pipeline(FunctionTransformer(doubled), SVC()).fit(X, Y))
    assert "it holds " in problem
    assert "doubled" in problem
    assert "only classes of sklearn, xgboost, lightgbm are trusted" in problem


def test_a_file_that_names_other_types_is_refused_whatever_the_store_says(tmp_path, store, a_run):
    import skops.io
    from sklearn.svm import SVC

    class Mine(SVC):
        pass

    file = tmp_path / "model.skops"
    skops.io.dump(Mine().fit(X, Y), file)
    with pytest.raises(ValueError, match=r"it holds .*Mine"):
        skops_models.load(file)

    problem, run_id = a_run(SVC().fit(X, Y))
    assert problem == ""
    (logged,) = (store.address.folder / "artifacts").rglob("model.skops")
    logged.write_bytes(file.read_bytes())
    with pytest.raises(NothingUsableError, match=r"the model of trial 7 cannot be loaded .*Mine"):
        models.load(store, run_id, 7)


@pytest.mark.parametrize(
    "name",
    ["os.system", "sklearn.utils.shuffle", "sklearn.no_such.Thing", "numpy.load", "system"],
)
def test_only_classes_of_the_libraries_are_harmless(name):
    assert not skops_models.is_harmless(name)


def test_a_torch_model_is_logged_but_loaded_only_where_its_user_allows_pickles(
    store, a_run, monkeypatch
):
    import torch

    problem, run_id = a_run(torch.nn.Linear(3, 1))
    assert problem == ""
    with pytest.raises(NothingUsableError, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        models.load(store, run_id, 0)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    assert isinstance(models.load(store, run_id, 0), torch.nn.Linear)
