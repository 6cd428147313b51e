"""Tuning while a model trains, against training with constant settings and classic PBT.

Each problem is a small network on data that is split into three: it trains on the first part,
checkpoints are judged and chosen on the second, and the third, which nothing looks at, says what
the choice is worth. All methods begin with the same members and take the same number of gradient
steps, except that the defaults alone train one model where the others train `--members`.

Settings of Lepton were chosen on `DEVELOPMENT` with seeds below 700; others,
and `--report`, are what they were not chosen on.

    python benchmarks/population.py --seeds 3 --rounds 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Mapping, Sequence
from math import inf, isfinite
from statistics import geometric_mean, mean, median
from typing import TYPE_CHECKING, Any

from population_training import (
    DEVELOPMENT,
    REPORT,
    Checkpoint,
    Problem,
    Trainer,
    apart,
    problem,
)

from lepton.training import gradient_settings
from lepton_core.asking import ask, begin, tell
from lepton_core.declaration import Budget, Declaration, Portfolio, Training
from lepton_core.events import Failure
from lepton_core.proposers.base import Ask
from lepton_core.proposers.sobol import Sobol
from lepton_core.rng import rng
from lepton_core.space import Choice, Float

if TYPE_CHECKING:
    import numpy as np

SPACE = gradient_settings.SPACE
DEFAULTS = gradient_settings.START
PROPOSERS = ("ga", "pso", "rl")
BASELINE = "random search"

Choices = Sequence[tuple[Mapping[str, Any], int | None]]
"""For each member its settings, and the trial whose checkpoint it goes on from."""
Method = Generator[Choices, Sequence[float], None]
"""Yields a round's choices and is sent their held-out losses; not a number for a failure."""
Found = Mapping[tuple[str, int], Mapping[str, tuple[float, float]]]
"""By problem and seed: by method the best held-out loss, and that checkpoint's test loss."""


def lepton(seed: int, members: int, training: Training) -> Method:
    """The population of `lepton_core.population`."""
    declared = Declaration(
        name="population",
        space=SPACE,
        seed=seed,
        generation=members,
        portfolio=Portfolio(proposers=PROPOSERS),
        start_from=(DEFAULTS,),
        training=training,
    )
    at, budget = begin(declared), Budget(trials=members * training.rounds)
    while True:
        at, proposals = ask(at, members, budget)
        if not proposals:
            return
        losses = yield [(p.params, p.origin["from"]) for p in proposals]
        for proposal, loss in zip(proposals, losses, strict=True):
            failed = Failure(kind="nan", reason="the loss is not finite")
            at = tell(at, proposal.number, loss if isfinite(loss) else failed)


def first(seed: int, members: int) -> list[Mapping[str, Any]]:
    """The defaults, and Sobol points."""
    sobol = Sobol()
    asked = Ask(space=SPACE, seed=seed, generation=0, slots=tuple(range(1, members)))
    return [DEFAULTS, *(c.params for c in sobol.suggest(sobol.init(SPACE), asked))]


def constant(settings: Sequence[Mapping[str, Any]], rounds: int) -> Method:
    """Each member keeps its settings."""
    n = len(settings)
    for done in range(rounds):
        yield [(one, (done - 1) * n + i if done else None) for i, one in enumerate(settings)]


def pbt(seed: int, members: int, rounds: int, resampled: float = 0.0) -> Method:
    """Truncation selection, and perturbation by 0.8 or 1.2 (Jaderberg et al. 2017, section 4).

    Args:
        seed: Of the sweep.
        members: How many.
        rounds: How many.
        resampled: The probability that a setting is drawn anew from the whole space instead; 0.25
            is the default of Ray Tune.
    """
    now: list[tuple[Mapping[str, Any], int | None]] = [(s, None) for s in first(seed, members)]
    cut = max(1, members // 4)
    for done in range(rounds):
        losses = yield now
        order = sorted(range(members), key=lambda i: losses[i] if isfinite(losses[i]) else inf)
        settings = [one for one, _ in now]
        now = [(one, done * members + i) for i, one in enumerate(settings)]
        for i in order[-cut:]:
            generator = rng(seed, done, i, "pbt")
            best = order[int(generator.integers(cut))]
            now[i] = (_perturbed(settings[best], generator, resampled), done * members + best)


def _perturbed(
    settings: Mapping[str, Any], generator: np.random.Generator, resampled: float
) -> dict[str, Any]:
    found = {}
    for name, domain in SPACE.params.items():
        value: Any = settings[name]
        if resampled and generator.random() < resampled:
            found[name] = domain.decode(float(generator.random()))
            continue
        up = generator.random() < 0.5
        if isinstance(domain, Choice):
            at = domain.choices.index(value) + (1 if up else -1)
            value = domain.choices[min(len(domain.choices) - 1, max(0, at))]
        elif isinstance(domain, Float):
            value = value * (1.2 if up else 0.8)
            if name == "momentum":
                value = 1 - (1 - settings[name]) * (1.2 if up else 0.8)
            value = min(domain.high, max(domain.low, value))
        found[name] = value
    return found


def run(on: Problem, seed: int, method: Method, training: Training) -> tuple[float, float]:
    """The best held-out loss of a run, and that checkpoint's test loss."""
    trainer = Trainer(on, seed)
    done: list[Checkpoint] = []
    best, test = inf, inf
    choices = next(method)
    for n in range(training.rounds):
        steps = training.steps_before(n + 1) - training.steps_before(n)
        losses = []
        for settings, start in choices:
            end = trainer.train(
                trainer.beginning if start is None else done[start], settings, steps
            )
            losses.append(trainer.judge(end, 1))
            done.append(end)
            if losses[-1] < best:
                best, test = losses[-1], trainer.judge(end, 2)
        if n + 1 < training.rounds:
            choices = method.send(losses)
    return best, test


def methods(seed: int, members: int, training: Training) -> dict[str, Method]:
    """By name."""
    return {
        "lepton": lepton(seed, members, training),
        "classic PBT": pbt(seed, members, training.rounds),
        "classic PBT, resampling": pbt(seed, members, training.rounds, resampled=0.25),
        BASELINE: constant(first(seed, members), training.rounds),
        "defaults": constant([DEFAULTS], training.rounds),
    }


def compare(args: argparse.Namespace) -> Found:
    """For each problem and seed, each method's best held-out loss and what it is worth."""
    training = Training(steps=args.steps, rounds=args.rounds)
    found = {}
    for name in args.problems:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            on = problem(name, seed)
            made = methods(seed, args.members, training)
            found[name, seed] = {m: run(on, seed, one, training) for m, one in made.items()}
            print(f"{name}, seed {seed}", file=sys.stderr)
    return found


def table(found: Found) -> str:
    """Each method's mean rank, and its losses in units of random search's.

    Relative losses: their median over all cases, their geometric mean over all cases, and that of
    each problem. Held-out loss first, then test loss.
    """
    problems = list(dict.fromkeys(name for name, _ in found))
    rows = [["held-out, test", "rank", "median", "mean", *problems]]
    for method in next(iter(found.values())):
        cells = [
            [
                mean(1 + sum(o[k] < one[method][k] for o in one.values()) for one in found.values())
                for k in (0, 1)
            ],
            [median(_relative(found, method, k)) for k in (0, 1)],
            *(
                [geometric_mean(_relative(found, method, k, on)) for k in (0, 1)]
                for on in (None, *problems)
            ),
        ]
        ranks, *losses = cells
        rows.append(
            [
                method,
                f"{ranks[0]:.2f}, {ranks[1]:.2f}",
                *(f"{held:.3f}, {test:.3f}" for held, test in losses),
            ]
        )
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in ruled)


def _relative(found: Found, method: str, k: int, on: str | None = None) -> list[float]:
    return [
        one[method][k] / one[BASELINE][k]
        for (name, _), one in found.items()
        if on is None or name == on
    ]


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--problems", nargs="+", choices=(*DEVELOPMENT, *REPORT))
    parser.add_argument("--report", action="store_true", help="digits, which nothing was chosen on")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000, help="gradient steps of each member")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--check", action="store_true", help="compare the trainer with PyTorch's")
    args = parser.parse_args()
    args.problems = args.problems or (REPORT if args.report else DEVELOPMENT)
    if args.check:
        for name in args.problems:
            print(f"{name}: {apart(problem(name, args.first_seed), args.first_seed):.1e}")
        return
    print(table(compare(args)))


if __name__ == "__main__":
    main()
