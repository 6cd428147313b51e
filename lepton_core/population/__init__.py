"""Population-based training: who goes on from whose checkpoint, and with which settings.

A round is a generation and a member is a slot, so trial (m, g) is member m in round g, its params
are the settings that it trains with, and its value is the held-out loss in which it ends. Its
origin says by ``from`` which trial's checkpoint it went on from; None is the beginning. After each
round the worst members go on from copies of the better checkpoints, in the second half all members
explore (`selection`, `rules`): with settings that GA, PSO and RL propose near those of the
checkpoint (`proposals`).

M. Jaderberg et al., "Population based training of neural networks", 2017,
https://arxiv.org/abs/1711.09846.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lepton_core import credit
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.population.learning import learn, start
from lepton_core.population.proposals import KNOWN, propose
from lepton_core.population.rules import RULES
from lepton_core.population.selection import Place, places
from lepton_core.population.state import PopulationState
from lepton_core.proposers.base import Ask, Candidate
from lepton_core.proposers.gaussian import round_gaussian
from lepton_core.proposers.sobol import Sobol
from lepton_core.rng import rng

__all__ = ["PopulationState", "check_start", "checkpoints", "init", "shares", "suggest", "update"]

START, KEPT = "start", "kept"


def init(declaration: Declaration) -> PopulationState:
    """The state before any training.

    Raises:
        RecordError: The sweep has a proposer that cannot propose for a population.

    Example:
        >>> from lepton_core.declaration import Portfolio, Training
        >>> from lepton_core.space import Float, Space
        >>> declared = Declaration(name="demo", space=Space({"lr": Float(1e-4, 0.1, log=True)}),
        ...     portfolio=Portfolio(proposers=("ga", "pso", "rl")), start_from=({"lr": 0.001},),
        ...     training=Training(steps=100, rounds=10))
        >>> first = suggest(init(declared), declared, generation=0, slots=4)
        >>> [(member.proposer, member.origin["from"]) for member in first]
        [('start', None), ('sobol', None), ('sobol', None), ('sobol', None)]
    """
    for name in declaration.portfolio.proposers:
        if name not in KNOWN:
            raise RecordError(
                f"sweep {declaration.name!r} trains a population with the proposer {name!r}; this "
                f"Lepton knows {', '.join(KNOWN)}. Upgrade Lepton to go on with it.",
                proposer=name,
            )
    space, rl = declaration.space, RULES.rl.init(declaration.space)
    if declaration.start_from and rl.gaussian is not None:
        at = space.encode(declaration.start_from[0])
        middle = [float(at[j]) for j in space.numbers]
        rl = replace(rl, gaussian=round_gaussian(middle, RULES.rl.deviation))
    return PopulationState(lineages=(), usable=(), best=None, recent=(), rl=rl)


def update(
    state: PopulationState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PopulationState:
    """The state after a sealed round.

    Args:
        state: The state before it.
        declaration: The sweep's.
        trials: All members', in the order of slots.

    Raises:
        RecordError: A trial goes on from a checkpoint that no member could have gone on from.
    """
    return learn(RULES, state, declaration, trials)


def checkpoints(state: PopulationState) -> frozenset[int]:
    """The trials whose checkpoints a member can go on from; no later round needs any other."""
    return frozenset(state.checkpoints)


def check_start(state: PopulationState, proposal: Proposal) -> None:
    """See that a trial of the open round goes on from where a member can.

    Raises:
        RecordError: It does not: its record was altered.
    """
    start(state.checkpoints, proposal)


def suggest(
    state: PopulationState, declaration: Declaration, *, generation: int, slots: int
) -> tuple[Candidate, ...]:
    """The next settings of each member, and by ``from`` of its origin whose checkpoint it takes.

    Args:
        state: After the last sealed round.
        declaration: The sweep's.
        generation: Which round, from 0.
        slots: How many members.
    """
    if not state.lineages:
        return _opening(declaration, generation, slots)
    members = places(RULES, state, declaration, generation, slots)
    who = _who(state, declaration, generation, members)
    return tuple(
        _candidate(state, declaration, generation, slot, member, who.get(slot))
        for slot, member in enumerate(members)
    )


def shares(state: PopulationState, declaration: Declaration) -> dict[str, float]:
    """Each proposer's share of the new settings to come; they sum to 1."""
    return credit.shares(RULES.credit, state.credit, declaration.portfolio.proposers)


def _opening(declaration: Declaration, generation: int, slots: int) -> tuple[Candidate, ...]:
    """The first round: the sweep's starting points, then the space filled evenly."""
    started = [
        Candidate(params=params, proposer=START, origin={"from": None, "index": i})
        for i, params in enumerate(declaration.start_from[:slots])
    ]
    sobol = Sobol(centre=not started)
    ask = Ask(
        space=declaration.space,
        seed=declaration.seed,
        generation=generation,
        slots=tuple(range(len(started), slots)),
    )
    others = sobol.suggest(sobol.init(declaration.space), ask) if ask.slots else ()
    return (*started, *(replace(one, origin={**one.origin, "from": None}) for one in others))


def _who(
    state: PopulationState, declaration: Declaration, generation: int, members: Sequence[Place]
) -> dict[int, str]:
    """Who proposes for each member that explores; who has which is drawn, as slots have a past."""
    slots = [slot for slot, member in enumerate(members) if member.explores]
    names = credit.allot(RULES.credit, state.credit, declaration.portfolio.proposers, len(slots))
    turns = rng(declaration.seed, generation, "turns").permutation(len(slots))
    return {slot: names[int(turn)] for slot, turn in zip(slots, turns, strict=True)}


def _candidate(
    state: PopulationState,
    declaration: Declaration,
    generation: int,
    slot: int,
    member: Place,
    name: str | None,
) -> Candidate:
    space, begun = declaration.space, member.start
    origin = {"from": None if begun is None else begun.number}
    if name is None:
        # JSON sorted the names of a snapshot's params; the space knows their order.
        kept = {} if begun is None else space.validate(begun.params)
        return Candidate(params=kept, proposer=KEPT, origin=origin)
    ask = Ask(space=space, seed=declaration.seed, generation=generation, slots=(slot,))
    return Candidate(params=propose(RULES, state, name, ask, begun), proposer=name, origin=origin)
