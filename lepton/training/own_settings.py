"""Spaces that hold what the user wrote: a model's own settings are where its tuning begins."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from lepton.training import generators
from lepton.training.learner import Batch, Evaluate
from lepton_core.canonical import Params, Value, shown
from lepton_core.domains import Choice, Domain, Fixed, Float, Int
from lepton_core.errors import CheckpointError, InputError
from lepton_core.keys import listing
from lepton_core.space import Space

JUDGING = 0
"""The seed of whatever is drawn while a model is judged."""


def around(domain: Float | Int, value: Any) -> tuple[Float | Int, Value]:
    """A domain wide enough for a value, and the value in it.

    Args:
        domain: The usual range.
        value: The user's own. Where it is 0, or no number, and the range has none, the nearest end
            of the range stands for it.

    Example:
        >>> from lepton_core.domains import Float
        >>> around(Float(1e-6, 0.1, log=True), 0.5)[0].text()
        'a number from 1e-06 to 0.5'
        >>> around(Float(1e-6, 0.1, log=True), 0.0)[1]
        1e-06
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return domain, domain.low
    if value > 0 or not domain.log:
        low, high = min(domain.low, value), max(domain.high, value)
        domain = replace(domain, low=low, high=high)  # type: ignore[arg-type]  # whole for an Int
    return domain, domain.validate(min(domain.high, max(domain.low, value)))


def space_around(
    domains: Mapping[str, Domain], own: Mapping[str, Any], start: Params
) -> tuple[Space, Params]:
    """A space of these domains, and a start in it at the model's own settings.

    Args:
        domains: By name.
        own: The model's own settings. Of a choice, the own one is among the choices.
        start: Where to begin with names that the model does not have, or that are choices.
    """
    params: dict[str, Domain] = {}
    at: dict[str, Value] = {}
    for name, domain in domains.items():
        if isinstance(domain, Choice | Fixed) or name not in own:
            params[name], at[name] = domain, start[name]
        else:
            params[name], at[name] = around(domain, own[name])
    space = Space(params)
    return space, {name: at[name] for name in params if space.is_active(name, at)}


def check_names(space: Space, known: Mapping[str, Any], what: str, also: tuple[str, ...]) -> None:
    """See that a user's space names what the model has.

    Args:
        space: The user's.
        known: The model's settings by name.
        what: The model, for the error.
        also: Names that mean something beside them.

    Raises:
        InputError: It names something else.
    """
    for name in space:
        if name not in known and name not in also:
            raise InputError(
                f"the space has {name!r}, which {what} does not; it has {listing(known)}"
                + (f", and there is {listing(also)}" if also else "")
            )


def written(params: Mapping[str, Any], but: Container[str]) -> dict[str, Any]:
    """The parameters of an estimator that JSON can hold, to be compared when training goes on.

    Args:
        params: By name.
        but: Names of those that may be others then.
    """
    kinds = (bool, int, float, str, tuple, list, type(None))
    return {
        name: value
        for name, value in params.items()
        if name not in but and isinstance(value, kinds)
    }


def as_text(params: Any) -> str:
    """As it is written down: a tuple is a list there."""
    return json.dumps(params, default=repr)


def check_same(params: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    """See that an estimator has the parameters that its training began with.

    Args:
        params: Those that it has, as of `written`.
        known: Those it had, as `as_text` wrote them.
        what: The estimator, for the error.

    Raises:
        CheckpointError: One differs.

    Example:
        >>> from lepton.training.own_settings import check_same
        >>> check_same({"layers": (8, 8)}, {"layers": [8, 8]}, "MLPClassifier")
    """
    for name, value in params.items():
        if as_text(known.get(name)) != as_text(value):
            raise CheckpointError(
                f"{name} of {what} is {shown(value)}; this training was begun with "
                f"{shown(known.get(name))}. Go on with the same estimator, or begin under another "
                "name",
                name=name,
            )


def checked_judge(evaluate: Evaluate | None) -> Evaluate | None:
    """The user's `evaluate`.

    Raises:
        InputError: It cannot be called.
    """
    if evaluate is not None and not callable(evaluate):
        raise InputError(f"evaluate is {type(evaluate).__name__}; expected a function, or None")
    return evaluate


def judged(evaluate: Evaluate, model: Any, data: Batch) -> float:
    """What the user's `evaluate` says, with generators that are the same each time.

    Raises:
        InputError: It is no number.
    """
    with generators.seeded(JUDGING):
        found = evaluate(model, *data)
    try:
        return float(found)
    except (TypeError, ValueError):
        raise InputError(f"evaluate returned {shown(found)}; expected the loss, a number") from None
