"""What the pools are drawn from: the trials that the judge knows, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lepton_core.judge.cube import Cube

    Array = NDArray[np.float64]
    Places = NDArray[np.intp]

NOBODY = -1  # in the place of a parent


@dataclass(frozen=True)
class Elite:
    """Usable trials, best first; of equals the earlier.

    Attributes:
        cube: The space's.
        points: ``(n, d)``, snapped.
        numbers: ``(n,)``, the trials'.
        widths: ``(d,)``, how far from the best the trust region reaches.
    """

    cube: Cube
    points: Array
    numbers: Places
    widths: Array


@dataclass(frozen=True)
class Drawn:
    """Candidates, and from which trials each was made.

    Attributes:
        points: ``(m, d)``, anywhere: they are snapped and clipped later.
        parents: ``(m, 2)`` places in the elite; `NOBODY` where there is none.
    """

    points: Array
    parents: Places


def drawn(points: Array, *parents: Places) -> Drawn:
    """Candidates with none, one or two parents each."""
    both = np.full((len(points), 2), NOBODY)
    for column, places in enumerate(parents):
        both[:, column] = places
    return Drawn(points, both)
