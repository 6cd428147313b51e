"""Optuna's samplers, asked by define-by-run: a param is suggested where it is active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import optuna
from conditions import parents_first, within

from lepton_core.space import Choice, Domain, Fixed, Float, Int

if TYPE_CHECKING:
    from lepton_core.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Optuna:
    """A study in memory.

    Args:
        sampler: The name of one of Optuna's samplers.
        settings: What it is made with besides the seed.
    """

    def __init__(self, space: Space, seed: int, sampler: str, settings: Mapping[str, Any]) -> None:
        self.space = space
        made = getattr(optuna.samplers, sampler)(seed=seed, **settings)
        self.study = optuna.create_study(sampler=made)
        self.asked: list[optuna.Trial] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """So many trials, none of which is told before the last is asked."""
        self.asked, found = [], []
        for _ in range(count):
            trial = self.study.ask()
            params: dict[str, Any] = {}
            for name in parents_first(self.space):
                if self.space.is_active(name, params):
                    params[name] = _suggested(trial, name, self.space.params[name])
            self.asked.append(trial)
            found.append({name: params[name] for name in self.space if name in params})
        return found

    def tell(self, losses: Sequence[float]) -> None:
        """Their losses; a failure is told as one."""
        for trial, loss in zip(self.asked, losses, strict=True):
            if isfinite(loss):
                self.study.tell(trial, loss)
            else:
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _suggested(trial: optuna.Trial, name: str, domain: Domain) -> Any:
    match domain:
        case Float():
            value = trial.suggest_float(
                name, domain.low, domain.high, log=domain.log, step=domain.step
            )
            return within(domain, value)
        case Int():
            step = domain.step or 1
            return trial.suggest_int(name, domain.low, domain.high, log=domain.log, step=step)
        case Choice():
            return trial.suggest_categorical(name, domain.choices)
        case Fixed():
            return domain.value
