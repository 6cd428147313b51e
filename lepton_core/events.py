"""The facts that a sweep consists of: past tense, frozen, and all that the optimizer's state needs.

A sweep is declared once, driven with settings that may be amended, and goes on by generations: the
trials of one are proposed from the same state, evaluated in any order, and sealed together. The
proposals and results of an open generation are recorded as they come (see the ledger); the fold
steps from seal to seal, which is why finishing order cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lepton_core.canonical import Params
from lepton_core.declaration import Declaration, Direction, Settings, to_loss

FailureKind = Literal[
    "exception", "nan", "inf", "none", "type", "timeout", "memory", "crashed", "told"
]
"""Why a trial gave no usable result: the objective raised, returned NaN, an infinity, None or a
value of the wrong type, ran past its timeout or out of memory, killed its process every time, or
was told as an error by its caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed trial's kind and the reason in words."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One trial as it was proposed.

    Attributes:
        generation: Which generation, from 0.
        slot: The place in the generation, from 0.
        slots: How many slots the generation was planned with.
        number: Order of proposal over the whole sweep, from 0.
        params: The active params, in the space's order.
        proposer: Who proposed it.
        origin: From what: parents, velocity, log-probability, a sequence's index. JSON values.
        seed: What the objective gets as ``trial.seed``, in [0, 2**31).
    """

    generation: int
    slot: int
    slots: int
    number: int
    params: Params
    proposer: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A finished trial: its proposal, and a loss or a failure, never both.

    Attributes:
        attempt: Which attempt counts, from 0.
        value: The metric in the user's own sign, finite; None for a failure.
        duration_s: Seconds the counted attempt took.
    """

    proposal: Proposal
    attempt: int = 0
    value: float | None = None
    failure: Failure | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepDeclared:
    """The sweep began to exist."""

    declaration: Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsAmended:
    """A driver took over with these settings (the first one too)."""

    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSealed:
    """A generation is closed: every slot has its counted attempt.

    Attributes:
        trials: In the order of slots.
        driven_s: Seconds of driving, over all drivers, up to this seal.
    """

    generation: int
    trials: tuple[TrialRecord, ...]
    driven_s: float = 0.0


Event = SweepDeclared | SettingsAmended | GenerationSealed


def best_of(trials: Iterable[TrialRecord | None], direction: Direction) -> TrialRecord | None:
    """The usable trial of the lowest loss; of equals, the one proposed first."""
    return min(
        (t for t in trials if t is not None and t.value is not None),
        key=lambda t: (to_loss(t.value or 0.0, direction), t.proposal.number),
        default=None,
    )


def shared_failure(trials: Sequence[TrialRecord]) -> Failure | None:
    """The failure, if all these trials have one and the same: most likely it is the objective's."""
    failures = {trial.failure for trial in trials}
    return failures.pop() if len(failures) == 1 else None


def sealed_trials(events: Iterable[Event]) -> Iterator[TrialRecord]:
    """Every sealed trial of a history, in the order of proposal."""
    return (t for event in events if isinstance(event, GenerationSealed) for t in event.trials)
