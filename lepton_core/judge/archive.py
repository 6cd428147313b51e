"""What the judge remembers of a history, however long: a bounded part of it, folded seal by seal.

Of the usable trials the best, the latest, and of the rest every so-many-th; and the latest
failures. So a fit costs the same after ten thousand trials as after three hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from lepton_core.proposers.base import Point, Told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BEST = 100
LATEST = 100
CAP = 300  # usable trials that a model is fitted to
FAILURES = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial as the judge knows it.

    Attributes:
        number: The trial's.
        point: ``(d,)`` in the unit cube, as its params encode.
        loss: What is minimised; None for a failure.
    """

    number: int
    point: Point
    loss: float | None


@dataclass(frozen=True, slots=True)
class Archive:
    """The trials that are remembered.

    Attributes:
        usable: In the order of proposal.
        failed: The latest failures, in the order of proposal.
        stride: Of the usable trials that are neither among the best nor among the latest, those are
            kept whose number is a multiple of it.
    """

    usable: tuple[Entry, ...] = ()
    failed: tuple[Entry, ...] = ()
    stride: int = 1


def update(archive: Archive, told: Told) -> Archive:
    """The archive after a generation."""
    usable, failed = list(archive.usable), list(archive.failed)
    for trial, loss, point in zip(told.trials, told.losses, told.points, strict=True):
        found = tuple(float(u) for u in point)
        if loss < inf:
            usable.append(Entry(trial.proposal.number, found, loss))
        else:
            failed.append(Entry(trial.proposal.number, found, None))
    stride = archive.stride
    if len(usable) > CAP:
        best = {one.number for one in sorted(usable, key=_by_loss)[:BEST]}
        kept = best | {one.number for one in usable[-LATEST:]}
        while sum(one.number not in kept and one.number % stride == 0 for one in usable) > CAP:
            stride *= 2
        usable = [one for one in usable if one.number in kept or one.number % stride == 0]
    return Archive(tuple(usable), tuple(failed[-FAILURES:]), stride)


def selected(archive: Archive) -> tuple[Entry, ...]:
    """The trials to fit a model to, in the order of proposal: `CAP` at most."""
    usable = archive.usable
    if len(usable) <= CAP:
        return usable
    kept = {one.number for one in sorted(usable, key=_by_loss)[:BEST]}
    kept |= {one.number for one in usable[-LATEST:]}
    rest = [one.number for one in usable if one.number not in kept]
    places = np.linspace(0, len(rest) - 1, min(len(rest), CAP - len(kept))).round().astype(int)
    kept |= {rest[i] for i in places}
    return tuple(one for one in usable if one.number in kept)


def _by_loss(entry: Entry) -> tuple[float, int]:
    return (inf if entry.loss is None else entry.loss, entry.number)
