"""Which rows come when: what is held out, and in which order the others are trained on.

Both follow from the sweep's seed. The order of an epoch is the same for every member, so that two
members that trained on as many rows have trained on the same ones, and their losses differ by their
settings alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.rng import rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]

MOST_CLASSES = 0.1  # of the rows: what has more values than that is no class to be kept in balance


@dataclass(frozen=True, slots=True)
class Position:
    """How far a member is through the training data.

    Attributes:
        epoch: How often it has seen all of it.
        offset: How many rows of this epoch it has seen.
    """

    epoch: int = 0
    offset: int = 0

    def to_record(self) -> dict[str, int]:
        """As JSON can hold it."""
        return asdict(self)


def split(rows: int, share: float, seed: int, target: Any = None) -> tuple[Indices, Indices]:
    """The rows to train on, and those held out, both in order.

    Args:
        rows: How many there are, 2 or more.
        share: What part is held out, in (0, 1); at least one row is, and one is not.
        seed: The sweep's.
        target: ``(rows,)``. If it holds classes, both parts have each in the same share.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415  (costs a second)

    held = min(rows - 1, max(1, round(rows * share)))
    state = int(rng(seed, "held-out").integers(2**31))
    classes = _classes(target, rows, held)
    train, out = train_test_split(
        np.arange(rows), test_size=held, random_state=state, stratify=classes
    )
    return np.sort(train), np.sort(out)


def _classes(target: Any, rows: int, held: int) -> Any:
    """The target, if it holds classes that can be kept in balance."""
    values = _array(target)
    if values is None or values.ndim != 1 or values.dtype.kind not in "biuOSU":
        return None
    kinds, counts = np.unique(values.astype(str), return_counts=True)
    fits = len(kinds) <= min(held, rows - held, MOST_CLASSES * rows)
    return values.astype(str) if fits and counts.min() > 1 else None


def _array(target: Any) -> Any:
    """The target as NumPy has it, or None where it has no such thing."""
    if hasattr(target, "detach"):  # of PyTorch: it may have gradients, or be on a device
        target = target.detach().cpu()
    try:
        return None if target is None else np.asarray(target)
    except (TypeError, ValueError, RuntimeError):
        return None


def stream(
    rows: int, size: int, seed: int, position: Position
) -> Iterator[tuple[Indices, Position]]:
    """Endless batches of row numbers, each with the position after it.

    A batch that reaches past the end of an epoch goes on with the next one, so that all have the
    same size.

    Args:
        rows: How many there are to train on.
        size: Of a batch; no more than `rows` are taken.
        seed: The sweep's.
        position: Where to go on.

    Example:
        >>> batches = stream(5, 2, 0, Position())
        >>> first, second, third = (next(batches) for _ in range(3))
        >>> sorted([*first[0], *second[0], third[0][0]]) == list(range(5)), third[1]
        (True, Position(epoch=1, offset=1))
    """
    size = min(size, rows)
    epoch, offset = position.epoch, position.offset
    order = _order(rows, seed, epoch)
    while True:
        taken = order[offset : offset + size]
        offset += len(taken)
        if offset == rows:
            epoch, offset = epoch + 1, 0
            order = _order(rows, seed, epoch)
        if len(taken) < size:
            offset = size - len(taken)
            taken = np.concatenate([taken, order[:offset]])
        yield taken, Position(epoch, offset)


def _order(rows: int, seed: int, epoch: int) -> Indices:
    return rng(seed, "epoch", epoch).permutation(rows)
