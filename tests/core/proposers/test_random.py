from lepton_core.proposers.base import Ask
from lepton_core.proposers.random import Random
from lepton_core.space import Int, Space
from lepton_core.testing import ProposerContract


class TestRandom(ProposerContract):
    make = Random


def test_a_small_space_is_used_up_before_anything_is_repeated():
    asked = Ask(space=Space({"n": Int(1, 16)}), seed=0, generation=0, slots=tuple(range(16)))
    found = Random().suggest(Random().init(asked.space), asked)
    assert sorted(candidate.params["n"] for candidate in found) == list(range(1, 17))
    assert max(candidate.origin["draw"] for candidate in found) > 0
