"""Every error that Lepton raises on purpose.

::

    LeptonError
      InputError (ValueError)      something the user wrote is wrong          exit 2
        SpaceError                 a bad param, or a value outside the space
        DeclarationError           a bad key in the sweep file or dict
        IdentityError              another sweep already has this name
        ObjectiveError             the objective cannot be found or imported
        UnknownSweepError          no sweep of that name in the store
        SweepFileError             the file itself: missing, not YAML, ambiguous
        ExportFileError            an exported sweep that cannot be read or written
        UnfinishedImportError      a sweep whose import was begun and is not done
        MissingExtraError          an optional library is not installed (ImportError too)
      SweepError                   an illegal step: a trial told twice, untold trials
      NothingUsableError           no trial gave a usable result              exit 3
      DrivenElsewhereError         another driver holds the lease             exit 4
        LeaseLostError             our own lease was taken by another driver
      RecordError                  the ledger holds something it must not     exit 5
        CheckpointError            a checkpoint that is missing, or of another model
      StoreUnreachableError        the tracking store does not answer         exit 7

Each carries the values it speaks of as attributes, survives pickling between processes, and its
message says what was found, what was expected and what to do next; a terminal obeys nothing in
it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lepton_core.canonical import visible


class LeptonError(Exception):
    """The root of Lepton's own errors.

    Args:
        message: What was found, what was expected, what to do next.
        **values: The values spoken of; they become attributes.

    Example:
        >>> error = LeptonError("seed is -1; expected 0 or more", found=-1)
        >>> error.found
        -1
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **values: Any) -> None:
        message = visible(message)  # it may quote what somebody else wrote
        super().__init__(message)
        self.message = message
        self.values = values
        for name, value in values.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Keep type checkers content about attributes that came as values."""
        raise AttributeError(f"{type(self).__name__} carries no value named {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and values, so that attributes survive process borders."""
        return _rebuild, (type(self), self.message, self.values)


def _rebuild(kind: type[LeptonError], message: str, values: dict[str, Any]) -> LeptonError:
    return kind(message, **values)


class InputError(LeptonError, ValueError):
    """Something the user wrote is wrong. Retrying does not help; changing it does."""

    exit_code = 2


class SpaceError(InputError):
    """A param is declared wrongly, or a value lies outside the space."""


class DeclarationError(InputError):
    """A key of the sweep file (or dict) is wrong.

    Attributes:
        path: Where, as a tuple of keys, such as ``("space", "lr", "low")``.
        problem: The message without the place.
    """

    def __init__(self, problem: str, path: tuple[str | int, ...] = (), **values: Any) -> None:
        where = path_text(path)
        super().__init__(f"{where}: {problem}" if where else problem, **values)
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the problem, as the message is made from it."""
        return _rebuild_declaration, (type(self), self.problem, self.path, self.values)


def _rebuild_declaration(
    kind: type[DeclarationError], problem: str, path: tuple[str | int, ...], values: dict[str, Any]
) -> DeclarationError:
    return kind(problem, path, **values)


def path_text(path: tuple[str | int, ...]) -> str:
    """The place of a key as people write it.

    Example:
        >>> path_text(("start_from", 0, "lr"))
        'start_from[0].lr'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class IdentityError(InputError):
    """A sweep of this name exists with another space, seed or other part of its identity."""


class ObjectiveError(InputError):
    """The objective, or a hook, cannot be found, imported or called."""


class UnknownSweepError(InputError):
    """The store holds no sweep of that name."""


class SweepFileError(InputError):
    """The sweep file is missing, unreadable, not YAML, or not the only one of its name."""


class ExportFileError(InputError):
    """A file is no export of a sweep, is cut or altered, or cannot be written."""


class UnfinishedImportError(InputError):
    """The sweep's import was begun and is not done: nobody may drive it before."""


class MissingExtraError(InputError, ImportError):
    """A library that a part of Lepton works with is not installed."""


class SweepError(LeptonError):
    """An illegal step, such as telling a trial twice."""

    exit_code = 2


class NothingUsableError(LeptonError):
    """No trial gave a usable result."""

    exit_code = 3


class DrivenElsewhereError(LeptonError):
    """Another driver holds the sweep's lease. Retrying helps once it has ended."""

    exit_code = 4


class LeaseLostError(DrivenElsewhereError):
    """This driver's lease was taken over; nothing it does from now on counts."""


class RecordError(LeptonError):
    """The ledger holds something that Lepton did not write, or not in this form."""

    exit_code = 5


class CheckpointError(RecordError):
    """A checkpoint that training is to go on from is missing, damaged, or of another model."""


class StoreUnreachableError(LeptonError):
    """The tracking store does not answer, or cannot be written. Retrying may help."""

    exit_code = 7
