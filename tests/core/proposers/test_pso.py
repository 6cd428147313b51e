from dataclasses import replace

import numpy as np
import pytest

from lepton_core.events import Failure
from lepton_core.proposers.base import Seen, Told
from lepton_core.proposers.pso import PSO, Particle, PSOState
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import Outcome, ask, finished, play
from lepton_core.testing import ProposerContract

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})
FAILED = Failure(kind="nan", reason="nan")


class TestPSO(ProposerContract):
    make = PSO


def losses(*values, mine=False):
    return tuple(Outcome(mine=mine, result=float(value)) for value in values)


def particle(at, loss, velocity=(), best=None):
    return Particle(position=at, velocity=velocity, best=best or at, best_loss=loss)


def moved(config, state, space=PLANE, count=1, seed=0):
    asked = ask(space, replace(play(config, space, ()), state=state), slots=range(count), seed=seed)
    return config.suggest(state, asked)


def told(candidates, *results, space=PLANE):
    return Told(
        space,
        tuple(
            finished(c, r, generation=1, slot=slot, slots=len(results), number=8 + slot)
            for slot, (c, r) in enumerate(zip(candidates, results, strict=True))
        ),
    )


def test_the_swarm_forms_where_others_tried():
    played = play(PSO(particles=3), PLANE, (losses(3, 1, 2, 4),))
    points = [tuple(PLANE.encode(t.proposal.params)) for t in played.generations[0]]
    assert [p.best for p in played.state.swarm] == points[:3]
    assert [p.best_loss for p in played.state.swarm] == [3, 1, 2]


def test_without_pulls_a_particle_flies_on_by_its_inertia():
    state = PSOState(swarm=(particle((0.5, 0.5), 1.0, velocity=(0.1, -0.04)),) * 2)
    config = PSO(particles=2, inertia=0.5, cognitive=0.0, social=0.0)
    origin = moved(config, state)[0].origin
    assert origin["velocity"] == pytest.approx([0.05, -0.02])
    assert origin["at"] == pytest.approx([0.55, 0.48])


def test_it_is_pulled_to_its_own_best_and_to_the_best_of_its_neighbours():
    at, own, other = (0.5, 0.5), (0.9, 0.5), (0.5, 0.1)
    still = (0.0, 0.0)
    me = particle(at, 2.0, velocity=still, best=own)
    state = PSOState(swarm=(me, particle(other, 1.0), particle((0.2, 0.2), 3.0)))
    velocity = moved(PSO(particles=3), state)[0].origin["velocity"]
    assert velocity[0] > 0 > velocity[1]
    alone = moved(PSO(particles=3, social=0.0), state)[0].origin["velocity"]
    assert alone[0] > 0 == alone[1]


def test_it_sees_its_neighbours_on_the_ring_and_nobody_further():
    far = [particle((0.5, 0.5), 9.0, velocity=(0.0, 0.0)) for _ in range(7)]
    far[3] = particle((0.9, 0.9), 1.0)
    state = PSOState(swarm=tuple(far))
    assert moved(PSO(particles=7, neighbours=2), state)[0].origin["velocity"] == [0.0, 0.0]
    assert moved(PSO(particles=7, neighbours=3), state)[0].origin["velocity"][0] > 0


def test_a_velocity_is_clamped_and_a_particle_bounces_off_the_bounds():
    config = PSO(particles=2, inertia=1.0, cognitive=0.0, social=0.0, max_velocity=0.2)
    state = PSOState(swarm=(particle((0.5, 0.95), 1.0, velocity=(0.9, 0.1)),) * 2)
    origin = moved(config, state)[0].origin
    assert origin["velocity"] == pytest.approx([0.2, -0.05])
    assert origin["at"] == pytest.approx([0.7, 1.0])


def test_velocity_and_place_come_back_by_the_record_and_by_nothing_else():
    config = PSO(particles=2)
    state = play(config, PLANE, (losses(1, 2),)).state
    first = moved(config, state)[0]
    recorded = {"particle": 0, "at": [0.25, 0.75], "velocity": [0.01, 0.02]}
    after = config.update(state, told([replace(first, origin=recorded)], 0.5))
    assert after.swarm[0] == Particle((0.25, 0.75), (0.01, 0.02), (0.25, 0.75), 0.5)


def test_a_particle_that_finds_no_new_place_flies_from_where_it_is_put():
    """All it can reach was tried: the params lie elsewhere, and so does the particle then."""
    few = Space({"n": Int(0, 9), "m": Int(0, 9)})
    here = tuple(map(float, few.encode({"n": 4, "m": 4})))
    state = PSOState(swarm=(particle(here, 1.0, velocity=(0.0, 0.0)),) * 2)
    config = PSO(particles=2, max_velocity=0.001)
    seen = Seen((frozenset({few.key({"n": 4, "m": 4})}),))
    asked = replace(ask(few, play(config, few, ()), slots=range(20)), seen=seen)
    found = config.suggest(state, asked)
    assert len({few.key(c.params) for c in found} | set(seen.layers[0])) == 21
    assert all(few.decode(c.origin["at"]) == c.params for c in found)


def test_a_worse_place_is_flown_through_and_the_own_best_is_kept():
    config = PSO(particles=2)
    state = play(config, PLANE, (losses(1, 2),)).state
    candidate = moved(config, state)[0]
    after = config.update(state, told([candidate], 5.0)).swarm[0]
    assert after.position == tuple(candidate.origin["at"])
    assert (after.best, after.best_loss) == (state.swarm[0].best, 1.0)


def test_after_a_failure_it_is_back_at_its_best_at_rest():
    config = PSO(particles=2)
    state = play(config, PLANE, (losses(1, 2),)).state
    after = config.update(state, told(moved(config, state), FAILED)).swarm[0]
    assert (after.position, after.velocity) == (state.swarm[0].best, ())


def test_particles_take_turns_whatever_the_slots():
    config = PSO(particles=3)
    played = play(config, PLANE, (losses(1, 2, 3), losses(4, 5, mine=True)))
    found = config.suggest(played.state, ask(PLANE, played, slots=range(4)))
    assert [candidate.origin["particle"] for candidate in found] == [2, 0, 1, 2]


def test_the_nearest_particle_hears_of_what_another_found():
    swarm = (particle((0.1, 0.1), 5.0), particle((0.9, 0.9), 5.0))
    config = PSO(particles=2)
    other = replace(moved(config, PSOState(swarm=swarm))[0], proposer="other")
    near = replace(other, params={"x": 0.8, "y": 0.8})
    after = config.update(PSOState(swarm=swarm), told([near], 1.0)).swarm
    assert after[0] == swarm[0]
    assert (after[1].best, after[1].best_loss) == ((0.8, 0.8), 1.0)


def test_a_choice_is_kept_or_copied_from_a_best_but_for_redraws():
    space = Space({"c": Choice(list("abcdefgh")), "x": Float(0, 1)})

    def at(letter, x):
        return tuple(map(float, space.encode({"c": letter, "x": x})))

    me = Particle(at("a", 0.5), (0.0, 0.0), at("b", 0.5), 2.0)
    state = PSOState(swarm=(me, particle(at("c", 0.2), 1.0)))
    found = {
        moved(PSO(particles=2, redraw=0.0), state, space, seed=seed)[0].params["c"]
        for seed in range(40)
    }
    assert found == {"a", "b", "c"}
    redrawn = {
        moved(PSO(particles=2, redraw=1.0), state, space, seed=seed)[0].params["c"]
        for seed in range(40)
    }
    assert len(redrawn) > 3


def test_a_swarm_that_has_shrunk_to_a_point_is_left_behind_for_one_elsewhere():
    config = PSO(particles=2, precision=0.01)
    state = PSOState(swarm=(particle((0.5, 0.5), 1.0), particle((0.5, 0.5), 1.0)), turn=1)
    played = replace(play(config, PLANE, ()), state=state)
    after = play(config, PLANE, (losses(9),), start=played)
    assert after.state == PSOState(starts=1)
    # What others find does not draw the new one back: it is born of its own moves.
    assert play(config, PLANE, (losses(0, 0),), start=after).state.swarm == ()
    assert len(play(config, PLANE, (losses(4, 5, mine=True),), start=after).state.swarm) == 2


def test_its_moves_spread_over_the_slots_of_one_generation():
    played = play(PSO(), PLANE, (losses(*range(8)),))
    found = PSO().suggest(played.state, ask(PLANE, played, slots=range(8)))
    points = np.array([candidate.origin["at"] for candidate in found])
    assert points.std(axis=0).min() > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_bottom_of_a_bowl(seed, minimised):
    assert minimised(PSO(), seed=seed) < 1e-3
