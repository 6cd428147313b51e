"""A driver's log in Prefect: lines for people, and the same as fields for programs."""

from __future__ import annotations

import logging
from typing import Any

from prefect.logging import get_run_logger

from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_flows.observer import Driving, Observer


def run_logger(sweep: str, generation: int | None = None, trial: int | None = None) -> Any:
    """The logger of the flow or task run that this is called in, with these fields."""
    fields: dict[str, Any] = {"sweep": sweep, "generation": generation, "trial": trial}
    return get_run_logger(**fields)


class RunLog(Observer):
    """Writes to the log of the run it is called in: a trial's to its task run's, else the flow's.

    Every record has the fields ``sweep``, ``generation`` and ``trial``, the last two None where
    the line is of no single one. Prefect's server keeps the text of a record only; a handler of
    your own sees the fields.

    Args:
        sweep: The sweep's name.
    """

    def __init__(self, sweep: str) -> None:
        self._sweep = sweep
        self._metric = "loss"

    def _log(
        self,
        level: int,
        text: str,
        *values: Any,
        generation: int | None = None,
        trial: int | None = None,
    ) -> None:
        run_logger(self._sweep, generation, trial).log(level, text, *values)

    def say(self, message: str) -> None:
        """A line; a warning if it says so."""
        level = logging.WARNING if message.startswith("warning: ") else logging.INFO
        self._log(level, "%s", message.removeprefix("warning: "))

    def began(self, driving: Driving) -> None:
        """What was found, and where."""
        self._metric = driving.state.declaration.metric
        self._log(
            logging.INFO,
            "%s sweep %s: %d trials done, history in %s, run %s",
            *("going on with" if driving.resumed else "began", self._sweep),
            *(driving.state.trials_done, driving.place, driving.parent),
            generation=driving.state.generations_done,
        )

    def trial_finished(self, record: TrialRecord) -> None:
        """A result, or a failure, which is a warning."""
        proposal, failure = record.proposal, record.failure
        place = {"generation": proposal.generation, "trial": proposal.number}
        text = f"trial {proposal.number} (generation {proposal.generation}, {proposal.proposer})"
        took = f"{record.duration_s:.3g} s"
        if failure is None:
            text += f": {self._metric} {record.value!r} in {took}"
            self._log(logging.INFO, "%s", text, **place)
        else:
            text += f" failed after {took} ({failure.kind}): {failure.reason}"
            self._log(logging.WARNING, "%s", text, **place)

    def trial_recalled(self, record: TrialRecord) -> None:
        """An earlier driver logged it."""

    def sealed(self, state: SweepState) -> None:
        """How far it is, and the best so far."""
        best = "none" if state.best is None else repr(state.best.value)
        generation = state.generations_done - 1
        self._log(
            logging.INFO,
            "generation %d sealed: %d trials, best %s",
            *(generation, state.trials_done, best),
            generation=generation,
        )

    def stopping(self, message: str) -> None:
        """Why it stops."""
        self._log(logging.WARNING, "%s", message)
