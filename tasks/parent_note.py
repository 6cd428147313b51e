"""What the MLflow UI tells of a sweep, on its parent run."""

from __future__ import annotations

from lepton_core.declaration import Declaration, Settings


def parent_note(declaration: Declaration, settings: Settings) -> str:
    """The parent run's description.

    Args:
        declaration: The sweep's.
        settings: What its first driver works with.
    """
    name, training = declaration.name, declaration.training
    optimizer = f"lepton.Optimizer(name='{name}').{declaration.direction}"
    what, of, nested = "A Lepton sweep", "", "Its trials are the nested runs."
    size = f"generations of {declaration.generation}"
    if training is not None:
        what, size = "A population that trains", f"{declaration.generation} members"
        nested = "Its members are the nested runs; each holds its trials, one for each interval."
        call = f"{optimizer}(train_step, steps={training.steps}, model=model, data=(x, y))"
    elif settings.objective:
        of, call = f" of `{settings.objective}`", f"lepton resume {name}"
    else:  # a function in somebody's process
        call = f"{optimizer}(objective)"
    return (
        f"{what}: {declaration.direction} `{declaration.metric}`{of} over "
        f"{len(declaration.space)} params, seed {declaration.seed}, {size}.\n\n"
        f"{nested} Go on with it: `{call}`; prove its history: `lepton verify {name}`."
    )
