"""A Gaussian search distribution, and the step that makes good points likelier: CMA-ES.

The step is a natural-gradient ascent of the expected utility of a sample, where a sample's utility
depends on its rank alone (Akimoto, Nagata, Ono and Kobayashi, "Bidirectional relation between CMA
evolution strategies and natural evolution strategies", PPSN 2010). To it come the two evolution
paths, which are momentum: one for the covariance (rank one), one for the step size (CSA).

Equations: N. Hansen, "The CMA evolution strategy: a tutorial", 2016,
https://arxiv.org/abs/1604.00772, with negative weights (active CMA). Points that others proposed
are taken in as N. Hansen, "Injecting external solutions into CMA-ES", 2011,
https://arxiv.org/abs/1110.4181. Above `MAX_FULL` dimensions only the variances are learned: Ros and
Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", PPSN 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, lgamma, log, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MAX_FULL = 48  # dimensions; beyond it n^2 numbers a step cost more than their correlations give
MAX_CONDITION = 1e14  # of the covariance, where its eigenvalues lose their meaning
LEAST_SIGMA = 1e-15  # beside which squares of its ratios stay finite
MAX_GROWTH = 1.0  # of log sigma in one step


@dataclass(frozen=True, slots=True)
class Gaussian:
    """N(mean, sigma^2 C), and the paths that its mean went lately.

    Attributes:
        mean: ``(n,)``.
        sigma: The step size.
        covariance: C, ``(n, n)`` as rows; or its diagonal alone, one row, in many dimensions.
        sigma_path: ``(n,)``, of the whitened steps.
        path: ``(n,)``, of the steps.
        steps: How many steps were taken.
    """

    mean: tuple[float, ...]
    sigma: float
    covariance: tuple[tuple[float, ...], ...]
    sigma_path: tuple[float, ...]
    path: tuple[float, ...]
    steps: int = 0


def round_gaussian(mean: Sequence[float], sigma: float) -> Gaussian:
    """N(mean, sigma^2 I), before any step."""
    n = len(mean)
    unit = np.eye(n) if n <= MAX_FULL else np.ones((1, n))
    still = (0.0,) * n
    return Gaussian(tuple(map(float, mean)), sigma, _rows(unit), still, still)


def lifted(gaussian: Gaussian, least: Array) -> Gaussian:
    """The same distribution, wider where a coordinate's standard deviation is below its least one.

    Args:
        gaussian: Any.
        least: ``(n,)`` standard deviations, of the same unit as sigma.
    """
    rows = np.array(gaussian.covariance)
    full = len(rows) == len(gaussian.mean) > 0
    variances = np.diag(rows) if full else rows[0]
    more = np.maximum(variances, (least / gaussian.sigma) ** 2) - variances
    if not more.any():
        return gaussian
    return replace(gaussian, covariance=_rows(rows + (np.diag(more) if full else more)))


class Axes:
    """The square root of a Gaussian's covariance, and its inverse, by eigendecomposition."""

    def __init__(self, gaussian: Gaussian) -> None:
        self.mean, self.sigma = np.array(gaussian.mean), gaussian.sigma
        self.covariance = np.array(gaussian.covariance)
        self.full = len(self.covariance) == len(self.mean) and len(self.mean) > 0
        self.scales: Array
        if self.full:
            squares, self.vectors = np.linalg.eigh(self.covariance)
            least = squares[-1] / MAX_CONDITION
            if squares[0] < least:  # beyond rounding; some may even be negative
                squares = np.maximum(squares, least)
                whole = (self.vectors * squares) @ self.vectors.T
                self.covariance = (whole + whole.T) / 2
            self.scales = np.sqrt(squares)
        else:
            self.scales = np.sqrt(self.covariance.reshape(-1))

    @property
    def deviations(self) -> Array:
        """``(n,)``, the standard deviation of each coordinate."""
        variances = np.diag(self.covariance) if self.full else self.covariance.reshape(-1)
        return np.asarray(self.sigma * np.sqrt(variances))

    def spread(self, z: Array) -> Array:
        """``C^1/2 z`` turned to C's axes: standard normal ``z`` becomes N(0, C)."""
        return self.vectors @ (self.scales * z) if self.full else self.scales * z

    def whiten(self, y: Array) -> Array:
        """``C^-1/2 y`` (eq. 1 to 3)."""
        if not self.full:
            return y / self.scales
        return self.vectors @ ((self.vectors.T @ y) / self.scales)

    def draw(self, generator: np.random.Generator) -> Array:
        """A point of N(mean, sigma^2 C)."""
        return self.mean + self.sigma * self.spread(generator.standard_normal(len(self.mean)))

    def log_density(self, point: Array, among: Sequence[int]) -> float:
        """The natural logarithm of the density at a point.

        Args:
            point: ``(n,)``.
            among: Of which coordinates: the others are integrated out.
        """
        if not len(among):
            return 0.0
        at = list(among)
        y = (point[at] - self.mean[at]) / self.sigma
        if self.full:
            rows = self.covariance[np.ix_(at, at)]
            volume = float(np.linalg.slogdet(rows)[1]) / 2
            square = float(y @ np.linalg.solve(rows, y))
        else:
            volume = float(np.log(self.scales[at]).sum())
            square = float(((y / self.scales[at]) ** 2).sum())
        return -0.5 * (square + len(at) * log(2 * pi)) - volume - len(at) * log(self.sigma)


@dataclass(frozen=True)
class Rates:
    """The learning rates for n dimensions and a number of ranked points (tutorial, table 1)."""

    n: int
    count: int
    full: bool = True

    @cached_property
    def raw(self) -> Array:
        """Utilities before scaling, best rank first (eq. 49); positive for the better half."""
        ranks = np.arange(1, self.count + 1)
        return np.asarray(log((self.count + 1) / 2) - np.log(ranks))

    @cached_property
    def mass(self) -> float:
        """The effective number of points behind a step of the mean (eq. 8)."""
        return _mass(self.raw[self.raw > 0])

    @cached_property
    def weights(self) -> Array:
        """Utilities: the positive ones sum to 1, the negative ones are a bounded baseline."""
        raw, n = self.raw, max(1, self.n)
        negative = raw[raw < 0]
        bound = min(  # (eq. 50 to 53)
            1 + self.rank_one / max(self.rank_many, 1e-12),
            1 + 2 * _mass(negative) / (self.mass + 2),
            (1 - self.rank_one - self.rank_many) / max(n * self.rank_many, 1e-12),
        )
        scaled = np.where(raw > 0, raw / raw[raw > 0].sum(), raw * bound)
        if negative.size:
            scaled = np.where(raw < 0, scaled / -negative.sum(), scaled)
        return scaled

    @property
    def _faster(self) -> float:
        return 1.0 if self.full else (self.n + 2) / 3  # Ros and Hansen, eq. 4

    @cached_property
    def rank_one(self) -> float:
        """c_1 (eq. 57)."""
        return min(0.5, self._faster * 2 / ((self.n + 1.3) ** 2 + self.mass))

    @cached_property
    def rank_many(self) -> float:
        """c_mu (eq. 58)."""
        rate = 2 * (0.25 + self.mass + 1 / self.mass - 2) / ((self.n + 2) ** 2 + self.mass)
        return float(min(1 - self.rank_one, self._faster * rate))

    @cached_property
    def path(self) -> float:
        """c_c (eq. 56)."""
        return (4 + self.mass / self.n) / (self.n + 4 + 2 * self.mass / self.n)

    @cached_property
    def sigma(self) -> float:
        """c_sigma (eq. 55, but for the 3, which is pycma's: it adapts a little faster)."""
        return (self.mass + 2) / (self.n + self.mass + 3)

    @cached_property
    def damping(self) -> float:
        """d_sigma (eq. 55)."""
        return 1 + 2 * max(0.0, sqrt((self.mass - 1) / (self.n + 1)) - 1) + self.sigma

    @cached_property
    def expected(self) -> float:
        """The expected length of a standard normal vector."""
        return sqrt(2) * exp(lgamma((self.n + 1) / 2) - lgamma(self.n / 2))


def step(gaussian: Gaussian, points: Sequence[Array], foreign: Sequence[bool]) -> Gaussian:
    """The distribution after it was told points in the order of their losses, best first.

    Args:
        gaussian: The distribution that the points were drawn from, but for the foreign ones.
        points: ``(n,)`` each; two or more. NaN: of this coordinate the point says nothing.
        foreign: Which points someone else proposed. They are pulled near enough to have been drawn
            here, so that none can tear the distribution apart.
    """
    axes = Axes(gaussian)
    n = len(gaussian.mean)
    rates = Rates(n, len(points), axes.full)
    # What others found bad may lie where nothing was drawn from here: it is held against nothing.
    weights = np.where(foreign, np.maximum(rates.weights, 0.0), rates.weights)
    y = np.array([(point - axes.mean) / axes.sigma for point in points])
    silent = np.isnan(y)
    if silent.all():
        return gaussian
    said = n - silent.sum(axis=1)
    better = np.maximum(weights, 0.0)
    unsaid = _complete(
        y, silent, axes, rates.rank_many * weights + rates.rank_one * rates.mass * better**2
    )
    z = np.array([axes.whiten(row) for row in y])
    lengths = np.sqrt((z * z).sum(axis=1))
    reach = sqrt(n) + 2 * n / (n + 2)  # Hansen 2011, table 1
    pull = np.array(
        [
            min(1.0, reach / length) if other and length > 0 else 1.0
            for length, other in zip(lengths, foreign, strict=True)
        ]
    )
    y, z, lengths = y * pull[:, None], z * pull[:, None], lengths * pull
    moved, moved_z = better @ y, better @ z  # (eq. 41, 42)
    # The less is said, the less of a step it is; what is said counts as it would alone.
    heard = float(better @ said) / n
    told = rates.mass * float(better**2 @ said) / n
    if silent.any() and told > 0:
        moved_z = moved_z / sqrt(told)
    c_sigma = rates.sigma * heard if silent.any() else rates.sigma
    sigma_path = (1 - c_sigma) * np.array(gaussian.sigma_path)  # (eq. 43)
    sigma_path = sigma_path + sqrt(c_sigma * (2 - c_sigma) * rates.mass) * moved_z
    length = float(np.linalg.norm(sigma_path))
    growth = c_sigma / rates.damping * (length / rates.expected - 1)  # (eq. 44)
    settled = 1 - (1 - rates.sigma) ** (2 * (gaussian.steps + 1))
    stalled = length / sqrt(settled) >= (1.4 + 2 / (n + 1)) * rates.expected
    path = (1 - rates.path) * np.array(gaussian.path)  # (eq. 45)
    if not stalled:
        path = path + sqrt(rates.path * (2 - rates.path) * rates.mass) * moved

    # A negative weight may not take more variance away than there is (eq. 46).
    shrunk = np.where(weights >= 0, weights, weights * said / np.maximum(lengths**2, 1e-12))
    kept = 1 - rates.rank_one - rates.rank_many * weights.sum()
    kept += rates.rank_one * rates.path * (2 - rates.path) if stalled else 0.0
    rows = axes.covariance
    if axes.full:  # (eq. 47)
        many = (shrunk[:, None] * y).T @ y
        rows = kept * rows + rates.rank_one * np.outer(path, path) + rates.rank_many * many
        rows = (rows + rows.T) / 2 + unsaid
    else:
        many = (shrunk @ (y * y))[None, :]
        rows = kept * rows + rates.rank_one * path[None, :] ** 2 + rates.rank_many * many + unsaid
    return Gaussian(
        mean=_floats(axes.mean + axes.sigma * moved),
        sigma=max(LEAST_SIGMA, axes.sigma * exp(min(MAX_GROWTH, growth))),
        covariance=_rows(rows),
        sigma_path=_floats(sigma_path),
        path=_floats(path),
        steps=gaussian.steps + 1,
    )


def _complete(y: Array, silent: Array, axes: Axes, amounts: Array) -> Array:
    """Let points say what is expected of them where they say nothing, given what they say.

    Args:
        y: ``(m, n)`` steps; the silent coordinates are filled in.
        silent: ``(m, n)``, which these are.
        axes: The Gaussian's.
        amounts: ``(m,)``, how much of each point's outer product the covariance takes in.

    Returns:
        What the covariance is to take in beside that, for what the points did not say:
        the variance that is left given what they said. ``(n, n)``, or ``(1, n)`` of variances.
    """
    rows = axes.covariance
    unsaid = np.zeros_like(rows)
    for mute in np.unique(silent[silent.any(axis=1)], axis=0):
        which = (silent == mute).all(axis=1)
        amount = float(amounts[which].sum())
        told, untold = np.flatnonzero(~mute), np.flatnonzero(mute)
        if not axes.full or not told.size:
            y[np.ix_(which, untold)] = 0.0
            unsaid += amount * (rows if axes.full else rows * mute)
            continue
        across = rows[np.ix_(told, untold)]
        gain = np.linalg.solve(rows[np.ix_(told, told)], across)
        y[np.ix_(which, untold)] = y[np.ix_(which, told)] @ gain
        rest = rows[np.ix_(untold, untold)] - across.T @ gain
        unsaid[np.ix_(untold, untold)] += amount * (rest + rest.T) / 2
    return unsaid


def _mass(weights: Array) -> float:
    """The effective number of equally weighted points (eq. 8)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 1.0


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(_floats(row) for row in matrix)
