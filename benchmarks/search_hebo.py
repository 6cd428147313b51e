"""HEBO, the winner of the black-box challenge of 2020; it knows no conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from conditions import active_params
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from lepton_core.space import Choice, Float, Int, Space

if TYPE_CHECKING:
    import pandas as pd


class Hebo:
    """HEBO with its defaults."""

    def __init__(self, space: Space, seed: int, evaluations: int, generation: int) -> None:
        del evaluations, generation  # Unused: it is told of neither.
        import torch

        torch.manual_seed(seed)  # it knows the global generators only
        np.random.seed(seed)  # noqa: NPY002, TID251
        self.space = space
        told = [_param(f"p{j}", space.params[name]) for j, name in enumerate(space.free)]
        self.optimizer = HEBO(DesignSpace().parse(told), scramble_seed=seed)
        self.asked: pd.DataFrame | None = None

    def ask(self, count: int) -> list[dict[str, Any]]:
        """What it asks for."""
        self.asked = self.optimizer.suggest(n_suggestions=count)
        found = []
        for _, row in self.asked.iterrows():
            values: dict[str, Any] = {}
            for j, name in enumerate(self.space.free):
                domain, value = self.space.params[name], row[f"p{j}"]
                values[name] = domain.choices[int(value)] if isinstance(domain, Choice) else value
            found.append(active_params(self.space, values))
        return found

    def tell(self, losses: Sequence[float]) -> None:
        """Their losses; it drops what is not finite by itself."""
        self.optimizer.observe(self.asked, np.array(losses).reshape(-1, 1))


def _param(name: str, domain: Any) -> dict[str, Any]:
    match domain:
        case Choice():
            indices = [str(i) for i in range(len(domain.choices))]
            return {"name": name, "type": "cat", "categories": indices}
        case Int():
            kind = "pow_int" if domain.log else "int"
        case Float():
            kind = "pow" if domain.log else "num"
        case _:
            raise TypeError(f"{name} is fixed; expected a param that is searched")
    return {"name": name, "type": kind, "lb": domain.low, "ub": domain.high}
