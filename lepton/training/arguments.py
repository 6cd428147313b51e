"""What `minimize` was called with to train, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lepton.training.interval import Task
from lepton.training.learner import Learner
from lepton.training.rows import rows_of
from lepton_core.canonical import Params, shown
from lepton_core.declaration import MAX_GENERATION, MAX_STEPS, Declaration, Training
from lepton_core.errors import IdentityError, InputError, SpaceError
from lepton_core.population.proposals import KNOWN
from lepton_core.recorded import is_whole
from lepton_core.space import Space
from lepton_core.sweep_file import parse_declaration
from lepton_core.values import is_number

DEFAULT_ROUNDS = 20
PROPOSERS = ("ga", "pso", "rl")
VALIDATION = 0.2  # the share that is held out


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A training as it is asked for.

    Attributes:
        steps: How many each member is to have taken in all.
        population: How many members; None: not said.
        interval: Steps between two exchanges; None: not said.
    """

    task: Task
    steps: int
    population: int | None = None
    interval: int | None = None


def parse(
    train_step: Any,
    *,
    steps: Any = None,
    model: Any = None,
    data: Any = None,
    validation: Any = VALIDATION,
    evaluate: Any = None,
    population: Any = None,
    interval: Any = None,
    base_optimizer: Any = None,
) -> Wanted:
    """The training that these arguments of `minimize` ask for.

    Raises:
        InputError: One of them is missing or wrong; it says which, and what is expected.
    """
    if steps is None or model is None or data is None:
        missing = "steps" if steps is None else "model" if model is None else "data"
        raise InputError(
            f"{missing} is missing; expected minimize(train_step, steps=..., model=model, "
            "data=(x, y)), where a model is to be tuned while it trains"
        )
    if train_step is not None and not callable(train_step):
        raise InputError(
            f"found {shown(train_step)}; expected a train step: train_step(model, x, y) -> loss"
        )
    if evaluate is not None and not callable(evaluate):
        raise InputError(
            f"evaluate is {shown(evaluate)}; expected a function: evaluate(model, x, y) -> loss"
        )
    parts, held_out = _parts(data, "data"), _validation(validation)
    if isinstance(held_out, tuple) and len(held_out) != len(parts):
        raise InputError(
            f"validation has {len(held_out)} parts, data has {len(parts)}; expected as many: "
            "validation=(x, y) beside data=(x, y)"
        )
    return Wanted(
        task=Task(
            model=model,
            train_step=train_step,
            data=parts,
            validation=held_out,
            evaluate=evaluate,
            base_optimizer=base_optimizer,
        ),
        steps=_whole(steps, "steps", MAX_STEPS),
        population=None if population is None else _whole(population, "population", MAX_GENERATION),
        interval=None if interval is None else _whole(interval, "interval", MAX_STEPS),
    )


def _whole(value: Any, name: str, most: int) -> int:
    found = int(value) if is_number(value) and float(value).is_integer() else None
    if isinstance(value, bool) or found is None or not is_whole(found, most) or found < 1:
        raise InputError(
            f"{name} is {shown(value)}; expected a whole number from 1 to {most}", **{name: value}
        )
    return found


def _parts(data: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(data, tuple | list) or not data:
        raise InputError(
            f"{name} is {shown(type(data))}; expected a tuple of arrays with a row for each "
            "example, such as (x, y)"
        )
    try:
        lengths = [rows_of(part) for part in data]
    except TypeError:
        raise InputError(
            f"{name} holds something without a length; expected arrays with a row for each "
            "example, such as (x, y); what comes as a stream is to be read into arrays first"
        ) from None
    if len(set(lengths)) > 1 or lengths[0] < (2 if name == "data" else 1):
        raise InputError(
            f"{name} has parts of {', '.join(map(str, lengths))} rows; expected as many in each, "
            "and 2 at least",
            lengths=tuple(lengths),
        )
    return tuple(data)


def _validation(value: Any) -> Any:
    if is_number(value) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    if isinstance(value, tuple | list):
        return _parts(value, "validation")
    raise InputError(
        f"validation is {shown(value)}; expected the share of the data to hold out, between 0 and "
        "1, or held-out data, such as (x, y)"
    )


def portfolio(said: Any) -> Any:
    """The portfolio of a training for which this much of one is said.

    Raises:
        InputError: A judge is asked for, or who cannot propose for a population.
    """
    said = said or {}
    if not isinstance(said, Mapping):
        return said
    if said.get("judge"):
        raise InputError(
            "portfolio: judge is true; a judge ranks whole trials, and a population that "
            "trains is judged on held-out data. Leave it out"
        )
    proposers = said.get("proposers")
    for name in proposers if isinstance(proposers, list | tuple) else ():
        if name not in KNOWN:
            raise InputError(
                f"portfolio: found the proposer {shown(name)}; expected some of "
                f"{', '.join(KNOWN)}, which propose for a population that trains"
            )
    return {"proposers": list(PROPOSERS), **said, "judge": False}


def declared(content: Mapping[str, Any], wanted: Wanted, learner: Learner) -> Declaration:
    """The declaration of a training that begins.

    Args:
        content: What the optimizer was made with, by name; a space of None has the learner's.
        wanted: What `minimize` asks for.
        learner: The framework's.

    Raises:
        InputError: Part of it is wrong, or a judge is asked for.
    """
    space = learner.space if content.get("space") is None else content["space"]
    known = parse_declaration(
        {
            **content,
            "space": space,
            "portfolio": portfolio(content.get("portfolio")),
            "generation": wanted.population or content["generation"],
        }
    )
    check_space(learner, known.space)
    return replace(
        known,
        start_from=known.start_from or _start(known.space, learner.start),
        training=Training(steps=wanted.steps, rounds=_rounds(wanted.steps, wanted.interval)),
    )


def check_space(learner: Learner, space: Space) -> None:
    """See that an estimator has what a space names; who writes a train step may name anything.

    Raises:
        InputError: It has not.
    """
    check = getattr(learner, "check_space", None)
    if check is not None:
        check(space)


def _start(space: Space, start: Params) -> tuple[Params, ...]:
    """The framework's defaults as a member's first settings, where they lie in the space."""
    try:
        return (space.validate({name: start[name] for name in space if name in start}),)
    except SpaceError:
        return ()


def check_same(recorded: Declaration, wanted: Wanted) -> None:
    """Do nothing if a training that was begun is the one that is asked for.

    Raises:
        IdentityError: It has another population or another rhythm.
    """
    training = recorded.training
    if training is None:
        raise IdentityError(
            f"the sweep {recorded.name!r} evaluates each trial from the beginning; it cannot go on "
            "with steps=... To train, begin with another optimizer, or under another name",
            name=recorded.name,
        )
    if wanted.population not in (None, recorded.generation):
        raise _differs("population", wanted.population, recorded.generation, recorded.name)
    if wanted.interval is not None and _rounds(training.steps, wanted.interval) != training.rounds:
        known = -(-training.steps // training.rounds)
        raise _differs("interval", wanted.interval, known, recorded.name)


def _rounds(steps: int, interval: int | None) -> int:
    """How many rounds there are to be, none longer than the interval."""
    return min(steps, DEFAULT_ROUNDS) if interval is None else -(-steps // interval)


def _differs(what: str, found: int | None, known: int, name: str) -> IdentityError:
    return IdentityError(
        f"{what} is {found}; this training was begun with {known}. Leave it out, or begin with "
        "another optimizer, or under another name",
        name=name,
    )
