"""A proposer let loose on a small problem by itself."""

from __future__ import annotations

import pytest

from lepton_core.proposers.base import Ask, Seen, Told
from lepton_core.space import Float, Int, Space
from lepton_core.strategies import finished

BOWL = Space({"x": Float(-1, 1), "y": Float(-1, 1), "n": Int(0, 20)})


def bowl(params):
    """0 at x = 0.3, y = -0.2, n = 7; around 1 for random points."""
    return (params["x"] - 0.3) ** 2 + (params["y"] + 0.2) ** 2 + ((params["n"] - 7) / 20) ** 2


@pytest.fixture
def minimised():
    """The least loss of a bowl that a proposer finds alone, in generations of 8."""

    def run(proposer, *, seed, trials=240, space=BOWL, loss=bowl):
        state, seen, best = proposer.init(space), Seen(), float("inf")
        for generation in range(trials // 8):
            slots = tuple(range(8))
            asked = Ask(space=space, seed=seed, generation=generation, slots=slots, seen=seen)
            found = proposer.suggest(state, asked)
            told = tuple(
                finished(
                    candidate,
                    loss(candidate.params),
                    generation=generation,
                    slot=slot,
                    slots=8,
                    number=8 * generation + slot,
                    seed=seed,
                )
                for slot, candidate in enumerate(found)
            )
            best = min(best, *(trial.value for trial in told))
            seen = seen.and_also(space.key(c.params) for c in found)
            state = proposer.update(state, Told(space, told))
        return best

    return run
