"""Sending an objective from this process to the workers that it starts, and a model back.

A closure or a notebook's function has no file that a worker could import it from, so it is sent as
it is, by cloudpickle. What is unpickled is what this process, or a worker that it started, wrote a
moment ago into a folder that nobody else can write: never anything from the store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle  # noqa: TID251  (see above: nothing of the store's)

from lepton_core.errors import InputError, ObjectiveError
from lepton_tasks.objective import Objective, own_traceback


def pack(objective: Objective) -> bytes:
    """The objective as bytes, with what it uses of its surroundings.

    Raises:
        InputError: It cannot be sent; it names the variable that is to blame, where one is.
    """
    try:
        return cloudpickle.dumps(objective)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001  (whatever its class's own code raises)
        reason = _reason(error)
        culprits = [name for name, value in _used_by(objective).items() if not _can_be_sent(value)]
        of = f", because of its variable {', '.join(map(repr, culprits))}" if culprits else ""
        raise InputError(
            f"the objective cannot be sent to worker processes{of}: {reason}\n"
            "Use workers=1, which calls it in this process, or make there, within the objective, "
            "what cannot be sent: a lock, a connection, an open file.",
            variables=tuple(culprits),
        ) from None


def unpack(file: Path) -> Objective:
    """The objective that `pack` gave, from the file that its bytes were written to.

    Raises:
        ObjectiveError: What it uses cannot be imported here.
    """
    try:
        with file.open("rb") as stream:
            return cloudpickle.load(stream)  # type: ignore[no-any-return]
    except BaseException as error:
        raise ObjectiveError(
            f"the objective cannot be set up in a worker process:\n{own_traceback(error)}"
        ) from error


def keep(model: Any, file: Path) -> str:
    """Write a model for `kept`; returns what was wrong, or nothing."""
    try:
        data = cloudpickle.dumps(model)
    except Exception as error:  # noqa: BLE001  (whatever its class's own code raises)
        return _reason(error)
    file.write_bytes(data)
    return ""


def kept(file: Path) -> Any:
    """The model that a worker kept."""
    with file.open("rb") as stream:
        return cloudpickle.load(stream)


def _used_by(objective: Objective) -> dict[str, Any]:
    """The variables from outside that a function uses, or the attributes of another callable."""
    if not inspect.isfunction(objective):
        return dict(getattr(objective, "__dict__", {}))
    used = inspect.getclosurevars(objective)
    return {**used.globals, **used.nonlocals}


def _can_be_sent(value: Any) -> bool:
    dumps: Callable[[Any], bytes] = cloudpickle.dumps
    try:
        dumps(value)
    except Exception:  # noqa: BLE001  (whatever its class's own code raises)
        return False
    return True


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
