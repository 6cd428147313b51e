import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lepton_core.domains import Choice, Float, Int
from lepton_core.judge.cube import ABSENT, MAX_CELLS, PRECISION, Cube, cube_of
from lepton_core.space import Space
from lepton_core.strategies import small_spaces, spaces

UNIT = st.floats(0, 1) | st.sampled_from((0.0, 0.5, 1.0))
ROUNDING = 2 * 10.0**-PRECISION


@st.composite
def placed(draw, space=None):
    """A space, and points of its cube that lie at no edge of a cell, where rounding decides."""
    found = draw(spaces() if space is None else space)
    rows = st.lists(UNIT, min_size=len(found), max_size=len(found))
    points = np.array(draw(st.lists(rows, min_size=1, max_size=4)))
    for point in points:
        for j, u in enumerate(point):
            assume(all(abs(u - one) > ROUNDING for one in edges(found, j, u)))
    return found, points


def edges(space, j, u):
    """Where the cell of a coordinate begins and ends, but for the cube's own borders."""
    k = space.choices.get(j)
    at = (space.cell(j, u) or ()) if k is None else (round(u * k) / k,)
    return [one for one in at if 0 < one < 1]


def counted(space, j):
    domain = space.params[space.free[j]]
    return j in space.choices or 0 < domain.cells <= MAX_CELLS


@given(placed())
def test_what_is_snapped_stays_where_it_is(case):
    space, points = case
    once = Cube(space).snap(points)
    assert np.array_equal(Cube(space).snap(once), once)


@given(placed())
def test_a_snapped_point_is_the_same_configuration(case):
    """To the letter where values can be counted, up to rounding where they cannot."""
    space, points = case
    for point, snapped in zip(points, Cube(space).snap(points), strict=True):
        was, now = space.decode(point), space.decode(snapped)
        assert list(now) == list(was)
        assert np.abs(space.encode(now) - space.encode(was)).max() <= ROUNDING
        for j, name in enumerate(space.free):
            if name in was and (counted(space, j) or isinstance(was[name], int)):
                assert repr(now[name]) == repr(was[name])


@given(placed())
def test_a_point_is_snapped_to_where_its_params_encode(case):
    space, points = case
    for point, snapped in zip(points, Cube(space).snap(points), strict=True):
        encoded = space.encode(space.decode(point))
        active = space.active(space.decode(point))
        for j in range(len(space)):
            if counted(space, j) or not active[j]:
                assert snapped[j] == pytest.approx(encoded[j], abs=1e-9)
            else:
                assert snapped[j] == pytest.approx(point[j], abs=1e-9)


@given(placed())
def test_what_is_active_is_what_the_space_says(case):
    space, points = case
    cube = Cube(space)
    snapped = cube.snap(points)
    expected = [space.active(space.decode(point)) for point in points]
    assert cube.active(snapped).tolist() == [list(row) for row in expected]


@given(placed(), st.floats(-3, 4))
def test_points_outside_of_the_cube_are_moved_into_it(case, u):
    space, points = case
    far = np.full_like(points, u)
    snapped = Cube(space).snap(far)
    assert ((snapped >= 0) & (snapped <= 1)).all()
    assert np.array_equal(snapped, Cube(space).snap(np.clip(far, 0, 1)))


@pytest.mark.parametrize("values", [MAX_CELLS, MAX_CELLS + 1, 10**6, 10**7])
def test_a_condition_on_a_whole_number_holds_at_its_value_alone_however_many_there_are(values):
    """Also where a value's cell is wider, or narrower, than what tells two points apart."""
    space = Space({"n": Int(1, values), "x": Float(0, 1, when={"n": [2]})})
    width = 1 / values
    points = np.array([[(k + share) * width, 0.3] for k in range(3) for share in (0.1, 0.5, 0.9)])
    cube = Cube(space)
    expected = [space.active(space.decode(point))[1] for point in points]
    assert expected == [False] * 3 + [True] * 3 + [False] * 3
    assert cube.active(cube.snap(points))[:, 1].tolist() == expected


def test_a_child_of_an_inactive_parent_is_inactive():
    space = Space(
        {
            "leaf": Float(0, 1, when={"middle": ["on"]}),
            "middle": Choice(["on", "off"], when={"root": ["a"]}),
            "root": Choice(["a", "b"]),
        }
    )
    active = Cube(space).active(np.array([[0.2, 0.25, 0.25], [0.2, 0.75, 0.25], [0.2, 0.25, 0.75]]))
    assert active.tolist() == [[True, True, True], [False, True, True], [False, False, True]]
    assert Cube(space).snap(np.array([[0.2, 0.25, 0.75]])).tolist() == [[0.5, 0.5, 0.75]]


def test_a_condition_on_a_fixed_value_holds_always():
    space = Space({"x": Float(0, 1, when={"kind": ["a"]}), "y": Float(0, 1), "kind": "a"})
    assert Cube(space).active(np.array([[0.3, 0.3]])).tolist() == [[True, True]]
    assert Cube(space).features(np.array([[0.3, 0.4]])).tolist() == [[0.3, 0.0, 0.4]]


@pytest.mark.parametrize("k", [2, 3, 7])
def test_any_two_options_are_one_apart(k):
    cube = Cube(Space({"c": Choice([f"option {i}" for i in range(k)]), "x": Float(0, 1)}))
    features = cube.features(np.array([[(i + 0.5) / k, 0.5] for i in range(k)]))
    gaps = ((features[:, None] - features[None, :]) ** 2).sum(axis=2)
    assert gaps == pytest.approx(1 - np.eye(k))
    assert cube.groups.tolist() == [0] * k + [1]


def test_an_inactive_param_is_further_away_by_a_coordinate_of_its_own():
    space = Space(
        {
            "kind": Choice(["a", "b"]),
            "x": Float(0, 1, when={"kind": ["a"]}),
            "c": Choice([1, 2, 3], when={"kind": ["a"]}),
        }
    )
    cube = Cube(space)
    assert cube.groups.tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    on, off = cube.features(cube.snap(np.array([[0.25, 0.5, 0.1], [0.75, 0.9, 0.9]])))
    assert on[[2, 3]].tolist() == [0.5, 0.0]
    assert off[[2, 3]].tolist() == [0.5, ABSENT]
    # What an inactive choice would be does not matter: it counts as its first option.
    assert off[4:7].tolist() == on[4:7].tolist()
    assert (on[7], off[7]) == (0.0, ABSENT)


@given(placed())
def test_features_have_a_column_for_each_group(case):
    space, points = case
    cube = Cube(space)
    features = cube.features(cube.snap(points))
    assert features.shape == (len(points), len(cube.groups))
    assert np.isfinite(features).all()
    assert set(cube.groups.tolist()) == set(range(len(space)))


@given(placed(small_spaces()))
def test_keys_are_equal_for_equal_configurations_alone(case):
    space, points = case
    every = np.array([space.encode(one) for one in space.configurations.values()])
    cube = cube_of(space)
    snapped = cube.snap(np.concatenate([points, every]))
    by_cube = cube.keys(snapped)
    by_space = [space.key(space.decode(point)) for point in snapped]
    assert len(set(by_cube)) == len(set(by_space)) == len(space.configurations)
    assert len(set(zip(by_cube, by_space, strict=True))) == len(space.configurations)


def test_the_pace_of_a_linear_number_is_one_value_and_of_others_none():
    space = Space(
        {
            "n": Int(1, 4),
            "stepped": Float(0, 1, step=0.1),
            "log": Int(1, 4, log=True),
            "x": Float(0, 1),
            "c": Choice(["a", "b"]),
        }
    )
    assert Cube(space).pace == pytest.approx([1 / 4, 1 / 11, 0, 0, 0])
