from dataclasses import replace

import numpy as np
import pytest

from lepton_core.events import Failure
from lepton_core.proposers.base import Ask, Seen
from lepton_core.proposers.ga import FIRST, GA, LEAST_STEP, GAState, Individual
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import Outcome, ask, play
from lepton_core.testing import ProposerContract

SPACE = Space({"x": Float(0, 1), "n": Int(1, 9), "c": Choice(["a", "b", "d"])})
CONDITIONAL = Space({"c": Choice(["a", "b"]), "x": Float(0, 1, when={"c": ["a"]})})

FAILED = Failure(kind="nan", reason="as the test asked")


class TestGA(ProposerContract):
    make = GA


def losses(*values, mine=False):
    return tuple(Outcome(mine=mine, result=float(value)) for value in values)


def children(config, space, history, count=64, seed=0):
    played = play(config, space, history, seed=seed)
    return played, config.suggest(played.state, ask(space, played, slots=range(count), seed=seed))


def test_the_population_is_the_best_of_all_trials_whoever_proposed_them():
    played = play(GA(population=3), SPACE, (losses(5, 3, 9), losses(4, 1, mine=True)))
    assert [(one.number, one.fitness) for one in played.state.population] == [
        (4, 1.0),
        (1, 3.0),
        (3, 4.0),
    ]


def test_the_elite_is_never_lost():
    history = tuple(losses(5 - k, 7, 8 + k, mine=True) for k in range(4))
    for rounds in range(1, len(history) + 1):
        played = play(GA(population=2), SPACE, history[:rounds])
        best = min(t.value for trials in played.generations for t in trials)
        assert played.state.population[0].fitness == best


def test_of_equals_the_younger_comes_first_so_that_a_population_drifts_over_a_plateau():
    played = play(GA(population=2), SPACE, (losses(1, 1, 1),))
    assert [one.number for one in played.state.population] == [2, 1]


def test_every_child_names_its_parents_who_are_of_the_population():
    played, found = children(GA(), SPACE, (losses(*range(16)),))
    numbers = {one.number for one in played.state.population}
    parents = [candidate.origin["parents"] for candidate in found]
    assert all(1 <= len(set(p)) == len(p) <= 2 and set(p) <= numbers for p in parents)
    assert {len(p) for p in parents} == {1, 2}
    assert children(GA(crossover=0.0), SPACE, (losses(*range(16)),))[1][0].origin != {}


def test_the_fitter_are_parents_more_often():
    _, found = children(GA(), SPACE, (losses(*range(16)),))
    parents = [number for candidate in found for number in candidate.origin["parents"]]
    assert sum(number < 8 for number in parents) > 2 * sum(number >= 8 for number in parents)


def test_a_choice_comes_from_a_parent_but_for_mutation():
    """All parents have one choice: children have it but for one mutation in three genes."""
    start = Space({"x": Float(0, 1), "c": Choice(["a", "b", "d"])})
    played = play(GA(), start, (losses(*range(16)),))
    only = tuple(replace(p, genes=(p.genes[0], 0.5)) for p in played.state.population)
    state = replace(played.state, population=only)
    found = GA().suggest(state, ask(start, played, slots=range(64)))
    kept = sum(candidate.params["c"] == "b" for candidate in found)
    assert 20 < kept < 60


def test_numbers_cross_on_the_scale_that_they_are_searched_on():
    """A child near its mother at 1e-6 lies there by its logarithm, though the father is at 1e-2."""
    space = Space({"lr": Float(1e-8, 1.0, log=True), "c": Choice(["a", "b"])})
    played = play(GA(), space, (losses(1, 2),))
    ends = [space.encode({"lr": lr, "c": "a"}) for lr in (1e-6, 1e-2)]
    pair = tuple(
        replace(one, genes=tuple(map(float, genes)), fitness=1.0)
        for one, genes in zip(played.state.population, ends, strict=True)
    )
    state = replace(played.state, population=pair, step=1e-6)
    found = GA(population=2, crossover=1.0, ahead=0.0).suggest(
        state, ask(space, played, slots=range(64))
    )
    logs = np.log10([candidate.params["lr"] for candidate in found])
    assert -7 < np.mean(logs) < -5


def test_a_step_past_the_fitter_parent_keeps_to_the_line_of_both():
    """So it follows a valley in any direction, whatever its axes."""
    plane = Space({"x": Float(0, 1), "y": Float(0, 1)})
    pair = tuple(
        Individual(number=i, fitness=float(i), genes=genes, active=(True, True))
        for i, genes in enumerate(((0.5, 0.4), (0.4, 0.2)))
    )
    config = GA(population=2, crossover=1.0, ahead=1.0)
    asked = Ask(space=plane, seed=0, generation=5, slots=tuple(range(32)))
    found = config.suggest(GAState(population=pair, step=LEAST_STEP), asked)
    ahead = [(c.params["x"] - 0.5, c.params["y"] - 0.4) for c in found]
    assert all(y == pytest.approx(2 * x, abs=1e-5) for x, y in ahead)
    assert all(-1e-5 < x < 0.1 + 1e-5 for x, _ in ahead)
    assert np.std([x for x, _ in ahead]) > 0.02


def test_a_gene_that_one_parent_uses_comes_from_that_one():
    played = play(GA(), CONDITIONAL, (losses(*range(12)),))
    with_x, without = (
        next(one for one in played.state.population if one.active[1] is active)
        for active in (True, False)
    )
    state = replace(played.state, population=(with_x, without), step=LEAST_STEP)
    found = GA(population=2, crossover=1.0).suggest(
        state, Ask(space=CONDITIONAL, seed=0, generation=5, slots=tuple(range(64)))
    )
    xs = [candidate.params["x"] for candidate in found if "x" in candidate.params]
    near = sum(abs(x - with_x.genes[1]) < 1e-3 for x in xs)
    assert near > 0.9 * len(xs) > 0


def test_the_step_grows_with_success_and_shrinks_without():
    first = losses(*range(10, 10 + FIRST))
    up = play(GA(), SPACE, (first, *(losses(9 - k, mine=True) for k in range(6))))
    down = play(GA(), SPACE, (first, *(losses(50 + k, mine=True) for k in range(6))))
    assert up.state.step > GA().step > down.state.step
    assert play(GA(adaptation=0.0), SPACE, (first, losses(1, mine=True))).state.step == GA().step


@pytest.mark.parametrize("before", [0, 1, FIRST - 1])
def test_it_draws_evenly_before_there_are_enough_to_breed(before):
    """A single point and its like are no population: its first trials lie all over the space."""
    plane = Space({"x": Float(0, 1), "y": Float(0, 1)})
    history = (losses(*range(before), mine=True),) if before else ()
    _, found = children(GA(), plane, history)
    assert all(c.origin == {"parents": []} for c in found)
    for name in ("x", "y"):
        counts, _ = np.histogram([c.params[name] for c in found], bins=4, range=(0, 1))
        assert counts.min() >= 6


def test_what_lies_elsewhere_has_no_parents():
    """Its success or failure is none of the step's."""
    letters = Space({"c": Choice(["a", "b"]), "n": Int(0, 9)})
    same = tuple(
        Individual(number=i, fitness=1.0, genes=(0.25, 0.55), active=(True, True)) for i in range(2)
    )
    asked = Ask(space=letters, seed=0, generation=5, slots=tuple(range(18)))
    found = GA(population=2).suggest(GAState(population=same, step=LEAST_STEP), asked)
    assert len({letters.key(c.params) for c in found}) == 18
    assert not all(c.origin["parents"] for c in found)
    assert any(c.origin["parents"] for c in found)


def test_it_breeds_as_soon_as_there_are_enough():
    assert all(c.origin["parents"] for c in children(GA(), SPACE, (losses(*range(FIRST)),))[1])
    small = GA(population=3)
    assert all(c.origin["parents"] for c in children(small, SPACE, (losses(*range(3)),))[1])


def test_after_failures_alone_it_is_no_fresh_start_and_still_breeds_from_what_others_find():
    config = GA(population=2, patience=1.0)
    failed = (Outcome(mine=True, result=FAILED),) * 8
    played = play(config, SPACE, (failed,) * 4)
    assert (played.state.population, played.state.starts) == ((), 0)
    after = play(config, SPACE, (losses(3, 4),), start=played)
    assert [one.fitness for one in after.state.population] == [3.0, 4.0]


@pytest.mark.parametrize(
    "domain",
    [
        Int(1, 1000, log=True),
        Int(1, 40, step=10, log=True),
        Float(1.0, 40.0, step=1.0, log=True),
        Int(1, 7),
    ],
    ids=str,
)
def test_a_mutation_leaves_the_value_however_wide_its_cell(domain):
    """Of a tiny step on the least value and its neighbours, where a log scale has wide cells."""
    space = Space({"n": domain, "c": Choice(["a"])})
    for k in range(3):
        value = domain.decode(sum(space.cell(0, 0.0, k)) / 2)
        genes = tuple(map(float, space.encode({"n": value, "c": "a"})))
        only = tuple(
            Individual(number=i, fitness=1.0, genes=genes, active=(True, True)) for i in range(2)
        )
        config = GA(population=2, crossover=0.0)
        asked = Ask(space=space, seed=0, generation=5, slots=(0,), seen=Seen())
        found = {
            config.suggest(GAState(population=only, step=LEAST_STEP), replace(asked, seed=seed))[
                0
            ].params["n"]
            for seed in range(60)
        }
        pace = domain.step or 1
        reached = {round(abs(n - value) / pace) for n in found}
        assert {1} <= reached <= {0, 1}


def test_a_stale_population_is_left_behind_for_a_larger_one_elsewhere():
    config = GA(population=2, patience=3.0)
    stale = losses(7, 7, mine=True)
    history = (losses(1, 2), *([stale] * 4))
    played = play(config, SPACE, history)
    assert (played.state.population, played.state.starts) == ((), 1)
    assert played.state.step == config.step
    bred = play(config, SPACE, (losses(0, 0.5), losses(3, 4, 5, 6, 8, mine=True)), start=played)
    # What others found before does not draw it back, and now it is twice as many.
    assert [one.fitness for one in bred.state.population] == [3.0, 4.0, 5.0, 6.0]


def test_a_population_that_has_shrunk_to_a_point_is_left_behind():
    played = play(GA(population=2, precision=0.1), SPACE, (losses(1, 2),))
    point = tuple(replace(one, genes=(0.5, 0.5, 0.5)) for one in played.state.population)
    state = replace(played.state, population=point)
    after = play(
        GA(population=2, precision=0.1), SPACE, (losses(9),), start=replace(played, state=state)
    )
    assert (after.state.population, after.state.starts) == ((), 1)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_bottom_of_a_bowl(seed, minimised):
    assert minimised(GA(), seed=seed) < 1e-3
