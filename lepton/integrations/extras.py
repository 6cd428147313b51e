"""What every callback checks first: that its library is installed, that it is given a trial."""

from __future__ import annotations

from typing import Any

from lepton_core.canonical import shown
from lepton_core.errors import InputError, MissingExtraError
from lepton_core.trial import Trial

__all__ = ()  # the callbacks are what users import


def missing(module: str, error: ImportError, extra: str | None = None) -> MissingExtraError:
    """The error that a library is not installed, with what to do about it.

    Args:
        module: The module here that needs it.
        error: What importing the library raised.
        extra: The extra of Lepton that installs it, if that is not called as the module.
    """
    extra = extra or module
    return MissingExtraError(
        f"lepton.integrations.{module} needs a library that is not installed ({error}); "
        f"install it: pip install 'lepton-tuning[{extra}]'",
        extra=extra,
    )


def checked_trial(trial: Any) -> Trial:
    """The trial that a callback is to report to.

    Raises:
        InputError: It is none.
    """
    if not isinstance(trial, Trial):
        raise InputError(
            f"found {shown(trial)} ({type(trial).__name__}); expected the trial that the "
            "objective was given"
        )
    return trial


def checked_name(name: Any, argument: str) -> str:
    """The name of what is to be reported.

    Raises:
        InputError: It is no text.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"{argument} is {shown(name)}; expected a metric's name")
    return name
