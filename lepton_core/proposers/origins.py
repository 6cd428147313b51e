"""What each proposer's origins look like: they come back from a store that others can write to.

An origin comes back by `update` and steers what is proposed next, so one that its proposer could
not have written is refused before it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lepton_core.canonical import shown
from lepton_core.errors import RecordError
from lepton_core.events import Proposal
from lepton_core.proposers.base import MAX_REDRAWS
from lepton_core.recorded import is_whole
from lepton_core.space import Space
from lepton_core.values import is_number

MAX_PARTICLES = 1000
MAX_SPEED = 10.0  # in the unit cube; the swarm's own limit is 1 at most


def check_origin(proposal: Proposal, space: Space) -> None:
    """Do nothing if the proposal's proposer could have written its origin.

    Proposers that read nothing back may write what they like.

    Raises:
        RecordError: It could not.
    """
    fits = _FITS.get(proposal.proposer)
    if fits is not None and not fits(proposal.origin, space, proposal.number):
        raise RecordError(
            f"trial {proposal.number} has the origin {shown(dict(proposal.origin))}, which "
            f"{proposal.proposer} does not write",
            number=proposal.number,
        )


def _sobol(origin: Mapping[str, Any], space: Space, number: int) -> bool:
    del space  # Unused: a sequence's index.
    return is_whole(origin.get("index"), (number + 1) * MAX_REDRAWS)


def _ga(origin: Mapping[str, Any], space: Space, number: int) -> bool:
    del space  # Unused: parents are trials before this one.
    parents = origin.get("parents")
    return (
        isinstance(parents, list | tuple)
        and len(parents) <= 2  # noqa: PLR2004  (a mother and a father)
        and all(is_whole(parent, number - 1) for parent in parents)
    )


def _pso(origin: Mapping[str, Any], space: Space, number: int) -> bool:
    del number  # Unused: a move is no trial's child.
    velocity = origin.get("velocity")
    return (
        is_whole(origin.get("particle"), MAX_PARTICLES)
        and _is_point(origin.get("at"), len(space))
        and (velocity in ([], ()) or _is_point(velocity, len(space), -MAX_SPEED, MAX_SPEED))
    )


def _rl(origin: Mapping[str, Any], space: Space, number: int) -> bool:
    del number  # Unused: an action is no trial's child.
    return origin.get("start") is None or _is_point(origin["start"], len(space.numbers))


def _is_point(values: Any, size: int, low: float = 0.0, high: float = 1.0) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == size
        and all(is_number(value) and low <= value <= high for value in values)
    )


_FITS: Mapping[str, Callable[[Mapping[str, Any], Space, int], bool]] = {
    "sobol": _sobol,
    "ga": _ga,
    "pso": _pso,
    "rl": _rl,
}
