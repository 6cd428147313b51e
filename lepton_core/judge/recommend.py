"""Which trial to recommend: the one whose loss the judge believes to be least, luck considered.

Where losses are noisy the lowest one observed is partly luck, the more so the more trials there
were. The model has seen all of them and estimates the noise; among the configurations that were
evaluated, the one of the least posterior mean is recommended (Frazier, "A tutorial on Bayesian
optimization", 2018, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lepton_core.judge.archive import Archive, Entry, selected
from lepton_core.judge.cube import cube_of
from lepton_core.judge.fit import fit
from lepton_core.judge.kernel import JITTER
from lepton_core.judge.one_thread import one_thread
from lepton_core.judge.warp import warped
from lepton_core.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def recommend(archive: Archive, space: Space) -> int | None:
    """The number of the trial to recommend; None: no trial is usable."""
    ranking = ranked(archive, space)
    return ranking[0].number if ranking else None


def ranked(archive: Archive, space: Space) -> list[Entry]:
    """The configurations that were evaluated, the one to recommend first.

    Of several trials of the same configuration it is the first one.
    """
    entries = selected(archive)
    if not entries:
        return []
    losses = np.array([one.loss for one in entries], dtype=float)
    points = np.array([one.point for one in entries])
    keys = cube_of(space).keys(points)
    replicates: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys):
        replicates.setdefault(key, []).append(i)
    with one_thread():
        believed = _believed(points, losses, list(replicates.values()), space)
    order = dict.fromkeys(keys[i] for i in np.lexsort((losses, believed)))
    return [entries[replicates[key][0]] for key in order]


def _believed(
    points: Array, losses: Array, replicates: Sequence[Sequence[int]], space: Space
) -> Array:
    """``(n,)``, what the loss at each point is believed to be, warped."""
    cube = cube_of(space)
    targets = warped(losses)
    features = cube.features(points)
    kernel = fit(features, cube.groups, targets)
    scaled = kernel.scaled(features)
    function = kernel.between(scaled, scaled)
    covariance = function + np.eye(len(losses)) * (kernel.noise + JITTER)
    means: Array = function @ cho_solve(cho_factor(covariance, lower=True), targets)
    observed = targets.copy()
    for places in replicates:
        observed[list(places)] = targets[list(places)].mean()
    return kernel.trust * observed + (1 - kernel.trust) * means
