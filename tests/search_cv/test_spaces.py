"""What `param_distributions` may hold, and what the estimator then gets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from lepton import Choice, Float, Int, Space
from lepton.search_cv.spaces import searched
from lepton_core.domains import Fixed
from lepton_core.errors import InputError

GRID = [i / 100 for i in range(101)]


def domain(declared):
    return next(iter(searched({"p": declared, "q": Float(0, 1)}).space.params.values()))


def values(declared) -> list:
    """What the estimator gets for a param, from one end of the cube to the other."""
    found = searched({"p": declared, "q": Float(0, 1)})
    return [found.candidate(found.space.decode([u] * len(found.space)))["p"] for u in GRID]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (Float(0, 1, log=False), Float(0, 1)),
        (stats.uniform(2, 3), Float(2, 5)),
        (stats.uniform(), Float(0, 1)),
        (stats.loguniform(0.01, 100), Float(0.01, 100, log=True)),
        (stats.reciprocal(1, 10), Float(1, 10, log=True)),
        (stats.randint(2, 9), Int(2, 8)),
        (stats.randint(2, 3), Fixed(2)),
        (stats.bernoulli(0.3), Choice([0, 1])),
        (stats.poisson(3), Int(0, 10, step=1)),
        (["l1", "l2", None], Choice(["l1", "l2", None])),
        ([True, False], Choice([True, False])),
        ([5], Fixed(5)),
        ("rbf", Fixed("rbf")),
        (range(1, 6), Int(1, 5, step=1)),
        ([30, 10, 20], Int(10, 30, step=10)),
        (np.array([0.1, 0.2, 0.3]), Float(0.1, 0.3, step=0.1)),
        (np.logspace(-2, 2, 5), Int(0, 4)),
        ([1, 1, 2, 5], Int(0, 2)),
    ],
    ids=lambda case: re.sub(" object at .*", "", repr(case)),
)
def test_what_is_declared_is_searched_as_a_domain(declared, expected):
    found = domain(declared)
    assert found == expected or found.to_dict() == {**expected.to_dict(), "step": found.step}


@pytest.mark.parametrize(
    "declared",
    [stats.expon(scale=10), stats.norm(1, 2), stats.beta(2, 5), stats.loguniform(1, 10, loc=5)],
    ids=["expon", "norm", "beta", "shifted loguniform"],
)
def test_another_distribution_is_searched_by_its_quantiles(declared):
    found = np.array(values(declared))
    assert np.allclose(declared.cdf(found), 0.001 + 0.998 * np.array(GRID))
    assert {type(value) for value in values(declared)} == {float}


def test_a_discrete_distribution_too_wide_to_be_counted_gives_whole_numbers():
    wide = stats.geom(0.0001)
    assert {type(value) for value in values(wide)} == {int}
    assert values(wide)[50] == wide.ppf(0.5)


def test_the_users_own_objects_come_back():
    class Thing:
        pass

    objects = [Thing(), Thing(), len, Thing, None, (1, 2), np.arange(3), float("nan"), "1", 1]
    found = values(objects)
    assert {id(value) for value in found} == {id(value) for value in objects}


def test_numbers_of_a_list_come_back_in_their_order_and_as_they_are():
    declared = [np.float64(10.0), 1, 0.01, np.int32(100)]
    found = values(declared)
    assert found == sorted(found)
    assert {type(value) for value in found} == {np.float64, int, float, np.int32}


def test_a_label_is_the_same_in_every_process():
    first, again = (searched({"f": [lambda: 1, object(), object()]}).space for _ in range(2))
    assert first == again


def test_a_condition_may_name_the_values_of_a_list():
    found = searched(
        {
            "n": [1, 10, 1000],
            "kernel": ["rbf", "poly"],
            "degree": Int(2, 4, when={"kernel": "poly"}),
            "x": Float(0, 1, when={"n": [10, 1000]}),
        }
    )
    seen = [found.candidate(found.space.decode([u, v, 0.5, 0.5])) for u in GRID for v in (0.1, 0.9)]
    assert all(("degree" in one) == (one["kernel"] == "poly") for one in seen)
    assert all(("x" in one) == (one["n"] >= 10) for one in seen)
    assert {one["n"] for one in seen} == {1, 10, 1000}


def test_dicts_of_a_list_share_what_they_declare_alike():
    found = searched(
        [
            {"kernel": ["rbf"], "C": stats.loguniform(0.1, 10), "gamma": [0.1, 1.0]},
            {"kernel": ["poly"], "C": stats.loguniform(0.1, 10), "gamma": [3, 5], "degree": [2, 3]},
        ]
    )
    assert sum(name.startswith("C") for name in found.space) == 1
    assert sum(name.startswith("gamma") for name in found.space) == 2
    seen = [found.candidate(found.space.decode([u] * len(found.space))) for u in (0.0, 1.0)]
    assert list(seen[0]) == ["kernel", "C", "gamma"]
    assert list(seen[1]) == ["kernel", "C", "gamma", "degree"]
    assert (seen[0]["gamma"], seen[1]["gamma"]) == (0.1, 5)


def test_names_that_mlflow_refuses_are_recorded_under_others():
    found = searched({"step(1)__C": [1, 2], "step[1]__C": [1, 2]})
    assert len(found.space) == 2
    assert set(found.candidate(found.space.decode([0, 1]))) == {"step(1)__C", "step[1]__C"}


def test_a_space_or_one_with_nothing_to_search_will_do():
    assert searched(Space({"C": Float(0, 1)})).space == Space({"C": Float(0, 1)})
    assert searched({"C": [7]}).candidate({"C": 7, "param_distributions": 0}) == {"C": 7}
    assert searched({}).space.size == 1
    assert searched([{}, {"C": [1, 2]}]).space.size == 3


class OnlyDraws:
    def rvs(self, random_state=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"C": OnlyDraws()}, r"\['C'\]: .*can only be drawn from \(rvs\).*expected a frozen"),
        ({"C": []}, r"\['C'\]: found an empty list"),
        ({"C": {1, 2}}, r"\['C'\]: .*has no order; expected a list"),
        ({"C": stats.beta}, r"\['C'\]: .*quantile cannot be computed.*expected a frozen"),
        ({"C": stats.uniform(0, -1)}, r"\['C'\]: .*quantile is nan"),
        ({"C": object()}, r"\['C'\]: .*expected a string, number"),
        ({"C": Float(0, 1, when={"kernel": "rbf"})}, "when names 'kernel', which is not another"),
        ({1: [1]}, "has the key 1"),
        ([], r"is \[\]; expected a dict"),
        ([{"C": [1]}, 3], r"\[1\] is 3; expected a dict"),
        (
            {"n": [1, 5, 20], "C": Float(0, 1, when={"n": 3})},
            r"when\.n: found 3; expected one of \[1, 5, 20\]",
        ),
    ],
    ids=lambda case: re.sub(r"\W+", " ", re.sub(" at 0x.*", "", str(case)))[:40],
)
def test_what_is_wrong_is_said_in_words(declared, problem):
    with pytest.raises(InputError, match=problem):
        searched(declared)
