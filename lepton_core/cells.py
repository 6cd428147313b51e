"""Where the values of a number lie in [0, 1], if they can be counted: each has a cell.

On a log scale a low value has a wider cell than a high one.
"""

from __future__ import annotations

from math import log

from lepton_core.domains import Float, Int

Cell = tuple[float, float]


def cell(domain: Float | Int, u: float, aside: int = 0) -> Cell | None:
    """Where the cell at ``u`` begins and ends; None: the number is continuous.

    Args:
        domain: Whose.
        u: In [0, 1].
        aside: Rather the cell so many values above it; where there is none, as many below.
    """
    if not domain.cells:
        return None
    pace = domain.step or 1
    k = round((domain.decode(u) - domain.low) / pace)
    if not 0 <= k + aside < domain.cells:
        aside = -aside
    k = min(domain.cells - 1, max(0, k + aside))
    return edge(domain, k), edge(domain, k + 1)


def edge(domain: Float | Int, k: int) -> float:
    """Where the cell of the k-th value begins."""
    if k <= 0 or k >= domain.cells:
        return 0.0 if k <= 0 else 1.0
    if not domain.log:
        return k / domain.cells
    if isinstance(domain, Int):
        bottom, top = domain.log_edges()
    else:
        bottom, top = log(domain.low), log(domain.high)
    between = domain.low + (k - 0.5) * (domain.step or 1)
    return min(1.0, max(0.0, (log(between) - bottom) / (top - bottom)))
