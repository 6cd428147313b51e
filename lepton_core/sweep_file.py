"""From a sweep file's content (plain dicts and values) to a `Declaration` and its `Settings`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from lepton_core.canonical import shown
from lepton_core.credit import Credit
from lepton_core.declaration import (
    MAX_GENERATION,
    MAX_METRIC,
    MAX_REPLICATES,
    MAX_SEED,
    MAX_TRIALS,
    MAX_WORKERS,
    Budget,
    Declaration,
    Portfolio,
    Settings,
    is_metric,
    is_sweep_name,
)
from lepton_core.errors import DeclarationError, SpaceError
from lepton_core.hooks import OCCASIONS, HookReferences
from lepton_core.keys import Path, check_keys
from lepton_core.pools import JUDGED_PROPOSERS, POOLS
from lepton_core.portfolio import CREDIT
from lepton_core.proposers import PROPOSERS, UNJUDGED_PROPOSERS
from lepton_core.proposers.settings import clash_of, settings_of
from lepton_core.space import Space
from lepton_core.space_file import at_path, parse_space
from lepton_core.values import is_number

NEEDED = ("name", "objective", "space")
OPTIONAL = (
    "budget",  # needed where `nightly` is missing
    "metric",
    "direction",
    "generation",
    "workers",
    "seed",
    "timeout",
    "start_from",
    "portfolio",
    "nightly",
    "hooks",
)
OWN_KEYS = ("proposers", "judge", "replicates")  # of a portfolio; others are its members'
OBJECTIVE = re.compile(r"(?P<where>[^:]+(?:\.py)?):(?P<function>[A-Za-z_]\w*)")


def parse_sweep(
    content: Any, *, recorded: Declaration | None = None
) -> tuple[Declaration, Settings]:
    """The sweep that a file declares.

    Args:
        content: The file's content, or the same as a Python dict.
        recorded: The sweep of that name as the ledger has it, if it exists: a portfolio that the
            file does not name is the recorded one, so that new defaults change no old sweep.

    Raises:
        DeclarationError: The first wrong key: where, what was found, what is allowed.
    """
    if not isinstance(content, Mapping):
        raise DeclarationError(
            f"found {type(content).__name__}; expected a mapping with the keys "
            f"{', '.join(NEEDED)}, budget"
        )
    check_keys(content, (), needed=NEEDED, optional=OPTIONAL)
    budget, nightly, hooks = (content.get(key) for key in ("budget", "nightly", "hooks"))
    if "budget" not in content and nightly is None:
        raise DeclarationError(
            "'budget' is missing; expected such as {trials: 64}, a target, or else nightly, which "
            "each scheduled run may add for ever",
            missing="budget",
        )
    declaration = parse_declaration(content, recorded=recorded)
    timeout = content.get("timeout")
    settings = Settings(
        budget=_budget(budget, ("budget",)) if "budget" in content else Budget(),
        objective=_reference(content["objective"], ("objective",)),
        workers=parse_workers(content.get("workers", 1)),
        timeout=None if timeout is None else _positive(timeout, ("timeout",), "seconds"),
        nightly=None if nightly is None else _budget(nightly, ("nightly",)),
        hooks=HookReferences() if hooks is None else _hooks(hooks),
    )
    return declaration, settings


def parse_declaration(
    content: Mapping[str, Any], *, recorded: Declaration | None = None
) -> Declaration:
    """What is declared once and for ever: the part of `parse_sweep` that an `Optimizer` has too.

    Args:
        content: A mapping with ``name`` and ``space`` at least; other keys are not looked at.
        recorded: As of `parse_sweep`.

    Raises:
        DeclarationError: The first wrong key.
    """
    space = parse_space(content["space"])
    return Declaration(
        name=parse_name(content["name"]),
        space=space,
        seed=_whole(content.get("seed", 0), ("seed",), 0, MAX_SEED),
        generation=_whole(content.get("generation", 8), ("generation",), 1, MAX_GENERATION),
        metric=_metric(content.get("metric", "loss")),
        direction=_direction(content.get("direction", "minimize")),
        portfolio=_portfolio(content.get("portfolio"), recorded),
        start_from=_start_from(content.get("start_from", []), space),
    )


def parse_name(name: Any) -> str:
    """A sweep's name, if it is usable as one.

    Raises:
        DeclarationError: It is not 1 to 100 of the allowed characters.
    """
    if not is_sweep_name(name):
        raise DeclarationError(
            f"found {shown(name)}; expected 1 to 100 of A-Z a-z 0-9 . _ -", ("name",), found=name
        )
    return name


def parse_workers(workers: Any) -> int:
    """A number of workers, if it is usable as one.

    Raises:
        DeclarationError: It is no whole number from 1 to `MAX_WORKERS`.
    """
    return _whole(workers, ("workers",), 1, MAX_WORKERS)


def parse_trials(trials: Any, path: Path = ("trials",)) -> int:
    """A number of trials to aim at, if it is usable as one.

    Raises:
        DeclarationError: It is no whole number from 1 to `MAX_TRIALS`.
    """
    return _whole(trials, path, 1, MAX_TRIALS)


def _metric(metric: Any) -> str:
    if not is_metric(metric):
        raise DeclarationError(
            f"found {shown(metric)}; expected a metric's name: letters, digits, _ . - : / and "
            f"spaces, 1 to {MAX_METRIC} characters, as MLflow allows",
            ("metric",),
        )
    return metric


def _direction(direction: Any) -> Any:
    if not isinstance(direction, str) or direction not in ("minimize", "maximize"):
        raise DeclarationError(
            f"found {shown(direction)}; expected minimize or maximize", ("direction",)
        )
    return direction


def _reference(reference: Any, path: Path) -> str:
    if not (
        isinstance(reference, str) and reference.isprintable() and OBJECTIVE.fullmatch(reference)
    ):
        raise DeclarationError(
            f"found {shown(reference)}; expected FILE.py:FUNCTION beside the sweep file, "
            "or PACKAGE.MODULE:FUNCTION",
            path,
            found=reference,
        )
    return reference


def _hooks(declared: Any) -> HookReferences:
    path: Path = ("hooks",)
    if not isinstance(declared, Mapping) or not declared:
        raise DeclarationError(
            f"found {shown(declared)}; expected such as {{improved: hooks.py:tell}}", path
        )
    check_keys(declared, path, needed=(), optional=OCCASIONS)
    return HookReferences(
        **{occasion: _reference(found, (*path, occasion)) for occasion, found in declared.items()}
    )


def _budget(declared: Any, path: Path) -> Budget:
    if not isinstance(declared, Mapping) or not declared:
        raise DeclarationError(f"found {shown(declared)}; expected such as {{trials: 64}}", path)
    check_keys(declared, path, needed=(), optional=("trials", "hours"))
    trials, hours = declared.get("trials"), declared.get("hours")
    if trials is None and hours is None:
        raise DeclarationError("sets no limit; expected trials, hours or both", path)
    return Budget(
        trials=None if trials is None else parse_trials(trials, (*path, "trials")),
        hours=None if hours is None else _positive(hours, (*path, "hours"), "hours"),
    )


def _portfolio(declared: Any, recorded: Declaration | None) -> Portfolio:
    """The portfolio with every setting written out, so that new defaults change no old sweep.

    What the file does not name is the recorded one's, where there is one.
    """
    path: Path = ("portfolio",)
    if declared is None:
        declared = {}
    elif not isinstance(declared, Mapping):
        raise DeclarationError(
            f"found {shown(declared)}; expected such as {{proposers: [ga, rl]}}", path
        )
    members = dict.fromkeys((*POOLS, *PROPOSERS))
    check_keys(declared, path, needed=(), optional=(*OWN_KEYS, CREDIT, *members))
    judge = declared.get("judge", recorded.portfolio.judge if recorded else True)
    if not isinstance(judge, bool):
        raise DeclarationError(f"found {shown(judge)}; expected true or false", (*path, "judge"))
    before = Portfolio(proposers=JUDGED_PROPOSERS if judge else UNJUDGED_PROPOSERS, judge=judge)
    if recorded and recorded.portfolio.judge == judge:
        before = recorded.portfolio
    listed = declared.get("proposers", list(before.proposers))
    names = _proposers(listed, judge=judge, path=(*path, "proposers"))
    kinds: dict[str, Any] = {} if judge else {CREDIT: Credit}
    if not judge:
        kinds |= {name: PROPOSERS[name] for name in names if settings_of(PROPOSERS[name])}
    for name in declared:
        if name not in (*kinds, *OWN_KEYS):
            raise DeclarationError(f"{name} {_why_not(name, names, judge=judge)}", (*path, name))
    return Portfolio(
        proposers=names,
        judge=judge,
        replicates=_replicates(declared.get("replicates", before.replicates), judge=judge),
        settings={
            name: _settings(kind, declared.get(name), before.settings.get(name, {}), (*path, name))
            for name, kind in kinds.items()
        },
    )


def _replicates(value: Any, *, judge: bool) -> int:
    path = ("portfolio", "replicates")
    wanted = _whole(value, path, 1, MAX_REPLICATES)
    if wanted > 1 and not judge:
        raise DeclarationError("needs a judge, which says what is evaluated again", path)
    return wanted


def _why_not(name: str, names: tuple[str, ...], *, judge: bool) -> str:
    """Why a portfolio cannot set anything of a member."""
    if judge and (name in names or name == CREDIT):
        return "has no settings under a judge; take it out, or add judge: false"
    if name in names:
        return "has no settings; take it out"
    return "is no proposer of this sweep; take it out"


def _proposers(names: Any, *, judge: bool, path: Path) -> tuple[str, ...]:
    known = tuple(POOLS if judge else PROPOSERS)
    allowed = f"expected a list of at least one of {', '.join(known)}"
    if not isinstance(names, list | tuple) or not names:
        raise DeclarationError(f"found {shown(names)}; {allowed}", path)
    for i, name in enumerate(names):
        if not isinstance(name, str) or name not in known:
            other = isinstance(name, str) and name in (PROPOSERS if judge else POOLS)
            under = f" {'under' if judge else 'without'} a judge" if other else ""
            raise DeclarationError(f"found {shown(name)}; {allowed}{under}", (*path, i))
        if name in names[:i]:
            raise DeclarationError(f"{shown(name)} is listed twice", (*path, i))
    return tuple(names)


def _settings(
    kind: Any, declared: Any, before: Mapping[str, float], path: Path
) -> dict[str, float]:
    """All settings of one kind: as declared, as recorded, or the default."""
    known = settings_of(kind)
    if declared is None:
        declared = {}
    elif not isinstance(declared, Mapping):
        raise DeclarationError(
            f"found {shown(declared)}; expected a mapping of {', '.join(known)}", path
        )
    check_keys(declared, path, needed=(), optional=tuple(known))
    values: dict[str, float] = {}
    for name, one in known.items():
        value = declared.get(name, before.get(name, one.default))
        if isinstance(one.default, int):
            values[name] = _whole(value, (*path, name), int(one.low), int(one.high))
        elif is_number(value) and one.low <= value <= one.high:
            values[name] = float(value)
        else:
            raise DeclarationError(
                f"found {shown(value)}; expected a number from {one.low} to {one.high}",
                (*path, name),
                found=value,
            )
    clash = clash_of(kind, values)
    if clash:
        raise DeclarationError(clash.problem, (*path, clash.name), found=values[clash.name])
    return values


def _start_from(declared: Any, space: Space) -> tuple[dict[str, Any], ...]:
    if not isinstance(declared, list | tuple):
        raise DeclarationError(
            f"found {shown(declared)}; expected a list of params", ("start_from",)
        )
    points: dict[str, dict[str, Any]] = {}
    for i, params in enumerate(declared):
        path: Path = ("start_from", i)
        if not isinstance(params, Mapping):
            raise DeclarationError(f"found {shown(params)}; expected a mapping of params", path)
        try:
            point = space.validate(params)
        except SpaceError as error:
            raise at_path(error, path) from None
        key = space.key(point)
        if key in points:
            earlier = list(points).index(key)
            raise DeclarationError(f"the same params as start_from[{earlier}]", path)
        points[key] = point
    return tuple(points.values())


def _whole(value: Any, path: Path, low: int, high: int) -> int:
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DeclarationError(
            f"found {shown(value)}; expected a whole number from {low} to {high}", path, found=value
        )
    return value


def _positive(value: Any, path: Path, unit: str) -> float:
    if not is_number(value) or not value > 0:
        raise DeclarationError(
            f"found {shown(value)}; expected a number of {unit} above 0", path, found=value
        )
    return float(value)
