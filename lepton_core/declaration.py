"""What a sweep is (its identity, fixed for ever) and how it is driven (settings, amendable)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lepton_core.canonical import Params, Value, canonical_json
from lepton_core.errors import IdentityError
from lepton_core.space import Space
from lepton_core.space_file import parse_space

SCHEMA = 1
Direction = Literal["minimize", "maximize"]


def to_loss(value: float, direction: Direction) -> float:
    """The loss (always minimised) of a metric's value, and back: it is its own inverse.

    Example:
        >>> to_loss(0.9, "maximize")
        -0.9
    """
    return value if direction == "minimize" else -value


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Who proposes, and whether a judge ranks what they propose.

    Attributes:
        settings: What is set of each proposer, and of ``credit``, by name; see
            `lepton_core.proposers.settings`. What is not set has its default.
    """

    proposers: tuple[str, ...]
    judge: bool = False
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A sweep's identity, recorded once and never changed.

    Attributes:
        generation: Slots in a full generation.
        start_from: Params to try first. Recorded with the identity but no part of it.
    """

    name: str
    space: Space
    seed: int = 0
    generation: int = 8
    metric: str = "loss"
    direction: Direction = "minimize"
    portfolio: Portfolio
    start_from: tuple[Params, ...] = ()
    schema: int = SCHEMA

    def to_record(self) -> dict[str, Any]:
        """The declaration as JSON can hold it; the space as pairs, since its order matters."""
        return {
            "schema": self.schema,
            "name": self.name,
            "space": [list(pair) for pair in self.space.to_dict().items()],
            "seed": self.seed,
            "generation": self.generation,
            "metric": self.metric,
            "direction": self.direction,
            "portfolio": {
                "proposers": list(self.portfolio.proposers),
                "judge": self.portfolio.judge,
                "settings": {k: dict(v) for k, v in self.portfolio.settings.items()},
            },
            "start_from": [dict(params) for params in self.start_from],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Declaration:
        """The declaration that `to_record` wrote, also after JSON has sorted its keys."""
        space = parse_space(dict(record["space"]))
        return cls(
            schema=record["schema"],
            name=record["name"],
            space=space,
            seed=record["seed"],
            generation=record["generation"],
            metric=record["metric"],
            direction=record["direction"],
            portfolio=Portfolio(
                proposers=tuple(record["portfolio"]["proposers"]),
                judge=record["portfolio"]["judge"],
                settings=record["portfolio"].get("settings", {}),
            ),
            start_from=tuple(
                {name: params[name] for name in space if name in params}
                for params in record["start_from"]
            ),
        )

    def check_same_identity(self, recorded: Declaration) -> None:
        """Do nothing if the recorded sweep is this one.

        Raises:
            IdentityError: Names each part that differs, as found and as recorded.
        """
        found, expected = _identity(self), _identity(recorded)
        differ = [p for p in {**expected, **found} if found.get(p) != expected.get(p)]
        if differ:
            lines = "".join(
                f"\n  {part}: recorded {expected.get(part, 'nothing')}, "
                f"now {found.get(part, 'nothing')}"
                for part in differ
            )
            raise IdentityError(
                f"a sweep named {self.name!r} exists with another {', '.join(differ)}:{lines}\n"
                "Give this sweep another name, or restore what was recorded.",
                name=self.name,
                differ=tuple(differ),
            )


def _identity(declaration: Declaration) -> dict[str, str]:
    """The parts that make two sweeps the same one, each as text; the space's order is no part."""
    parts: dict[str, Any] = {
        "seed": declaration.seed,
        "generation": declaration.generation,
        "metric": declaration.metric,
        "direction": declaration.direction,
        "portfolio": asdict(declaration.portfolio),
    }
    for name, domain in declaration.space.to_dict().items():
        parts[f"space.{name}"] = domain
    return {part: canonical_json(value) for part, value in parts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A target: until so many trials, or so many hours of driven time; whichever comes first."""

    trials: int | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a sweep is driven now; each driver records its own.

    Attributes:
        objective: ``file.py:function`` beside the sweep file, or ``package.module:function``.
        timeout: Seconds that a trial may take.
        nightly: What one scheduled run may add.
        code_digest: The SHA-256 of the objective's source file, as this driver found it.
        file: The sweep file's name, for people who want to resume.
    """

    budget: Budget
    objective: str | None = None
    workers: int = 1
    timeout: float | None = None
    nightly: Budget | None = None
    code_digest: str | None = None
    file: str | None = None

    def to_record(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """The settings that `to_record` wrote; keys of a newer version are passed over."""
        nightly = record.get("nightly")
        return cls(
            budget=_budget(record["budget"]),
            objective=record.get("objective"),
            workers=record.get("workers", 1),
            timeout=record.get("timeout"),
            nightly=_budget(nightly) if nightly else None,
            code_digest=record.get("code_digest"),
            file=record.get("file"),
        )


def _budget(record: Mapping[str, Value]) -> Budget:
    return Budget(trials=record.get("trials"), hours=record.get("hours"))  # type: ignore[arg-type]
