"""Finds the reference values that regrets are normalised with, and writes them beside the data.

python benchmarks/references.py glmnet
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import yahpo
from scipy.optimize import differential_evolution

from lepton_core.rng import rng

RANDOM = 20_000
CHUNK = 1000
LONG_SEARCHES = 10  # of differential evolution, from different seeds


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


def main() -> None:
    """Find and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("glmnet",))
    parser.parse_args()
    yahpo.GLMNET_REFERENCES.write_text(json.dumps(glmnet(), indent=2) + "\n")


if __name__ == "__main__":
    main()
