"""Particle swarm's candidates: trials drawn to the best one and to another good one."""

from __future__ import annotations

import numpy as np

from lepton_core.pools.elite import Drawn, Elite, drawn

PULL = 1.5  # to the best; to the other good one: 1
LEADERS = 5  # good ones, at least
COPY = 0.6  # the probability that a choice is the other good one's


def draw(elite: Elite, generator: np.random.Generator, m: int) -> Drawn:
    """``m`` moves."""
    points = elite.points
    n, d = points.shape
    particles = generator.integers(n, size=m)
    leaders = generator.integers(min(n, max(LEADERS, n // 10)), size=m)
    at, leader = points[particles], points[leaders]
    moved = at + PULL * generator.random((m, d)) * (points[0] - at)
    moved += generator.random((m, d)) * (leader - at)
    chosen = np.where(generator.random((m, d)) < COPY, leader, at)
    return drawn(np.where(elite.cube.numbers, moved, chosen), particles, leaders)
