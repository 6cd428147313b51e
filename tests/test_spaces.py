"""The ready spaces: what they propose is what the estimators take, each of them, without a murmur.

The data is small and the boosted models are fitted with few rounds: how many there are decides how
long they take, not whether they take their other params. The ends of the ranges are fitted whole.
"""

from __future__ import annotations

import importlib
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import lepton
from lepton import spaces
from lepton_core.errors import InputError
from lepton_core.rng import rng
from lepton_core.space_file import parse_space
from lepton_tasks.sweep_yaml import parse_bytes

FEW = {"n_estimators": 8, "max_iter": 8}
ESTIMATORS = {
    "hist_gradient_boosting": (
        "sklearn.ensemble",
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
    ),
    "lightgbm": ("lightgbm", ("LGBMClassifier", "LGBMRegressor")),
    "logistic_regression": ("sklearn.linear_model", ("LogisticRegression",)),
    "mlp": ("sklearn.neural_network", ("MLPClassifier", "MLPRegressor")),
    "random_forest": ("sklearn.ensemble", ("RandomForestClassifier", "RandomForestRegressor")),
    "svc": ("sklearn.svm", ("SVC", "SVR")),
    "xgboost": ("xgboost", ("XGBClassifier", "XGBRegressor")),
}
GIVEN = {  # what a user gives the estimator, and no space holds
    "lightgbm": {"verbose": -1, "n_jobs": 1},
    "mlp": {"max_iter": 5},
    "random_forest": {"n_estimators": 5},
    "xgboost": {"n_jobs": 1},
}
CASES = [
    *((name, getattr(spaces, name)()) for name in ESTIMATORS),
    ("logistic_regression", spaces.logistic_regression(elastic_net=True)),
]
IDS = [*ESTIMATORS, "elastic_net"]


def estimators(name):
    module, classes = ESTIMATORS[name]
    return [getattr(importlib.import_module(module), kind) for kind in classes]


def data():
    """48 rows of two classes, scaled, which are numbers as well."""
    draw = rng(3, 0, 0, "random")
    x = draw.normal(size=(48, 6))
    return x, (x[:, 0] + x[:, 1] ** 2 + 0.3 * draw.normal(size=48) > 0.5).astype(int)


def fit(estimator):
    x, y = data()
    with warnings.catch_warnings(), threadpool_limits(1):  # threads cost more than 48 rows do
        # That few steps are not enough on 48 rows is true, and says nothing against the params.
        warnings.filterwarnings("ignore", message=".*(did not|hasn't) converge", module="sklearn")
        estimator.fit(x, y)
    assert np.isfinite(estimator.predict(x)).all()


def test_there_is_a_case_for_each_of_them():
    assert sorted([*ESTIMATORS, "to_yaml"]) == spaces.__all__


@pytest.mark.parametrize(("name", "space"), CASES, ids=IDS)
def test_what_is_proposed_fits_the_real_estimator(name, space):
    optimizer = lepton.Optimizer(
        space, trials=30, seed=5, portfolio={"proposers": ["random"], "judge": False}
    )
    fitted = 0
    while trials := optimizer.ask(8):
        for trial in trials:
            few = {key: value for key, value in FEW.items() if key in trial}
            for kind in estimators(name):
                fit(kind(**{**GIVEN.get(name, {}), **trial, **few}))
            optimizer.tell(trial, 0.0)
            fitted += 1
    assert fitted == 30


@pytest.mark.parametrize(("name", "space"), CASES, ids=IDS)
def test_both_ends_of_every_range_are_taken(name, space):
    searched = lepton.Space(space)
    sizes = [searched.choices.get(j, 0) for j in range(len(searched))]  # 0: a number
    reached = set()
    for cells in itertools.product(*(range(max(1, size)) for size in sizes)):
        for end in (0.0, 1.0):
            params = searched.decode(
                [(k + 0.5) / n if n else end for k, n in zip(cells, sizes, strict=True)]
            )
            reached |= {(key, end) for key in params}
            fit(estimators(name)[0](**GIVEN.get(name, {}), **params))
    assert reached == {(key, end) for key in space for end in (0.0, 1.0)}


@pytest.mark.parametrize(("name", "space"), CASES, ids=IDS)
def test_the_names_are_those_of_the_estimators(name, space):
    for kind in estimators(name):
        assert set(space) <= set(kind().get_params())


def test_a_prefix_names_the_step_of_a_pipeline_in_conditions_too():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    space = spaces.svc(prefix="svc__")
    assert all(name.startswith("svc__") for name in space)
    optimizer = lepton.Optimizer(space, generation=16)
    trials = optimizer.ask(16)
    assert {trial["svc__kernel"] for trial in trials} == {"rbf", "poly", "linear"}
    for trial in trials:
        assert ("svc__degree" in trial) == (trial["svc__kernel"] == "poly")
        fit(make_pipeline(StandardScaler(), SVC()).set_params(**trial))


def test_a_prefix_that_is_no_text_is_refused():
    with pytest.raises(InputError, match="prefix is 3; expected a text, such as 'clf__'"):
        spaces.mlp(prefix=3)


def test_a_space_is_a_new_dict_each_time_so_that_it_can_be_changed():
    mine = spaces.xgboost()
    del mine["gamma"]
    mine["max_depth"] = lepton.Int(2, 4)
    assert "gamma" in spaces.xgboost()
    assert spaces.xgboost()["max_depth"] == lepton.Int(1, 11)


@pytest.mark.parametrize(("name", "space"), CASES, ids=IDS)
def test_as_yaml_it_is_the_same_space_in_a_sweep_file(name, space):
    text = "space:\n" + "".join(f"  {line}\n" for line in spaces.to_yaml(space).splitlines())
    assert parse_space(parse_bytes(text.encode(), Path("a.yaml")).content["space"]) == lepton.Space(
        space
    ), name


def test_values_that_yaml_might_take_for_something_else_come_back_as_they_were():
    space = {
        "x": lepton.Float(1e-7, 1.0, log=True),
        "c": lepton.Choice(["on", "null", "1", "a: {b", "y" * 200, True, 2, 1.0]),
        "f": "2",
        "n": None,
    }
    read = parse_bytes(spaces.to_yaml(space).encode(), Path("a.yaml")).content
    assert parse_space(read) == lepton.Space(space)


def test_a_sweep_takes_one_as_its_space():
    from lepton_core.sweep_file import parse_sweep

    declaration, _ = parse_sweep(
        {"name": "s", "objective": "o.py:f", "space": spaces.svc(), "budget": {"trials": 8}}
    )
    assert declaration.space == lepton.Space(spaces.svc())
