"""What the search benchmark's rows say: a table of methods, and two methods compared in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from problems import problem
from scipy.stats import rankdata
from sweeps import CHECKPOINTS

from lepton_core.rng import rng

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from search_results import Row

    Array = NDArray[np.float64]

RESAMPLES = 2000
FLOOR = 0.001  # added to a regret before its logarithm: less is the same to whoever tunes a model
NOTHING = 1.0  # the regret while every trial has failed: that of the median of random params

Pair = tuple[str, int]
"""A problem and a seed."""


@dataclass(frozen=True)
class Results:
    """The regrets of some methods where all of them have a row.

    Attributes:
        pairs: Problems and seeds.
        families: ``(n,)``, of each pair.
        regrets: ``(m, n, c)``, by method, pair and checkpoint.
        ms: ``(m, n)``, milliseconds of search for each proposal.
    """

    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    families: tuple[str, ...]
    checkpoints: tuple[int, ...]
    regrets: Array
    ms: Array


def common(rows: Iterable[Row], methods: Sequence[str] = ()) -> Results:
    """The results of these methods, or of all, on the pairs and checkpoints that they share.

    Raises:
        ValueError: They share none.
    """
    of: dict[str, dict[Pair, Row]] = {}
    for row in rows:
        if not methods or row.cell.method in methods:
            of.setdefault(row.cell.method, {})[row.cell.problem, row.cell.seed] = row
    names = tuple(methods) or tuple(of)
    missing = [name for name in names if name not in of]
    pairs = [] if missing or not of else sorted(set.intersection(*(set(of[m]) for m in names)))
    if not pairs:
        reach = ", ".join(f"{name} {len(of.get(name, {}))}" for name in names) or "no rows"
        raise ValueError(f"found {reach}; expected searches of the same problem and seed by each")
    checkpoints = tuple(
        n for n in CHECKPOINTS if all(n in of[m][pair].losses for m in names for pair in pairs)
    )
    regrets = [[[_regret(of[m][p], n) for n in checkpoints] for p in pairs] for m in names]
    return Results(
        names,
        tuple(pairs),
        tuple(of[names[0]][pair].family for pair in pairs),
        checkpoints,
        np.array(regrets),
        np.array([[of[m][pair].ms for pair in pairs] for m in names]),
    )


def _regret(row: Row, checkpoint: int) -> float:
    loss = row.losses[checkpoint]
    return NOTHING if loss == inf else problem(row.cell.problem).regret(loss)


def table(results: Results, *, alike: bool) -> str:
    """Markdown: mean normalised regrets with 95 % bootstrap intervals over problems.

    Args:
        results: Of the methods that are compared.
        alike: Whether each family weighs the same, or each problem.
    """
    head = ["method", *(f"@{n}" for n in results.checkpoints), "rank", "ms"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    last = results.regrets[:, :, -1]
    ranks = np.apply_along_axis(rankdata, 0, np.maximum(last, FLOOR)).mean(axis=1)
    rows = []
    for i, method in enumerate(results.methods):
        means = [
            _interval(results, results.regrets[i, :, c], alike=alike)
            for c in range(len(results.checkpoints))
        ]
        shown = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in means]
        cells = [method, *shown, f"{ranks[i]:.2f}", f"{results.ms[i].mean():.1f}"]
        rows.append((means[-1], "| " + " | ".join(cells) + " |"))
    problems = {name for name, _ in results.pairs}
    count = f"{len(problems)} problems, {len(results.pairs)} searches of each method."
    return "\n".join([*lines, *(line for _, line in sorted(rows)), "", count])


def by_family(results: Results) -> str:
    """Markdown: the mean regret of each family at the last checkpoint."""
    names = sorted(set(results.families))
    lines = ["| method | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    last, families = results.regrets[:, :, -1], np.array(results.families)
    for i in np.argsort(last.mean(axis=1)):
        means = [f"{last[i, families == name].mean():.3f}" for name in names]
        lines.append(f"| {results.methods[i]} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def _by_problem(results: Results, values: Array) -> dict[str, list[float]]:
    """Of each family the means over seeds, one a problem."""
    of: dict[tuple[str, str], list[float]] = {}
    for (name, _), family, value in zip(results.pairs, results.families, values, strict=True):
        of.setdefault((family, name), []).append(float(value))
    found: dict[str, list[float]] = {}
    for (family, _), some in of.items():
        found.setdefault(family, []).append(float(np.mean(some)))
    return found


def _interval(results: Results, values: Array, *, alike: bool) -> tuple[float, float, float]:
    """The mean over problems with its 95 % bootstrap interval, problems drawn within families."""
    families = [np.array(some) for some in _by_problem(results, values).values()]
    weights = np.array([1.0 if alike else len(some) for some in families], dtype=float)
    weights /= weights.sum()
    generator = rng(0, "bootstrap")
    drawn = [
        some[generator.integers(len(some), size=(RESAMPLES, len(some)))].mean(axis=1)
        for some in families
    ]
    low, high = np.percentile(weights @ np.array(drawn), [2.5, 97.5])
    return float(weights @ [some.mean() for some in families]), float(low), float(high)


def compare(results: Results) -> str:
    """Markdown: the first method against the second, in pairs of problem and seed.

    The mean is of log10 of the ratio of (regret + `FLOOR`), negative where the first is better;
    its standard error is over problems, whose seeds are averaged before. A pair whose ratio is
    within 1 % is no win of either.
    """
    ours, theirs = np.log10(results.regrets + FLOOR)
    families = np.array(results.families)
    groups = [("all", np.full(len(families), fill_value=True))]
    groups += [(name, families == name) for name in sorted(set(results.families))]
    head = ["", "pairs", *(f"@{n}" for n in results.checkpoints)]
    lines = [
        f"{results.methods[0]} against {results.methods[1]}: wins-losses, mean log10 ratio +- SE",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for label, chosen in groups:
        cells = [label, str(int(chosen.sum()))]
        for c in range(len(results.checkpoints)):
            ratios = (ours - theirs)[chosen, c]
            names = np.array([name for name, _ in results.pairs])[chosen]
            means = np.array([ratios[names == name].mean() for name in sorted(set(names))])
            error = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.nan
            wins, losses = (ratios < -np.log10(1.01)).sum(), (ratios > np.log10(1.01)).sum()
            cells.append(f"{wins}-{losses} {means.mean():+.3f} +- {error:.3f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
