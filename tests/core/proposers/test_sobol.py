from lepton_core.proposers.base import Ask
from lepton_core.proposers.sobol import Sobol, SobolState
from lepton_core.space import Float, Int, Space
from lepton_core.strategies import Outcome, play
from lepton_core.testing import ProposerContract

MINE, OTHERS = Outcome(mine=True, result=1.0), Outcome(mine=False, result=1.0)


class TestSobol(ProposerContract):
    make = Sobol


def test_the_state_moves_past_the_points_that_were_used():
    space = Space({"x": Float(0, 1)})
    assert play(Sobol(), space, ((OTHERS, MINE), (OTHERS,), (MINE, MINE))).state == SobolState(3)


def test_what_was_tried_is_passed_over():
    space = Space({"n": Int(1, 4)})
    first = play(Sobol(), space, ((MINE,) * 4,))
    values = [trial.proposal.params["n"] for trial in first.generations[0]]
    assert sorted(values) == [1, 2, 3, 4]


def test_the_points_fill_the_space_evenly():
    asked = Ask(space=Space({"x": Float(0, 1)}), seed=5, generation=0, slots=tuple(range(32)))
    found = Sobol().suggest(SobolState(), asked)
    assert {int(32 * candidate.params["x"]) for candidate in found} == set(range(32))
