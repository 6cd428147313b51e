"""``lepton init`` and ``lepton validate``: what comes before the first trial."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from lepton.cli.output import console, print_json, program
from lepton_core.errors import SweepFileError
from lepton_core.events import SweepDeclared
from lepton_core.fold import replay
from lepton_core.plan import plan

TEMPLATES = ("sweep.yaml", "objective.py")


def init(arguments: argparse.Namespace) -> int:
    """Write a commented sweep file and an objective to start from."""
    folder = Path(arguments.folder)
    targets = [folder / name for name in TEMPLATES]
    for target in targets:
        if target.exists():
            raise SweepFileError(
                f"{target} exists; move it, or name another folder: {program()} init FOLDER",
                file=str(target),
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            text = (files("lepton") / "templates" / target.name).read_text(encoding="utf-8")
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SweepFileError(f"cannot write to {folder}: {error.strerror}") from None
    if arguments.json:
        print_json({"files": [str(target) for target in targets]})
        return 0
    out = console()
    for target in targets:
        out.print(f"wrote {target}", soft_wrap=True)
    out.print(f"next: {program()} run {targets[0]}", soft_wrap=True)
    return 0


def validate(arguments: argparse.Namespace) -> int:
    """Check a sweep file and its objective; nothing is evaluated or recorded."""
    from lepton_flows.hooks import load_hooks  # noqa: PLC0415
    from lepton_tasks.pool import Job, working  # noqa: PLC0415
    from lepton_tasks.sweep_yaml import read  # noqa: PLC0415

    source = read(Path(arguments.file))
    declaration, settings = source.parse()
    plan(replay([SweepDeclared(declaration=declaration)]), declaration.generation)
    job = Job(objective=settings.objective or "", folder=source.folder, metric=declaration.metric)
    with working(job, 1) as pool, source.placing_objective_errors():
        pool.check()
    load_hooks(source)
    budget = settings.budget
    if arguments.json:
        print_json(
            {
                "valid": True,
                "name": declaration.name,
                "params": list(declaration.space),
                "searched": list(declaration.space.free),
                "configurations": declaration.space.size,
                "target": {"trials": budget.trials, "hours": budget.hours},
                "objective": settings.objective,
            }
        )
        return 0
    limits = [f"{budget.trials} trials"] if budget.trials else []
    limits += [f"{budget.hours:g} hours"] if budget.hours else []
    limits = limits or ["night by night, for ever"]
    console().print(
        f"{arguments.file} is valid: sweep {declaration.name}, {len(declaration.space)} params to "
        f"search, {' or '.join(limits)}; the objective {settings.objective} can be imported"
    )
    size = declaration.space.size
    if size is not None and budget.trials is not None and size < budget.trials:
        console().print(
            f"the space has {size} configurations, fewer than the budget: the sweep ends when all "
            "of them were tried"
        )
    return 0
