"""Lepton: an event-sourced tuning pipeline with experiment tracking.

``Optimizer`` searches in memory. ``sweep`` and ``resume`` are Prefect flows; they are imported when
first used, so that ``import lepton`` loads neither Prefect nor MLflow.

Example:
    >>> import lepton
    >>> optimizer = lepton.Optimizer({"x": lepton.Float(-1.0, 1.0)}, trials=40)
    >>> while trials := optimizer.ask():
    ...     for trial in trials:
    ...         optimizer.tell(trial, (trial["x"] - 0.5) ** 2)
    >>> round(optimizer.best_params["x"], 1)
    0.5
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lepton import spaces
from lepton_core.errors import LeptonError
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.trial import Trial
from lepton_core.version import __version__

if TYPE_CHECKING:
    from lepton.optimizer import Optimizer
    from lepton.search_cv import LeptonSearchCV
    from lepton_flows.sweep import resume, sweep

__all__ = [
    "Choice",
    "Float",
    "Int",
    "LeptonError",
    "LeptonSearchCV",
    "Optimizer",
    "Space",
    "Trial",
    "__version__",
    "resume",
    "spaces",
    "sweep",
]


if not TYPE_CHECKING:  # it would tell type checkers that any name is there

    def __getattr__(name: str) -> Any:
        if name == "Optimizer":
            from lepton.optimizer import Optimizer  # noqa: PLC0415  (what only describes a space is done)

            return Optimizer
        if name == "LeptonSearchCV":
            from lepton.search_cv import LeptonSearchCV  # noqa: PLC0415  (scikit-learn takes a second)

            return LeptonSearchCV
        if name in ("resume", "sweep"):
            from lepton_flows import sweep as flows  # noqa: PLC0415  (Prefect takes a second)

            return getattr(flows, name)
        raise AttributeError(f"module 'lepton' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
