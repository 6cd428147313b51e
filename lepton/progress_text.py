"""How far a sweep is, on one line: for the terminal's live view and for an Optimizer's bar."""

from __future__ import annotations

from lepton_core.asking import Asking
from lepton_core.events import TrialRecord
from lepton_tasks.duration import duration_text

DIGITS = 6


def progress_text(
    done: int,
    target: int | None,
    best: TrialRecord | None,
    *,
    failed: int = 0,
    left_s: float | None = None,
    what: str = "",
) -> str:
    """Trials done (or `what` is, in their place), the best and who found it, failures, time left.

    Example:
        >>> progress_text(3, 8, None, failed=1, left_s=90.0)
        '3/8 trials  1 failed  1 min 30 s left'
    """
    parts = [what or (f"{done}/{target} trials" if target else f"{done} trials")]
    if best is not None:
        parts.append(f"best {best.value:.{DIGITS}g} ({best.proposal.proposer})")
    if failed:
        parts.append(f"{failed} failed")
    if left_s is not None:
        parts.append(f"{duration_text(left_s)} left")
    return "  ".join(parts)


def seconds_left(seconds: float, driven: int, done: int, target: int | None) -> float | None:
    """How long the rest will take, if it goes on as it went; None where that cannot be told.

    Args:
        seconds: Since this driver began.
        driven: How many trials it has done.
        done: How many are done in all.
        target: How many there are to be.
    """
    if not target or driven <= 0 or done >= target:
        return None
    return seconds / driven * (target - done)


def done_text(at: Asking, target: int) -> str:
    """How much of what there is to be done is done: trials, or steps of every member.

    Example:
        >>> from lepton_core import asking
        >>> from lepton_core.declaration import Declaration, Portfolio
        >>> from lepton_core.space import Float, Space
        >>> declared = Declaration(name="demo", space=Space({"x": Float(0, 1)}),
        ...                        portfolio=Portfolio(proposers=("random",)))
        >>> done_text(asking.begin(declared), 64)
        '0 of 64 trials'
    """
    training, population = at.state.declaration.training, at.state.declaration.generation
    if training is None:
        return f"{at.trials_told} of {target} trials"
    taken, wanted = (training.steps_before(n // population) for n in (at.trials_told, target))
    return f"{taken} of {wanted} steps"
