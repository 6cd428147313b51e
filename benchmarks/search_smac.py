"""SMAC3's facade for hyperparameters, asked and told; conditions are ConfigSpace's own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from conditions import active_params, parents_first
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory import StatusType, TrialInfo, TrialValue

from lepton_core.space import Choice, Domain, Fixed, Int, Space


class Smac:
    """SMAC on a problem without noise: it is not told to repeat what it has tried."""

    def __init__(self, space: Space, seed: int, evaluations: int, generation: int) -> None:
        del generation  # Unused: it is asked one by one, and told afterwards.
        self.space = space
        self.folder = tempfile.TemporaryDirectory()  # it writes, whether it is asked to or not
        scenario = Scenario(
            _config_space(space, seed),
            deterministic=True,
            n_trials=evaluations,
            seed=seed,
            output_directory=Path(self.folder.name),
        )
        self.smac = HyperparameterOptimizationFacade(
            scenario, _not_called, overwrite=True, logging_level=False
        )
        self.asked: list[TrialInfo] = []
        self.worst = float("-inf")

    def ask(self, count: int) -> list[dict[str, Any]]:
        """What it asks for."""
        self.asked = [self.smac.ask() for _ in range(count)]
        return [active_params(self.space, dict(info.config)) for info in self.asked]

    def tell(self, losses: Sequence[float]) -> None:
        """Their losses; a failure is told as a crash, as bad as the worst loss so far."""
        # Its default, an infinite cost, becomes NaN in its model, which then raises.
        self.worst = max((loss for loss in (self.worst, *losses) if isfinite(loss)), default=0.0)
        for info, loss in zip(self.asked, losses, strict=True):
            crashed = TrialValue(cost=self.worst, status=StatusType.CRASHED)
            self.smac.tell(info, TrialValue(cost=loss) if isfinite(loss) else crashed)


def _not_called(config: Any, seed: int = 0) -> float:
    """What SMAC would evaluate if it were not told."""
    raise NotImplementedError(f"found a call with {config} and {seed}; expected to be told")


def _config_space(space: Space, seed: int) -> ConfigurationSpace:
    found = ConfigurationSpace(seed=seed)
    params = {name: _param(name, space.params[name]) for name in space.free}
    found.add(list(params.values()))
    for name in parents_first(space):
        asked = [
            InCondition(params[name], params[parent], list(allowed))
            for parent, allowed in space.params[name].when
        ]
        if asked:
            found.add(asked[0] if len(asked) == 1 else AndConjunction(*asked))
    return found


def _param(name: str, domain: Domain) -> Any:
    if isinstance(domain, Fixed):
        raise TypeError(f"{name} is fixed; expected a param that is searched")
    if isinstance(domain, Choice):
        return CategoricalHyperparameter(name, list(domain.choices))
    kind = UniformIntegerHyperparameter if isinstance(domain, Int) else UniformFloatHyperparameter
    return kind(name, lower=domain.low, upper=domain.high, log=domain.log)
