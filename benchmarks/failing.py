"""Failures planted into a problem: everywhere at a rate, or in a region of the space."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sweeps import Fails, no_failures

from lepton_core.rng import rng

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from problems import Problem

REGION = "region"
SHARE = 0.3  # of the space that a region takes
POINTS = 2000  # random ones that say where a region of this size begins


def failures(problem: Problem, kind: str) -> Fails:
    """Which params fail, always the same ones.

    Args:
        problem: Whose params.
        kind: Empty: none. A rate such as ``0.3``: each configuration by chance, keyed by its
            params. ``region``: all on one side of a plane that cuts off `SHARE` of the space.

    Raises:
        ValueError: It is none of these.
    """
    if not kind:
        return no_failures
    if kind == REGION:
        normal, edge = _plane(problem)
        return lambda params: bool(problem.space.encode(params) @ normal > edge)
    try:
        rate = float(kind)
    except ValueError:
        raise ValueError(
            f"found failures {kind!r}; expected a rate such as 0.3, or region"
        ) from None

    def fails(params: Mapping[str, Any]) -> bool:
        return bool(rng(0, "fails", problem.name, problem.space.key(params)).random() < rate)

    return fails


@cache
def _plane(problem: Problem) -> tuple[NDArray[np.float64], float]:
    """A direction in the unit cube, and how far along it the region begins."""
    generator, d = rng(0, "region", problem.name), len(problem.space)
    normal = generator.normal(size=d)
    points = [problem.space.encode(problem.space.decode(p)) for p in generator.random((POINTS, d))]
    return normal, float(np.quantile(np.array(points) @ normal, 1 - SHARE))
