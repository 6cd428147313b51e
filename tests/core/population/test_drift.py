"""A made-up training whose best settings move on while it trains."""

from __future__ import annotations

from math import exp, log10
from statistics import mean

import pytest

from lepton_core.asking import ask, begin, tell
from lepton_core.declaration import Budget, Declaration, Portfolio, Training
from lepton_core.space import Float, Space

ROUNDS, MEMBERS = 20, 8
SPACE = Space({"lr": Float(1e-4, 1e-1, log=True), "momentum": Float(0.5, 0.99)})


def after(loss, params, done):
    """The loss an interval later: the best rate falls from 1e-1.5 to 1e-3.5 as training goes on."""
    off = log10(params["lr"]) + 1.5 + 2 * done / ROUNDS
    away = off**2 + 4 * (params["momentum"] - 0.9) ** 2
    return loss * (1 - 0.3 * exp(-4 * away))


def populated(seed, proposers):
    """The settings of the best member, round by round, and its loss."""
    at = begin(
        Declaration(
            name="drift",
            space=SPACE,
            seed=seed,
            generation=MEMBERS,
            portfolio=Portfolio(proposers=proposers),
            start_from=({"lr": 1e-3, "momentum": 0.9},),
            training=Training(steps=1000, rounds=ROUNDS),
        )
    )
    known, firsts, best = {None: 1.0}, [], []
    for done in range(ROUNDS):
        at, trials = ask(at, MEMBERS, Budget(trials=MEMBERS * ROUNDS))
        for one in trials:
            known[one.number] = after(known[one.origin["from"]], one.params, done)
            at = tell(at, one.number, known[one.number])
        firsts = firsts or [one.params for one in trials]
        best.append(min(trials, key=lambda one: known[one.number]).params)
    return firsts, best, at.best.value


def constant(params):
    loss = 1.0
    for done in range(ROUNDS):
        loss = after(loss, params, done)
    return loss


@pytest.mark.parametrize("proposers", [("ga", "pso", "rl"), ("ga",), ("pso",), ("rl",)], ids=str)
def test_a_population_follows_the_best_settings_where_constant_ones_fall_behind(proposers):
    found = [populated(seed, proposers) for seed in range(5)]
    best_constant = [min(map(constant, firsts)) for firsts, _, _ in found]
    assert mean(loss for *_, loss in found) < 0.7 * mean(best_constant)
    early = mean(log10(best[2]["lr"]) for _, best, _ in found)
    late = mean(log10(best[-1]["lr"]) for _, best, _ in found)
    assert late < early - 0.7
