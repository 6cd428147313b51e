"""What an Optimizer begins with: nothing tried yet, or a recorded sweep as far as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lepton.optimizer.journal import Journal, say
from lepton_core import asking
from lepton_core.asking import Asking
from lepton_core.declaration import Declaration
from lepton_core.errors import InputError, UnknownSweepError
from lepton_core.space import Float
from lepton_core.sweep_file import parse_declaration, parse_name

if TYPE_CHECKING:
    from lepton_tasks.sweep_record import SweepRecord

NAME = "optimizer"  # of a sweep that nobody records
DEFAULTS = {"seed": 0, "generation": 8, "direction": "minimize"}


def begin(content: Mapping[str, Any]) -> tuple[Journal, Asking | None]:
    """The journal and the sweep of what an `Optimizer` was given.

    Without a space there is no sweep yet, unless it is recorded: what trains may bring one.

    Args:
        content: ``name`` and ``space``, either of which may be None, and what else a sweep file
            declares.

    Raises:
        DeclarationError: One of them is wrong.
        IdentityError: The store has another sweep of that name.
        StoreUnreachableError: The store failed.
    """
    name, space = content["name"], content["space"]
    if name is None:
        what = {**content, "name": NAME}
        if space is None:
            _check_without_space(what)
            return Journal(), None
        return Journal(), asking.begin(parse_declaration(what))
    parse_name(name)  # what is wrong with it needs no store to be told
    if space is None:
        _check_without_space(content)
    else:
        parse_declaration(content)
    # Imported late: MLflow takes seconds.
    from lepton.optimizer.mlflow_journal import MlflowJournal, as_recorded, find  # noqa: PLC0415

    record = find(name)
    if record is None:
        begun = asking.begin(parse_declaration(content)) if space is not None else None
        return MlflowJournal(name, None), begun
    _declared(content, record).check_same_identity(record.declaration)
    return MlflowJournal(name, record), as_recorded(record)


def _check_without_space(content: Mapping[str, Any]) -> None:
    """Check all that means something without a space."""
    parse_declaration({**content, "space": {"any": Float(0.0, 1.0)}, "start_from": []})


def _declared(content: Mapping[str, Any], record: SweepRecord) -> Declaration:
    """What was given, with the recorded value of what has its default, hence was not."""
    recorded = record.declaration
    known = {
        "space": recorded.space,
        "seed": recorded.seed,
        "generation": recorded.generation,
        "direction": recorded.direction,
    }
    given = {key: value for key, value in content.items() if not _is_default(key, value)}
    if recorded.training is not None:
        from lepton.training.arguments import portfolio  # noqa: PLC0415  (only to train)

        given.pop("generation", None)  # `minimize` says how many members there are
        if "portfolio" in given:
            given["portfolio"] = portfolio(given["portfolio"])
    found = parse_declaration({**known, **given, "metric": recorded.metric}, recorded=recorded)
    found = replace(found, training=recorded.training)
    if found.start_from and found.start_from != recorded.start_from:
        say(f"start_from is another than that of {recorded.name!r}, which began with its own")
    return found


def _is_default(key: str, value: Any) -> bool:
    return value is None or (key in DEFAULTS and value == DEFAULTS[key])


def no_space(name: str | None) -> InputError:
    """The error that there is nothing to search."""
    if name is None:
        return InputError(
            "no space is given; expected a Space or a mapping of params, such as "
            "{'lr': lepton.Float(0.001, 0.1, log=True)}, or the name of a recorded sweep, "
            "which has one. Without one, a model is tuned while it trains: "
            "minimize(train_step, steps=..., model=model, data=(x, y))"
        )
    from lepton_tasks.store import address  # noqa: PLC0415

    place = address().place
    return UnknownSweepError(
        f"no sweep named {name!r} in {place}; give its space to begin it, as in "
        "Optimizer({'x': lepton.Float(0, 1)}, name=...).\n"
        "MLFLOW_TRACKING_URI says which store; unset, it is mlruns/ of the current directory.",
        name=name,
    )
