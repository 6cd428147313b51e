"""Who goes on from whose checkpoint, and who with new settings."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_core.declaration import Declaration
from lepton_core.population.rules import Rules
from lepton_core.population.state import Checkpoint, PopulationState
from lepton_core.rng import rng


@dataclass(frozen=True, slots=True)
class Place:
    """What a member does next.

    Attributes:
        start: The checkpoint it goes on from; None: the beginning.
        explores: Whether it gets new settings; if not, it keeps those of its checkpoint.
    """

    start: Checkpoint | None
    explores: bool


def places(
    rules: Rules, state: PopulationState, declaration: Declaration, generation: int, slots: int
) -> list[Place]:
    """What each member does next, by slot.

    Truncation selection (Jaderberg et al., "Population based training of neural networks", 2017,
    https://arxiv.org/abs/1711.09846, section 4.1): the worst go on from copies of the better half,
    with new settings; the others go on from where they are, late in the training with new settings
    too. The best checkpoint of all is among those that are copied, however old it is, so a
    population that went astray, or overfits by now, goes back. Failed members are replaced, or,
    where all failed, go on from where they were.
    """
    spare = [None] * (slots - len(state.lineages))  # a seal may lack members: another wrote it
    lineages = (*state.lineages, *spare)[:slots]
    usable = [
        one for one, good in zip(lineages, state.usable, strict=False) if good and one is not None
    ]
    if not usable:
        return [Place(own or state.best, explores=True) for own in lineages]
    ranked = sorted(usable, key=_order)
    known = {one.number: one for one in (*ranked, *([state.best] if state.best else []))}
    parents = sorted(known.values(), key=_order)[: rules.bred_from(slots)]
    goes_on = {one.number for one in ranked[: slots - rules.replaced(slots)]}
    explores = rules.explores(_progress(declaration, generation))
    found = []
    for slot, own in enumerate(lineages):
        good = slot < len(state.usable) and state.usable[slot]
        if own is not None and good and own.number in goes_on:
            found.append(Place(own, explores=explores))
            continue
        generator = rng(declaration.seed, generation, slot, "parent")
        drawn = min(generator.integers(len(parents), size=rules.tournament))
        found.append(Place(parents[int(drawn)], explores=True))
    return found


def _order(one: Checkpoint) -> tuple[float, int]:
    return one.loss, one.number


def _progress(declaration: Declaration, generation: int) -> float:
    """From 0, in the first round, to 1, in the last one and ever after."""
    rounds = declaration.training.rounds if declaration.training else 1
    return min(1.0, generation / max(1, rounds - 1))
