"""How well the proposers search: alone, together, and against published implementations.

Each method minimises COCO's bbob and bbob-mixint functions in generations of 8. A result is the
normalised regret of the best so far: 0 is the optimum, 1 the median of random points. Needs the
extra `bench`. The table of `docs/searchers.md` is what this prints::

    python benchmarks/searchers.py --functions report --evaluations 200
    python benchmarks/searchers.py --functions report --evaluations 2000
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from bbob import DEVELOPMENT, DIMENSIONS, REPORT, SUITES, Array, Problem, problems
from peers import PEERS
from scipy.stats import rankdata

from lepton_core.declaration import Declaration, Portfolio
from lepton_core.events import GenerationSealed, SweepDeclared, TrialRecord
from lepton_core.fold import evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers import UNJUDGED_PROPOSERS
from lepton_core.rng import rng

GENERATION = 8
MEMBERS = ("ga", "pso", "rl")
PORTFOLIO = "portfolio"
LEPTON = {PORTFOLIO: UNJUDGED_PROPOSERS, **{name: (name,) for name in (*MEMBERS, "random")}}
METHODS = (*LEPTON, *PEERS)
SOLVED = 1e-6  # normalised regrets below it count as equal: nobody tunes a model so far
TARGETS = 10.0 ** -np.arange(0.5, 5.01, 0.5)  # normalised regrets to be reached
RESAMPLES = 2000

Key = tuple[str, int, int, int, int]
"""Suite, function, dimension, instance, seed."""


def lepton(
    problem: Problem, seed: int, evaluations: int, proposers: tuple[str, ...], generation: int
) -> list[float]:
    """The losses of a sweep in order, by the same fold and plan that every sweep has."""
    declaration = Declaration(
        name="bench",
        space=problem.space,
        seed=seed,
        generation=generation,
        portfolio=Portfolio(proposers=proposers),
    )
    state = replay([SweepDeclared(declaration=declaration)])
    losses: list[float] = []
    while len(losses) < evaluations:
        trials = tuple(
            TrialRecord(proposal=p, value=problem.loss(list(p.params.values())))
            for p in plan(state, generation)
        )
        losses += [t.value for t in trials if t.value is not None]
        state = evolve(state, GenerationSealed(generation=state.generations_done, trials=trials))
    return losses


@dataclass(frozen=True)
class Work:
    """One function of one suite, for every method, dimension, instance and seed."""

    suite: str
    function: int
    methods: tuple[str, ...]
    instances: tuple[int, ...]
    seeds: int
    evaluations: int
    generation: int

    def run(self) -> dict[str, dict[Key, list[float]]]:
        """Every method's regrets after each evaluation."""
        found: dict[str, dict[Key, list[float]]] = {name: {} for name in self.methods}
        for problem in problems(self.suite, (self.function,), DIMENSIONS, self.instances):
            for seed, name in product(range(self.seeds), self.methods):
                if name in LEPTON:
                    losses = lepton(problem, seed, self.evaluations, LEPTON[name], self.generation)
                else:
                    losses = PEERS[name](problem, seed, self.evaluations)
                key = (self.suite, self.function, problem.dimension, problem.instance, seed)
                regrets = problem.regrets(losses)[: self.evaluations]
                found[name][key] = [float(r) for r in regrets]
        return found


def interval(values: dict[Any, list[float]]) -> tuple[float, float, float]:
    """The mean over functions, with its 95 % bootstrap interval over functions."""
    means = np.array([np.mean(of_one) for of_one in values.values()])
    generator = rng(0, "bootstrap")
    drawn = generator.integers(len(means), size=(RESAMPLES, len(means)))
    low, high = np.percentile(means[drawn].mean(axis=1), [2.5, 97.5])
    return float(means.mean()), float(low), float(high)


def table(curves: dict[str, dict[Key, list[float]]], at: int) -> list[dict[str, Any]]:
    """For each method the mean regret with its interval, the mean log, and the mean ranks."""
    keys = list(next(iter(curves.values())))
    last = np.array([[curves[m][key][at - 1] for key in keys] for m in curves])
    floored = np.maximum(last, SOLVED)
    ranks = np.apply_along_axis(rankdata, 0, floored).mean(axis=1)
    names = list(curves)
    ours = [i for i, m in enumerate(names) if m in (*MEMBERS, PORTFOLIO)]
    own_ranks = (
        dict(zip(ours, np.apply_along_axis(rankdata, 0, floored[ours]).mean(axis=1), strict=True))
        if ours
        else {}
    )
    rows = []
    for i, name in enumerate(names):
        by_function: dict[tuple[str, int], list[float]] = {}
        for key, regret in zip(keys, last[i], strict=True):
            by_function.setdefault(key[:2], []).append(float(regret))
        mean, low, high = interval(by_function)
        rows.append(
            {
                "method": name,
                "regret": mean,
                "low": low,
                "high": high,
                "log10": float(np.log10(floored[i]).mean()),
                "rank": float(ranks[i]),
                "rank_among_ours": float(own_ranks[i]) if i in own_ranks else None,
            }
        )
    return rows


def evaluations_ratio(
    curves: dict[str, dict[Key, list[float]]], ours: str, peer: str
) -> dict[str, float]:
    """How many evaluations `ours` needs for the targets that `peer` reaches, as a ratio.

    Per problem the median over seeds and instances of the first evaluation at which a target is
    reached; a run that does not reach it counts with twice the budget. Only targets that the
    peer's median run reaches.
    """
    groups: dict[tuple[str, int, int], list[Key]] = {}
    for key in curves[peer]:
        groups.setdefault(key[:3], []).append(key)
    ratios, missed = [], 0
    for keys in groups.values():
        for target in TARGETS:
            needed = [
                float(np.median([_first(np.array(curves[m][k]), target) for k in keys]))
                for m in (ours, peer)
            ]
            budget = len(curves[peer][keys[0]])
            if needed[1] <= budget:
                ratios.append(needed[0] / needed[1])
                missed += needed[0] > budget
    return {
        "ratio": float(np.exp(np.mean(np.log(ratios)))),
        "median": float(np.median(ratios)),
        "targets": len(ratios),
        "missed": missed,
    }


def _first(regrets: Array, target: float) -> float:
    reached = np.flatnonzero(regrets <= target)
    return float(reached[0] + 1) if len(reached) else 2.0 * len(regrets)


def measure(works: list[Work], processes: int) -> dict[str, dict[Key, list[float]]]:
    """All the work, with a line of progress a function."""
    curves: dict[str, dict[Key, list[float]]] = {}
    with ProcessPoolExecutor(processes) as pool:
        for done, (work, found) in enumerate(zip(works, pool.map(Work.run, works), strict=True), 1):
            for name, of_one in found.items():
                curves.setdefault(name, {}).update(of_one)
            sys.stderr.write(f"{done}/{len(works)} {work.suite} f{work.function}\n")
    return curves


def show(rows: list[dict[str, Any]]) -> None:
    """The table in Markdown."""
    print("| method | regret (95 %) | log10 | rank | rank among ours |")
    print("|---|---|---|---|---|")
    for row in sorted(rows, key=lambda r: float(r["rank"])):
        own = "" if row["rank_among_ours"] is None else f"{row['rank_among_ours']:.2f}"
        spread = f"{row['regret']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
        print(f"| {row['method']} | {spread} | {row['log10']:.2f} | {row['rank']:.2f} | {own} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--functions", choices=("development", "report"), default="development")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--instances", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--generation", type=int, default=GENERATION, help="ours alone")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    functions = REPORT if told.functions == "report" else DEVELOPMENT
    works = [
        Work(
            suite,
            function,
            tuple(told.methods),
            tuple(told.instances),
            told.seeds,
            told.evaluations,
            told.generation,
        )
        for suite, function in product(told.suites, functions)
    ]
    curves = measure(works, told.processes)
    tables = {
        name: table(
            {m: {k: c for k, c in of.items() if k[0] in chosen} for m, of in curves.items()},
            told.evaluations,
        )
        for name, chosen in (("all", told.suites), *((s, (s,)) for s in told.suites))
    }
    ratio = (
        evaluations_ratio(curves, "rl", "pycma") if {"rl", "pycma"} <= set(told.methods) else None
    )
    if told.json:
        print(json.dumps({"tables": tables, "rl_against_pycma": ratio}))
        return
    for name, rows in tables.items():
        print(f"\n### {name}, {told.functions} functions, {told.evaluations} evaluations\n")
        show(rows)
    if ratio:
        print(
            f"\nrl needs {ratio['ratio']:.2f} times pycma's evaluations (geometric mean over "
            f"{ratio['targets']} targets that pycma reaches; median {ratio['median']:.2f}; "
            f"{ratio['missed']} not reached)"
        )


if __name__ == "__main__":
    main()
