"""The commands that show a sweep: ``status``, ``list`` and ``best``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lepton.cli.output import (
    best_text,
    console,
    number_text,
    param_rows,
    param_text,
    plain,
    print_json,
    program,
    shares_text,
    trials_text,
    two_columns,
)
from lepton_core.errors import RecordError, UnfinishedImportError
from lepton_core.fold import SweepState
from lepton_core.portfolio import shares
from lepton_tasks.sweep_record import SweepRecord, open_record

if TYPE_CHECKING:
    from lepton_core.events import TrialRecord
    from lepton_tasks.store import Store

STATUS_KEYS = (
    *("name", "state", "driver", "trials", "failed", "generations", "open", "target", "exhausted"),
    "training",
    *("driven_s", "best", "proposers", "judge", "shares", "store", "run_id"),
)


def status(arguments: argparse.Namespace) -> int:
    """Show how far a sweep is and who drives it."""
    from lepton_tasks.store import reachable  # noqa: PLC0415

    record = open_record(arguments.name)
    with reachable(record.store.address.place):
        content = _status(record)
    if arguments.json:
        print_json(content)
        return 0
    best, driver = content["best"], content["driver"]
    done = trials_text(
        content["trials"], content["target"]["trials"], exhausted=content["exhausted"]
    )
    training = content["training"]
    rows = {
        "sweep": content["name"],
        "state": content["state"] + (f" by {driver}" if driver else ""),
        **({"trained": _trained_text(training)} if training else {}),
        "trials": f"{done}; {content['failed']} failed",
        "generation": f"{content['generations']} sealed, {content['open']} trials of the next done",
        "best": "none yet" if best is None else best_text(best),
        "proposed by": ", ".join(f"{n} {c}" for n, c in content["proposers"].items()) or "-",
        "chosen lately" if content["judge"] else "next slots": shares_text(content["shares"]),
        "history": content["store"],
    }
    console().print(two_columns(rows))
    return 0


def _status(record: SweepRecord) -> dict[str, Any]:
    from lepton_core.plan import untried  # noqa: PLC0415
    from lepton_tasks.attempts import open_slots  # noqa: PLC0415
    from lepton_tasks.lease import holder, is_driven, who  # noqa: PLC0415

    state = record.state
    held = holder(record.params, record.tags)
    driven = is_driven(record.params, record.tags)
    slots = open_slots(record.attempts(state.generations_done), record.head)
    budget = state.settings.budget if state.settings else None
    begun = any(slot.proposal is not None for slot in slots.values())
    at_target = not begun and _at_target(state)  # what was begun is finished, whatever the target
    return {
        "name": record.entry.name,
        "state": "driven" if driven else "finished" if at_target else "stopped",
        "driver": who(held.claim) if held and driven else None,
        "trials": state.trials_done,
        "failed": state.failed,
        "generations": state.generations_done,
        "open": sum(slot.result is not None for slot in slots.values()),
        "target": {
            "trials": budget.trials if budget else None,
            "hours": budget.hours if budget else None,
        },
        "exhausted": untried(state) == 0,
        "training": _training(state),
        "driven_s": state.driven_s,
        "best": _best(state.best),
        "proposers": dict(state.proposed),
        "judge": state.declaration.portfolio.judge,
        "shares": shares(state.portfolio, state.declaration),
        "store": record.store.address.place,
        "run_id": record.parent,
    }


def _training(state: SweepState) -> dict[str, int] | None:
    """How far a population has come, which trains; None for any other sweep."""
    declaration, training = state.declaration, state.declaration.training
    if training is None:
        return None
    target = state.settings.budget.trials if state.settings else None
    members = declaration.generation
    rounds = training.rounds if target is None else -(-target // members)
    return {
        "steps": training.steps_before(state.generations_done),
        "target": training.steps_before(rounds),
        "rounds": rounds,
        "members": members,
    }


def _trained_text(training: Mapping[str, int]) -> str:
    """How far a population has come, for people.

    Example:
        >>> _trained_text({"steps": 450, "target": 1000, "rounds": 20, "members": 8})
        '450 of 1000 steps by each of 8 members, in 20 rounds'
    """
    return (
        f"{training['steps']} of {training['target']} steps by each of {training['members']} "
        f"members, in {training['rounds']} rounds"
    )


def _at_target(state: SweepState) -> bool:
    from lepton_core.plan import slots_left  # noqa: PLC0415

    return state.settings is not None and slots_left(state, state.settings.budget) == 0


def list_(arguments: argparse.Namespace) -> int:
    """List the store's sweeps."""
    from lepton_tasks import register, store  # noqa: PLC0415

    where = store.address()
    sweeps: list[dict[str, Any]] = []
    if store.exists(where):
        opened = store.connect(where)
        with store.reachable(where.place):
            known = register.texts(opened)
            sweeps.extend(_listed(opened, name, text) for name, text in known.items())
    if arguments.json:
        print_json({"store": where.place, "sweeps": sweeps})
        return 0
    if not sweeps:
        console().print(f"no sweeps in {where.place}; begin with '{program()} init'")
        return 0
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("sweep", "state", "trials", "best", "by"):
        table.add_column(heading, overflow="fold")
    for sweep in sweeps:
        best, target = sweep["best"], sweep["target"]["trials"]
        done = f"{sweep['trials']}/{target}" if target else str(sweep["trials"] or "-")
        found = ("-", "-") if best is None else (number_text(best["value"]), best["proposer"])
        short = sweep["exhausted"] and sweep["state"] == "finished" and sweep["trials"] != target
        state = "finished: all tried" if short else sweep["state"]
        table.add_row(*map(plain, (sweep["name"], state, done, *found)))
    console().print(table)
    return 0


def _listed(opened: Store, name: str, text: str) -> dict[str, Any]:
    """A sweep's status; of one whose record was altered, that it was: the others are listed."""
    from lepton_tasks.register import read_entry  # noqa: PLC0415

    try:
        return _status(SweepRecord(opened, read_entry(name, text)))
    except (RecordError, UnfinishedImportError) as error:
        unfinished = isinstance(error, UnfinishedImportError)
        unknown = dict.fromkeys(STATUS_KEYS)
        target = {"trials": None, "hours": None}
        return {
            **unknown,
            "name": name,
            "state": "being imported" if unfinished else f"altered: {error.message}",
            "target": target,
        }


def best(arguments: argparse.Namespace) -> int:
    """Show the best trial: recommended, and lowest observed."""
    from lepton_core.errors import NothingUsableError  # noqa: PLC0415

    record = open_record(arguments.name)
    state = record.state
    found = _best(state.best)
    if found is None:
        raise NothingUsableError(
            f"sweep {arguments.name!r} has no usable trial yet "
            f"({state.trials_done} trials in sealed generations)",
            name=arguments.name,
        )
    found["run_id"] = record.seals.runs(found["generation"])[found["slot"]]
    advised = _recommended(record) or found
    led = _schedule(record, advised["number"])
    if arguments.json:
        content = {"name": arguments.name, "recommended": advised, "lowest": found}
        print_json(content if led is None else {**content, "schedule": led})
        return 0
    if led is not None:
        _print_schedule(advised, led)
        return 0
    same = advised["number"] == found["number"]
    out = console()
    rows = {"recommended": best_text(advised), **param_rows(advised["params"])}
    rows["lowest"] = "the same trial" if same else best_text(found)
    out.print(two_columns(rows))
    if not same:
        out.print(
            "They differ because the losses look noisy: the lowest may be partly luck.", style="dim"
        )
    return 0


def _schedule(record: SweepRecord, number: int) -> list[dict[str, Any]] | None:
    """What led to a trial's model, where a population trains."""
    from lepton_core.events import sealed_trials  # noqa: PLC0415
    from lepton_core.population.schedule import schedule  # noqa: PLC0415

    training = record.declaration.training
    if training is None:
        return None
    return schedule(sealed_trials(record.events), number, training)


def _print_schedule(best: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    """The settings that led to the best model, a line for each that they were kept for."""
    from rich.table import Table  # noqa: PLC0415

    out = console()
    out.print(two_columns({"recommended": best_text(best), "trained": "with these settings"}))
    names = list(dict.fromkeys(name for row in rows for name in row["settings"]))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("steps", "loss", *names):
        table.add_column(plain(heading), overflow="fold")
    for settings, kept in groupby(rows, key=lambda row: row["settings"]):
        intervals = list(kept)
        first, last = intervals[0], intervals[-1]
        steps = f"{first['from_step']} - {last['to_step']}"
        values = (param_text(settings.get(name)) for name in names)
        table.add_row(*map(plain, (steps, number_text(last["loss"]), *values)))
    out.print(table)


def _recommended(record: SweepRecord) -> dict[str, Any] | None:
    """The trial to use, as `_best` shows one."""
    from lepton_core.recommendation import recommended  # noqa: PLC0415

    number = recommended(record.state)
    if number is None:
        return None
    generation = record.seals.generation_of(number)
    trials = record.seals[generation].event.trials
    found = _best(next(one for one in trials if one.proposal.number == number))
    if found is not None:
        found["run_id"] = record.seals.runs(generation)[found["slot"]]
    return found


def _best(trial: TrialRecord | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    proposal = trial.proposal
    return {
        "number": proposal.number,
        "generation": proposal.generation,
        "slot": proposal.slot,
        "value": trial.value,
        "params": dict(proposal.params),
        "proposer": proposal.proposer,
        "seed": proposal.seed,
    }
