import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.domains import Choice, Float, Int
from lepton_core.judge.cube import Cube
from lepton_core.pools import JUDGED_PROPOSERS, POOLS
from lepton_core.pools.elite import NOBODY, Elite
from lepton_core.pools.local import BOX
from lepton_core.pools.mutation import mutated, scales
from lepton_core.rng import rng
from lepton_core.space import Space
from lepton_core.strategies import spaces

MIXED = Space(
    {
        "x": Float(-1, 1),
        "n": Int(1, 6),
        "kind": Choice(["a", "b", "c"]),
        "drop": Float(0, 1, when={"kind": ["b"]}),
    }
)
EACH = pytest.mark.parametrize("name", JUDGED_PROPOSERS)


def elite(space, n=30, *, seed=0, width=0.1, points=None):
    cube = Cube(space)
    at = rng(seed, "elite").random((n, len(space))) if points is None else np.array(points)
    widths = np.where(cube.numbers, width, np.inf)
    return Elite(cube=cube, points=cube.snap(at), numbers=np.arange(len(at)), widths=widths)


def drawn(name, best, m=160, seed=0):
    return POOLS[name](best, rng(seed, "pool"), m)


@EACH
@given(space=spaces(), n=st.integers(2, 40), m=st.sampled_from((1, 7, 160)), seed=st.integers(0, 9))
def test_a_pool_has_as_many_candidates_as_asked_for_and_all_are_configurations(
    name, space, n, m, seed
):
    best = elite(space, n, seed=seed)
    found = drawn(name, best, m, seed)
    size = m + int(BOX * m) if name == "local" else m
    assert found.points.shape == (size, len(space))
    assert found.parents.shape == (size, 2)
    assert np.isfinite(found.points).all()
    assert ((found.parents >= NOBODY) & (found.parents < n)).all()
    snapped = best.cube.snap(found.points)
    for point in snapped[:5]:
        space.validate(space.decode(point))
    assert np.array_equal(best.cube.snap(snapped), snapped)
    again = drawn(name, best, m, seed)
    assert np.array_equal(again.points, found.points)
    assert np.array_equal(again.parents, found.parents)


@EACH
def test_another_generator_draws_another_pool(name):
    best = elite(MIXED)
    assert not np.array_equal(drawn(name, best, seed=0).points, drawn(name, best, seed=1).points)


@EACH
@pytest.mark.parametrize("n", [1, 2])
def test_few_trials_are_enough(name, n):
    found = drawn(name, elite(MIXED, n))
    assert np.isfinite(found.points).all()


@pytest.mark.parametrize("name", sorted({*JUDGED_PROPOSERS} - {"pso"}))
def test_a_pool_of_equal_trials_still_has_different_candidates(name):
    found = drawn(name, elite(MIXED, points=[[0.5] * 4] * 10))
    cube = Cube(MIXED)
    assert len(set(cube.keys(cube.snap(found.points)))) > 50


def test_only_random_candidates_have_no_parents_and_children_and_particles_have_two():
    for name in JUDGED_PROPOSERS:
        parents = drawn(name, elite(MIXED)).parents
        expected = {"random": 0, "ga": 2, "pso": 2, "rl": 1, "local": 1}[name]
        assert ((parents != NOBODY).sum(axis=1) == expected).all()


def test_children_s_genes_are_their_parents_but_for_mutations():
    best = elite(MIXED, 40)
    found = drawn("ga", best, 400)
    first, second = (best.points[found.parents[:, i]] for i in (0, 1))
    inherited = (found.points == first) | (found.points == second)
    # Of four genes one is mutated at least, and 1 + 3/4 on average.
    assert (inherited.sum(axis=1) <= 3).mean() > 0.8
    assert 0.5 < inherited.mean() < 0.75


def test_better_trials_have_more_children():
    parents = drawn("ga", elite(MIXED, 40), 2000).parents
    counts = np.bincount(parents.ravel(), minlength=40)
    assert counts[:10].sum() > 3 * counts[10:20].sum() > 3 * counts[20:30].sum()


def test_particles_move_towards_the_best():
    line = Space({"x": Float(0, 1), "y": Float(0, 1)})
    best = elite(line, 40, points=[[0.9, 0.1], *rng(2, "far").random((39, 2)).tolist()])
    found = drawn("pso", best, 500)
    start = best.points[found.parents[:, 0]]
    before = np.linalg.norm(start - best.points[0], axis=1)
    after = np.linalg.norm(found.points - best.points[0], axis=1)
    assert after.mean() < 0.8 * before.mean()
    # A leader is one of the five best.
    assert found.parents[:, 1].max() == 4


def test_a_particle_s_choice_is_its_own_or_its_leader_s():
    best = elite(MIXED, 40)
    found = drawn("pso", best)
    own, leader = (best.points[found.parents[:, i], 2] for i in (0, 1))
    assert ((found.points[:, 2] == own) | (found.points[:, 2] == leader)).all()
    differ = own != leader
    assert 0.4 < (found.points[differ, 2] == leader[differ]).mean() < 0.8


def test_the_policy_s_gaussian_is_fitted_to_the_best_trials():
    line = Space({"x": Float(0, 1), "y": Float(0, 1)})
    near = np.array([0.7, 0.2]) + 0.05 * rng(4, "near").standard_normal((20, 2))
    points = [*near.tolist(), *rng(4, "rest").random((60, 2)).tolist()]
    found = drawn("rl", elite(line, points=points), 2000).points
    assert np.median(found, axis=0) == pytest.approx([0.7, 0.2], abs=0.08)
    assert (found.std(axis=0) < 0.15).all()
    # It is as wide along each number as the good ones are.
    flat = near * [1, 0.01] + [0, 0.2]
    found = drawn("rl", elite(line, points=flat.tolist()), 2000).points
    assert found[:, 0].std() > 2 * found[:, 1].std()


def test_the_policy_prefers_the_options_of_good_trials_and_forgets_none():
    letters = Space({"c": Choice(["a", "b", "c", "d"]), "x": Float(0, 1)})
    points = [[0.6, 0.5]] * 15 + [[0.1, 0.5], [0.4, 0.5], [0.9, 0.5]] * 15
    found = drawn("rl", elite(letters, points=points), 4000).points
    counts = np.bincount((found[:, 0] * 4).astype(int), minlength=4) / 4000
    assert counts[2] > 0.8
    assert counts.min() > 0.001


def test_the_trust_region_s_candidates_lie_in_it():
    best = elite(MIXED, 30, width=0.05)
    found = drawn("local", best, 160)
    inside = found.points[160:]
    away = np.abs(inside - best.points[0])
    assert (away[:, best.cube.numbers] <= 0.05).all()
    assert (found.parents[160:, 0] == 0).all()
    kept = away[:, 2] == 0
    assert 0.8 < kept.mean() < 0.97


def test_local_mutants_are_of_the_best_trials_and_of_all_scales():
    line = Space({"x": Float(0, 1), "y": Float(0, 1)})
    best = elite(line, 40)
    found = drawn("local", best, 1000)
    parents = found.parents[:1000, 0]
    counts = np.bincount(parents, minlength=40)
    assert counts[0] > counts[1] > counts[3] > counts[6]
    away = np.abs(found.points[:1000] - best.points[parents]).max(axis=1)
    assert (away < 0.01).sum() > 50
    assert (away > 0.2).sum() > 50


def test_half_of_the_random_candidates_lie_at_bounds_at_times():
    line = Space({"x": Float(0, 1), "y": Float(0, 1), "c": Choice(["a", "b"])})
    points = drawn("random", elite(line), 4000).points
    at_bound = (points == 0) | (points == 1)
    assert not at_bound[1::2].any()
    assert not at_bound[:, 2].any()
    assert at_bound[::2, :2].mean() == pytest.approx(0.1, abs=0.02)
    assert np.histogram(points[:, 0], bins=4, range=(0, 1))[0] == pytest.approx(1000, rel=0.15)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mutant_differs_and_a_whole_number_moves_by_one_at_least(share):
    cube = Cube(Space({"n": Int(1, 10), "x": Float(0, 1)}))
    middle = np.full((500, 2), 0.45)
    found = mutated(cube, middle, np.full(500, 1e-6), share, rng(0, "mutants"))
    moved = found != middle
    assert moved.any(axis=1).all()
    assert moved.mean() == pytest.approx((1 + share) / 2, abs=0.05)
    steps = np.abs(found - middle)
    assert steps[moved[:, 0], 0] == pytest.approx(0.1)
    assert steps[:, 1].max() < 1e-5
    decoded = [cube.space.decode(point)["n"] for point in cube.snap(found)]
    assert {4, 6} <= set(decoded) <= {4, 5, 6}


def test_mutants_stop_at_the_border():
    cube = Cube(Space({"x": Float(0, 1)}))
    found = mutated(cube, np.full((200, 1), 0.95), np.full(200, 0.3), 1.0, rng(0, "mutants"))
    assert found.max() == 1.0
    assert (found == 1.0).mean() > 0.3
    assert found.min() >= 0


def test_scales_are_even_on_a_logarithm():
    found = scales(0.01, 1.0, 4000, rng(0, "scales"))
    assert 0.01 <= found.min() <= found.max() <= 1.0
    assert (found < 0.1).mean() == pytest.approx(0.5, abs=0.03)
