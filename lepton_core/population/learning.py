"""What a sealed round teaches: where the lineages are, and which settings did well."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lepton_core import credit
from lepton_core.canonical import shown
from lepton_core.credit import CreditState
from lepton_core.declaration import Declaration, to_loss
from lepton_core.errors import RecordError
from lepton_core.events import Proposal, TrialRecord
from lepton_core.population.rules import Rules
from lepton_core.population.state import Checkpoint, Experience, PopulationState
from lepton_core.proposers.base import Point, Told
from lepton_core.recorded import is_whole
from lepton_core.space import Space

MOST = sys.float_info.max


def learn(
    rules: Rules, state: PopulationState, declaration: Declaration, trials: Sequence[TrialRecord]
) -> PopulationState:
    """The state after a sealed round.

    Raises:
        RecordError: A trial goes on from a checkpoint that no member could have gone on from.
    """
    space = declaration.space
    starts = [start(state.checkpoints, trial.proposal) for trial in trials]
    ends = [_end(trial, begun, declaration) for trial, begun in zip(trials, starts, strict=True)]
    found = [
        Experience(
            number=end.number,
            slot=slot,
            point=_point(space, trials[slot]),
            active=space.active(end.params),
            gain=_gain(end, begun),
            score=0.0,
        )
        for slot, (begun, end) in enumerate(zip(starts, ends, strict=True))
        if end is not None
    ]
    losses = [end.loss for end in ends if end is not None]
    scored = _scored(rules, state, found, losses, alone=len(trials) == 1)
    scores = {one.number: one.score for one in scored}
    told = tuple(replace(t, value=scores.get(t.proposal.number)) for t in trials)
    return PopulationState(
        lineages=tuple(end or begun for begun, end in zip(starts, ends, strict=True)),
        usable=tuple(end is not None for end in ends),
        best=min(
            (one for one in (state.best, *ends) if one is not None),
            key=lambda one: (one.loss, one.number),
            default=None,
        ),
        recent=(*state.recent, scored)[-rules.window :],
        rl=rules.rl.update(state.rl, Told(space, told)),
        credit=_earned(rules, state.credit, declaration, told),
    )


def start(known: Mapping[int, Checkpoint], proposal: Proposal) -> Checkpoint | None:
    """The checkpoint that a trial goes on from; None: the beginning.

    Args:
        known: Those that a member can go on from, by number.
        proposal: The trial's.

    Raises:
        RecordError: It says another one.
    """
    number = proposal.origin.get("from", "")
    if number is None and not known:
        return None
    if is_whole(number) and number in known:
        return known[number]
    expected = f"one of the trials {', '.join(map(str, sorted(known)))}" if known else "null"
    raise RecordError(
        f"trial {proposal.number} goes on from {shown(number)}; expected {expected}. "
        "Somebody else wrote it, or a newer Lepton did.",
        number=proposal.number,
    )


def _end(
    trial: TrialRecord, begun: Checkpoint | None, declaration: Declaration
) -> Checkpoint | None:
    """The checkpoint at the end of a trial; None: it failed."""
    if trial.value is None:
        return None
    space, params = declaration.space, trial.proposal.params
    before = space.encode(params if begun is None else begun.params)
    return Checkpoint(
        number=trial.proposal.number,
        loss=to_loss(trial.value, declaration.direction),
        params=dict(params),
        moved=tuple(float(u) for u in space.encode(params) - before),
    )


def _point(space: Space, trial: TrialRecord) -> Point:
    return tuple(float(u) for u in space.encode(trial.proposal.params))


def _gain(end: Checkpoint, begun: Checkpoint | None) -> float:
    """The change of the loss. From the beginning all begin with the same, whatever it is."""
    change = end.loss if begun is None else end.loss - begun.loss
    return min(MOST, max(-MOST, change))


def _scored(
    rules: Rules,
    state: PopulationState,
    found: Sequence[Experience],
    losses: Sequence[float],
    *,
    alone: bool,
) -> tuple[Experience, ...]:
    """The experiences with their scores; a member that is alone is compared with its past."""
    gains = [one.gain for one in found]
    if alone:
        past = [one.gain for together in state.recent for one in together]
        return tuple(replace(one, score=_rank(one.gain, [*past, *gains])) for one in found)
    return tuple(
        replace(
            one,
            score=(1 - rules.gain) * _rank(loss, losses) + rules.gain * _rank(one.gain, gains),
        )
        for one, loss in zip(found, losses, strict=True)
    )


def _rank(value: float, among: Sequence[float]) -> float:
    """From 0, the least, to 1, the greatest; equals share the middle of their places."""
    less = sum(other < value for other in among)
    equal = sum(other == value for other in among) - 1
    return (less + 0.5 * equal) / max(1, len(among) - 1)


def _earned(
    rules: Rules, state: CreditState, declaration: Declaration, told: Sequence[TrialRecord]
) -> CreditState:
    """What the proposers earned: by the place of each trial of theirs among all of the round."""
    names = declaration.portfolio.proposers
    own = tuple(t for t in told if t.proposal.proposer in names)
    if not own:
        return state
    others = (t.value for t in told if t.proposal.proposer not in names)
    beside = tuple(sorted(value for value in others if value is not None))
    after = credit.update(
        rules.credit,
        replace(state, elite=beside),
        names,
        Told(declaration.space, own),
        shared=True,
    )
    return replace(after, elite=())  # scores of other rounds say nothing about the next one's
