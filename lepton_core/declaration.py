"""What a sweep is (its identity, fixed for ever) and how it is driven (settings, amendable)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeGuard

from lepton_core.canonical import Params, canonical_json, shown
from lepton_core.errors import IdentityError, InputError, RecordError
from lepton_core.hooks import OCCASIONS, HookReferences
from lepton_core.keys import is_mlflow_key
from lepton_core.recorded import Fields, only
from lepton_core.space import Space
from lepton_core.space_file import parse_space

SCHEMA = 1
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
MAX_METRIC = 245  # the sweep's own run has a metric `best_...`, and MLflow's limit is 250
MAX_GENERATION = 10_000
MAX_WORKERS = 1024
MAX_SEED = 2**63 - 1
MAX_TRIALS = 10_000_000
MAX_REPLICATES = 100
MAX_STEPS = 10_000_000  # of training
Direction = Literal["minimize", "maximize"]


def to_loss(value: float, direction: Direction) -> float:
    """The loss (always minimised) of a metric's value, and back: it is its own inverse.

    Example:
        >>> to_loss(0.9, "maximize")
        -0.9
    """
    return value if direction == "minimize" else -value


def is_sweep_name(name: Any) -> TypeGuard[str]:
    """Whether a sweep can have this name: 1 to 100 of A-Z a-z 0-9 . _ -, but no folder's name."""
    # "." and ".." mean folders in MLflow's keys.
    return isinstance(name, str) and bool(NAME.fullmatch(name)) and name not in (".", "..")


def is_metric(name: Any) -> TypeGuard[str]:
    """Whether a sweep's metric can have this name."""
    return is_mlflow_key(name) and len(name) <= MAX_METRIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Who proposes, and whether a judge ranks what they propose.

    Attributes:
        settings: What is set of each proposer, and of ``credit``, by name; see
            `lepton_core.proposers.settings`. What is not set has its default.
        replicates: How often the judge has each of the best configurations evaluated in all.
    """

    proposers: tuple[str, ...]
    judge: bool = False
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    replicates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a population trains: a generation is a round, and each member's interval a trial.

    Attributes:
        steps: How many steps each member was first meant to take.
        rounds: In how many rounds. Training may go on beyond them in the same rhythm.

    Example:
        >>> training = Training(steps=1000, rounds=3)
        >>> [training.steps_before(n) for n in range(5)], training.rounds_to(1001)
        ([0, 333, 666, 1000, 1333], 4)
    """

    steps: int
    rounds: int

    def steps_before(self, generation: int) -> int:
        """How many steps each member has taken when a round begins."""
        return generation * self.steps // self.rounds

    def rounds_to(self, steps: int) -> int:
        """How many rounds it takes until each member has taken at least so many steps."""
        return -(-steps * self.rounds // self.steps)

    def to_record(self) -> dict[str, int]:
        """As JSON can hold it."""
        return {"steps": self.steps, "rounds": self.rounds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A sweep's identity, recorded once and never changed.

    Attributes:
        generation: Slots in a full generation.
        start_from: Params to try first. Recorded with the identity but no part of it.
        training: How a population trains; None: every trial is evaluated from the beginning.
    """

    name: str
    space: Space
    seed: int = 0
    generation: int = 8
    metric: str = "loss"
    direction: Direction = "minimize"
    portfolio: Portfolio
    start_from: tuple[Params, ...] = ()
    training: Training | None = None
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
            "portfolio": _portfolio_record(self.portfolio),
            "start_from": [dict(params) for params in self.start_from],
            **({"training": self.training.to_record()} if self.training else {}),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Declaration:
        """The declaration that `to_record` wrote, also after JSON has sorted its keys.

        Raises:
            RecordError: It holds anything that no sweep file could declare.
        """
        fields = Fields(record, "the declaration")
        direction = fields.text("direction")
        if direction not in ("minimize", "maximize"):
            fields.refuse("direction", "minimize or maximize")
        name, metric = fields.text("name"), fields.text("metric")
        if not is_sweep_name(name):
            fields.refuse("name", "a sweep's name")
        if not is_metric(metric):
            fields.refuse("metric", "a metric's name")
        space = _recorded_space(fields)
        return cls(
            schema=fields.whole("schema", 1, SCHEMA),
            name=name,
            space=space,
            seed=fields.whole("seed", 0, MAX_SEED),
            generation=fields.whole("generation", 1, MAX_GENERATION),
            metric=metric,
            direction=direction,  # type: ignore[arg-type]  # one of the two
            portfolio=_recorded_portfolio(fields.below("portfolio")),
            start_from=tuple(_recorded_point(space, p) for p in fields.list("start_from")),
            training=_recorded_training(fields.below("training"))
            if fields.has("training")
            else None,
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


def _portfolio_record(portfolio: Portfolio) -> dict[str, Any]:
    """The portfolio; what was not there in the first release only where it says something."""
    more = {"replicates": portfolio.replicates} if portfolio.replicates > 1 else {}
    return {
        "proposers": list(portfolio.proposers),
        "judge": portfolio.judge,
        "settings": {k: dict(v) for k, v in portfolio.settings.items()},
        **more,
    }


def _recorded_space(fields: Fields) -> Space:
    pairs = fields.list("space")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):  # noqa: PLR2004
            fields.refuse("space", "pairs of a name and what it may be")
    declared = dict(pairs)
    if len(declared) != len(pairs):
        fields.refuse("space", "each name once")
    try:
        return parse_space(declared)
    except InputError as error:
        raise RecordError(
            f"the declaration's {error.message}. Somebody else wrote it, or a newer Lepton did."
        ) from None


def _recorded_portfolio(fields: Fields) -> Portfolio:
    proposers = only(fields.list("proposers"), "the portfolio")
    if not proposers or len(set(proposers)) < len(proposers):
        fields.refuse("proposers", "at least one, each once")
    settings = fields.map("settings") if fields.has("settings") else {}
    below = fields.below("settings") if settings else fields
    return Portfolio(
        proposers=proposers,
        judge=fields.flag("judge"),
        replicates=fields.whole("replicates", 1, MAX_REPLICATES) if fields.has("replicates") else 1,
        settings={
            name: {key: below.below(name).number(key) for key in below.map(name)}
            for name in settings
        },
    )


def _recorded_training(fields: Fields) -> Training:
    steps = fields.whole("steps", 1, MAX_STEPS)
    return Training(steps=steps, rounds=fields.whole("rounds", 1, steps))


def _recorded_point(space: Space, params: Any) -> dict[str, Any]:
    if not isinstance(params, Mapping):
        raise RecordError(f"start_from holds {shown(params)}; expected params")
    try:
        return space.validate(params)
    except InputError as error:
        raise RecordError(f"start_from of the declaration: {error.message}") from None


def _identity(declaration: Declaration) -> dict[str, str]:
    """The parts that make two sweeps the same one, each as text; the space's order is no part."""
    parts: dict[str, Any] = {
        "seed": declaration.seed,
        "generation": declaration.generation,
        "metric": declaration.metric,
        "direction": declaration.direction,
        "portfolio": asdict(declaration.portfolio),
        **({"training": declaration.training.to_record()} if declaration.training else {}),
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
        budget: Its target; without limits there is none, and it goes on night by night for ever.
        objective: ``file.py:function`` beside the sweep file, or ``package.module:function``.
        timeout: Seconds that a trial may take.
        nightly: What one scheduled run may add.
        code_digest: The SHA-256 of the objective's source file, as this driver found it.
        file: The sweep file's name, for people who want to resume.
        hooks: What is called while it is driven.
    """

    budget: Budget
    objective: str | None = None
    workers: int = 1
    timeout: float | None = None
    nightly: Budget | None = None
    code_digest: str | None = None
    file: str | None = None
    hooks: HookReferences = field(default_factory=HookReferences)

    def to_record(self) -> dict[str, Any]:
        """The settings as JSON can hold them; hooks only where there are some."""
        record, hooks = asdict(self), self.hooks.given()
        del record["hooks"]
        return {**record, "hooks": dict(hooks)} if hooks else record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """The settings that `to_record` wrote; keys of a newer version are passed over.

        Raises:
            RecordError: A field is of another type or out of its range.
        """
        fields = Fields(record, "the settings")

        def text(key: str) -> str | None:
            return fields.text(key) if fields.has(key) else None

        return cls(
            budget=_recorded_budget(fields.below("budget")),
            objective=text("objective"),
            workers=fields.whole("workers", 1, MAX_WORKERS) if fields.has("workers") else 1,
            timeout=fields.number("timeout", 0) if fields.has("timeout") else None,
            nightly=_recorded_budget(fields.below("nightly")) if fields.has("nightly") else None,
            code_digest=text("code_digest"),
            file=text("file"),
            hooks=_recorded_hooks(fields.below("hooks"))
            if fields.has("hooks")
            else HookReferences(),
        )


def _recorded_hooks(fields: Fields) -> HookReferences:
    return HookReferences(**{name: fields.text(name) for name in OCCASIONS if fields.has(name)})


def _recorded_budget(fields: Fields) -> Budget:
    return Budget(
        trials=fields.whole("trials", 1, MAX_TRIALS) if fields.has("trials") else None,
        hours=fields.number("hours", 0) if fields.has("hours") else None,
    )
