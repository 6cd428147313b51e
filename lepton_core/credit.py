"""Credit: what each proposer has earned lately, and the share of the slots that follows from it.

A trial earns by its rank among the best of the whole history, as it stood when its generation was
sealed: the new best earns 1, a place in the elite less, the rest nothing. Only ranks count, so that
no scale of the loss can favour anyone (Fialho, Schoenauer and Sebag, "Toward comparison-based
adaptive operator selection", GECCO 2010). A member's credit is what its trials of the last
`window` generations earned on average, its share is in proportion to a power of that (probability
matching: Thierens, "An adaptive pursuit strategy", GECCO 2005), and nobody gets less than the
floor, without which a member that had bad luck could never show that its time has come.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log

from lepton_core.proposers.base import Told
from lepton_core.proposers.settings import setting


@dataclass(frozen=True, slots=True)
class Credit:
    """The settings of the sharing.

    Args:
        window: How many generations back credit is counted.
        floor: The least share of each member; never more than an even one.
        elite: How many of the best losses a trial is ranked among.
        contrast: The power of the credit that shares are in proportion to.
    """

    window: int = setting(15, 1, 1000)
    floor: float = setting(0.05, 0.0, 1.0)
    elite: int = setting(32, 1, 1000)
    contrast: float = setting(3.0, 0.0, 10.0)


@dataclass(frozen=True, slots=True)
class CreditState:
    """What was earned, and what is owed.

    Attributes:
        elite: The best losses so far, in order.
        earned: For each generation of the window, who earned what, trial by trial.
        owed: Slots that each member should have had by its shares, less those it had.
    """

    elite: tuple[float, ...] = ()
    earned: tuple[tuple[tuple[str, float], ...], ...] = ()
    owed: Mapping[str, float] = field(default_factory=dict)


def update(
    config: Credit, state: CreditState, members: Sequence[str], told: Told, *, shared: bool
) -> CreditState:
    """The state after a generation.

    Args:
        config: The settings.
        state: The state before it.
        members: Who takes part.
        told: The generation.
        shared: Whether its slots were shared out, and not an opening's.
    """
    losses = sorted(loss for loss in told.losses if loss < inf)
    scale = log(config.elite + 1)
    earned = []
    for trial, loss in zip(told.trials, told.losses, strict=True):
        rank = bisect_right(state.elite, loss) + bisect_left(losses, loss)
        reward = max(0.0, 1 - log(rank + 1) / scale) if loss < inf else 0.0
        earned.append((trial.proposal.proposer, reward))
    owed = {name: state.owed.get(name, 0.0) for name in members}
    if shared:
        for name, share in shares(config, state, members).items():
            owed[name] += share * len(told.trials)
        for name, _ in earned:
            if name in owed:
                owed[name] -= 1
    return CreditState(
        elite=tuple(sorted((*state.elite, *losses))[: config.elite]),
        earned=(*state.earned, tuple(earned))[-config.window :],
        owed=owed,
    )


def earnings(state: CreditState, members: Sequence[str]) -> dict[str, float | None]:
    """What each member's trials of the window earned on average; None: it had none."""
    found: dict[str, list[float]] = {name: [] for name in members}
    for generation in state.earned:
        for name, reward in generation:
            if name in found:
                found[name].append(reward)
    return {name: sum(f) / len(f) if f else None for name, f in found.items()}


def shares(config: Credit, state: CreditState, members: Sequence[str]) -> dict[str, float]:
    """Each member's share of the next slots; they sum to 1. Without any credit they are even."""
    known = earnings(state, members)
    had = [credit for credit in known.values() if credit is not None]
    # Who had no chance to earn is taken to be as good as the best.
    unknown = max(had, default=0.0)
    powers = {
        name: (unknown if credit is None else credit) ** config.contrast
        for name, credit in known.items()
    }
    total, even = sum(powers.values()), 1 / len(members)
    if total <= 0:
        return dict.fromkeys(members, even)
    floor = min(config.floor, even)
    rest = 1 - floor * len(members)
    return {name: floor + rest * power / total for name, power in powers.items()}


def allot(config: Credit, state: CreditState, members: Sequence[str], slots: int) -> list[str]:
    """Who proposes in each slot: each time the member that is owed most, the first of equals.

    Over the generations everyone gets its share, whatever their sizes.
    """
    owed = {name: state.owed.get(name, 0.0) for name in members}
    for name, share in shares(config, state, members).items():
        owed[name] += share * slots
    names = []
    for _ in range(slots):
        name = max(members, key=lambda member: owed[member])
        owed[name] -= 1
        names.append(name)
    return names
