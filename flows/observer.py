"""Who watches a sweep while it is driven: a terminal, a log, nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from lepton_core.declaration import Budget, Settings
from lepton_core.errors import LeptonError
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_tasks.redaction import redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving:
    """What is known when the driving begins.

    Attributes:
        resumed: Whether the sweep was there before.
        place: The store, for people.
        parent: The run id of the sweep's parent run.
        night: How far this run may go.
        history: Reads every sealed trial, which takes a second where there are many.
    """

    state: SweepState
    settings: Settings
    resumed: bool
    place: str
    parent: str
    experiment_id: str
    night: Budget = field(default_factory=Budget)
    history: Callable[[], Iterable[TrialRecord]] = tuple


class Observer:
    """Watches and does nothing; subclasses show what they see. Calls may come from any thread."""

    def say(self, message: str) -> None:
        """Something worth a line happened: a wait, a warning."""

    def began(self, driving: Driving) -> None:
        """The lease was won; the first generation follows."""

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial of the open generation has its result."""

    def trial_recalled(self, record: TrialRecord) -> None:
        """A trial of the open generation had its result already, from an earlier driver."""
        self.trial_finished(record)

    def sealed(self, state: SweepState) -> None:
        """A generation was closed."""

    def stopping(self, message: str) -> None:
        """The driver was asked to stop."""

    def ended(self) -> None:
        """The driving is over, however."""

    def concluded(self, summary: dict[str, Any]) -> None:
        """How a sweep ended that was driven, or that needed no driving."""

    def close(self) -> None:
        """Nothing follows, and nobody waits for the sweep: this may take seconds."""


class Observers(Observer):
    """One who says what there is to say, and others who must not harm the sweep.

    Args:
        first: Is told everything, and what fails of the others, once of each.
    """

    def __init__(self, first: Observer, *others: Observer) -> None:
        self._first, self._others = first, others
        self._failed: set[int] = set()

    def _tell(self, call: Callable[[Observer], None]) -> None:
        call(self._first)
        for number, other in enumerate(self._others):
            try:
                call(other)
            except Exception as error:  # noqa: BLE001  (whatever it is: the sweep goes on)
                if number not in self._failed:
                    self._failed.add(number)
                    what = f"{type(other).__name__} failed: {error!r}"
                    if isinstance(error, LeptonError):  # whose message names what it is about
                        what = error.message
                    self._first.say(f"warning: {redacted(what)}")

    def say(self, message: str) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.say(message))

    def began(self, driving: Driving) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.began(driving))

    def trial_finished(self, record: TrialRecord) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.trial_finished(record))

    def trial_recalled(self, record: TrialRecord) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.trial_recalled(record))

    def sealed(self, state: SweepState) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.sealed(state))

    def stopping(self, message: str) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.stopping(message))

    def ended(self) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.ended())

    def concluded(self, summary: dict[str, Any]) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.concluded(summary))

    def close(self) -> None:
        """Tell all of them."""
        self._tell(lambda one: one.close())


observer: ContextVar[Observer | None] = ContextVar("lepton_observer", default=None)
"""Who watches the flows called in this context. A flow's parameter would have to serialise."""
