"""Population-based training: who goes on from whose checkpoint, and with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lepton_core.canonical import shown
from lepton_core.declaration import Declaration, to_loss
from lepton_core.errors import RecordError
from lepton_core.events import TrialRecord
from lepton_core.proposers.base import Ask, Candidate
from lepton_core.proposers.sobol import Sobol
from lepton_core.recorded import is_whole
from lepton_core.rng import rng


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member is."""

    checkpoint: int | None
    loss: float | None
    point: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PopulationState:
    """All members, by slot."""

    members: tuple[Member, ...] = ()


def init(declaration: Declaration) -> PopulationState:
    """The state before any training."""
    del declaration
    return PopulationState()


def update(
    state: PopulationState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PopulationState:
    """The state after a round."""
    members = []
    for trial in trials:
        start = trial.proposal.origin.get("from")
        if start is not None and not is_whole(start, trial.proposal.number - 1):
            raise RecordError(f"found from {shown(start)}; expected a trial before it")
        usable = trial.value is not None
        members.append(
            Member(
                checkpoint=trial.proposal.number if usable else start,
                loss=None if trial.value is None else to_loss(trial.value, declaration.direction),
                point=tuple(float(u) for u in declaration.space.encode(trial.proposal.params)),
            )
        )
    return PopulationState(tuple(members))


def suggest(
    state: PopulationState, declaration: Declaration, *, generation: int, slots: int
) -> tuple[Candidate, ...]:
    """The next settings of each member, and where it goes on from."""
    space = declaration.space
    if not state.members:
        start = [
            Candidate(params=params, proposer="start", origin={"from": None, "index": i})
            for i, params in enumerate(declaration.start_from[:slots])
        ]
        ask = Ask(
            space=space,
            seed=declaration.seed,
            generation=generation,
            slots=tuple(range(len(start), slots)),
        )
        sobol = Sobol()
        others = sobol.suggest(sobol.init(space), ask)
        return (
            *start,
            *(
                Candidate(params=c.params, proposer=c.proposer, origin={**c.origin, "from": None})
                for c in others
            ),
        )
    losses = [inf if m.loss is None else m.loss for m in state.members]
    order = sorted(range(slots), key=lambda i: (losses[i], i))
    worst = set(order[-max(1, slots // 4) :]) if slots > 1 else set()
    found = []
    for slot in range(slots):
        member = state.members[slot]
        if slot not in worst:
            found.append(
                Candidate(
                    params=space.decode(list(member.point)),
                    proposer="kept",
                    origin={"from": member.checkpoint},
                )
            )
            continue
        generator = rng(declaration.seed, generation, slot, "population")
        parent = state.members[order[int(generator.integers(max(1, slots // 4)))]]
        moved = [min(1.0, max(0.0, u + 0.1 * generator.standard_normal())) for u in parent.point]
        found.append(
            Candidate(params=space.decode(moved), proposer="ga", origin={"from": parent.checkpoint})
        )
    return tuple(found)


def shares(state: PopulationState, declaration: Declaration) -> dict[str, float]:
    """What share of the explorations each proposer has."""
    del state
    names = declaration.portfolio.proposers
    return {name: 1 / len(names) for name in names}
