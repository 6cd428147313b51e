"""Finds the reference values that regrets are normalised with, and writes them beside the data.

    python benchmarks/references.py glmnet
    python benchmarks/references.py real

The second takes about ten minutes; name tasks to do them alone.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import real
import yahpo
from problems import Problem, real_problem
from scipy.optimize import differential_evolution
from sweeps import PORTFOLIOS, lepton

from lepton_core.rng import rng

RANDOM = 20_000
CHUNK = 1000
LONG_SEARCHES = 10  # of differential evolution, from different seeds

USUAL = 50  # random params, for the median true loss
SWEEPS = ("lepton", "lepton-ga", "lepton-rl")
TRIALS = 304  # of each of these sweeps
KEPT = 40  # of the lowest losses observed, for their true loss
REFINED = 80  # neighbours of the best, one after another
REACH = 0.05  # of the unit cube, how far neighbours are


def glmnet() -> dict[str, Any]:
    """The references of each data set of `iaml_glmnet`, as `dev_instances.json` has them."""
    found = []
    for name, one in yahpo.development().items():
        if one.scenario != "iaml_glmnet":
            continue
        generator = rng(0, "references", name)
        points = generator.random((RANDOM, len(one.space)))
        losses = np.concatenate(
            [
                one.losses([one.space.decode(p) for p in points[i : i + CHUNK]])
                for i in range(0, RANDOM, CHUNK)
            ]
        )

        def many(points: Any, one: yahpo.Instance = one) -> Any:
            return one.losses([one.space.decode(p) for p in points.T])

        long = [
            differential_evolution(
                many,
                [(0.0, 1.0)] * len(one.space),
                popsize=100,
                maxiter=300,
                tol=0,
                polish=False,
                updating="deferred",
                vectorized=True,
                rng=rng(seed, "references", name),
            ).fun
            for seed in range(LONG_SEARCHES)
        ]
        found.append(
            {
                "name": name,
                "scenario": one.scenario,
                "instance": one.instance,
                "metric": one.metric,
                "median_random": float(np.median(losses)),
                "best_of_20k_random": float(losses.min()),
                "best_known": float(min(*long, losses.min())),
            }
        )
    return {"made_by": "python benchmarks/references.py glmnet", "instances": found}


def noisy(problem: Problem) -> dict[str, Any]:
    """The usual true loss of a noisy problem, and the best by sweeps and refinement."""
    space, generator = problem.space, rng(0, "references", problem.name)
    usual = np.median(
        [problem.true_loss(space.decode(generator.random(len(space)))) for _ in range(USUAL)]
    )
    tried = []
    for name in SWEEPS:
        run = lepton(problem, 1000, TRIALS, PORTFOLIOS[name], 8)
        tried += list(zip(run.losses, run.params, strict=True))
    tried.sort(key=lambda one: one[0])
    best, params = min(
        ((problem.true_loss(params), params) for _, params in tried[:KEPT]), key=lambda one: one[0]
    )
    for _ in range(REFINED):
        point = space.encode(params)
        moved = generator.random(len(point)) < max(0.3, 1 / len(point))
        point = np.clip(point + moved * generator.normal(0, REACH, len(point)), 0, 1)
        loss = problem.true_loss(space.decode(point))
        if loss < best:
            best, params = loss, space.decode(point)
    return {"best": best, "usual": float(usual), "best_params": params}


def main() -> None:
    """Find and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("glmnet", "real"))
    every = (*real.DEVELOPMENT, *real.REPORT)
    parser.add_argument("--tasks", nargs="+", choices=every, default=every)
    told = parser.parse_args()
    if told.what == "glmnet":
        yahpo.GLMNET_REFERENCES.write_text(json.dumps(glmnet(), indent=2) + "\n")
        return
    for name in told.tasks:
        found = {**real.references(), name: noisy(real_problem(name))}
        record = {"made_by": "python benchmarks/references.py real", "tasks": found}
        real.REFERENCES.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
