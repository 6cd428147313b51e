"""Replicates: the best configurations are evaluated again, where a sweep asks for it.

Where losses are noisy, a second and a third loss of the same configuration say more of it than its
neighbours do. Every so-many-th trial is given to one of the finalists that has too few (incumbents
are intensified likewise in SMAC: Hutter, Hoos and Leyton-Brown, LION 2011, section 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from lepton_core.judge.archive import Archive
from lepton_core.judge.cube import PRECISION, cube_of
from lepton_core.judge.recommend import ranked
from lepton_core.proposers.base import Ask, Candidate

EVERY = 4  # trials, of which one may be a replicate
LEAST_USABLE = 16  # trials, before it is worth while
FINALISTS = 3
PROPOSER = "local"  # in whose name: it is a step of no length


def replicates(
    archive: Archive, ask: Ask, first_number: int, wanted: int
) -> Mapping[int, Candidate]:
    """The slots that evaluate a finalist again.

    Args:
        archive: What the judge remembers.
        ask: For which slots.
        first_number: The number of the generation's first trial.
        wanted: How often each finalist is to be evaluated in all.
    """
    places = [slot for slot in ask.slots if (first_number + slot) % EVERY == EVERY - 1]
    if wanted < 2 or not places or len(archive.usable) < LEAST_USABLE:  # noqa: PLR2004
        return {}
    cube = cube_of(ask.space)
    tried = (*archive.usable, *archive.failed)
    counts = Counter(cube.keys(np.array([one.point for one in tried])))
    due: list[Candidate] = []
    for finalist in ranked(archive, ask.space)[:FINALISTS]:
        point = np.array(finalist.point)
        (key,) = cube.keys(point[None, :])
        # A point is proposed with so many digits; one that comes back from params has more.
        params = ask.space.decode(point.round(PRECISION))
        origin = {"judge": "replicate", "parents": [finalist.number]}
        again = Candidate(params=params, proposer=PROPOSER, origin=origin)
        due += [again] * (wanted - counts[key])
    return dict(zip(places, due, strict=False))
