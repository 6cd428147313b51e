"""Who watches a sweep while it is driven: a terminal, a log, nobody."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from lepton_core.declaration import Settings
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving:
    """What is known when the driving begins.

    Attributes:
        resumed: Whether the sweep was there before.
        place: The store, for people.
        parent: The run id of the sweep's parent run.
    """

    state: SweepState
    settings: Settings
    resumed: bool
    place: str
    parent: str
    experiment_id: str


class Observer:
    """Watches and does nothing; subclasses show what they see. Calls may come from any thread."""

    def say(self, message: str) -> None:
        """Something worth a line happened: a wait, a warning."""

    def began(self, driving: Driving) -> None:
        """The lease was won; the first generation follows."""

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial of the open generation has its result."""

    def sealed(self, state: SweepState) -> None:
        """A generation was closed."""

    def stopping(self, message: str) -> None:
        """The driver was asked to stop."""

    def ended(self) -> None:
        """The driving is over, however."""

    def concluded(self, summary: dict[str, Any]) -> None:
        """How a sweep ended that was driven, or that needed no driving."""


observer: ContextVar[Observer | None] = ContextVar("lepton_observer", default=None)
"""Who watches the flows called in this context. A flow's parameter would have to serialise."""
