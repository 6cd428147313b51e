"""The user's hooks: functions that a driver calls when something happened to the sweep.

They are called one after another in a thread of their own. No trial waits for them, what they
raise is a warning, and the driver waits for those that are due when it ends, `PATIENCE_S` at most.
"""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from lepton_core.canonical import shown
from lepton_core.declaration import Declaration, to_loss
from lepton_core.errors import DrivenElsewhereError, NothingUsableError, ObjectiveError
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_flows.aside import Aside
from lepton_flows.observer import Driving, Observer
from lepton_tasks.objective import load
from lepton_tasks.redaction import redacted
from lepton_tasks.sweep_yaml import SweepSource

PATIENCE_S = 30.0  # at the end, for all hooks that are due
ALL_FAILED = "AllTrialsFailed"  # as `error` of what a hook is told: no exception has that name

Hook = Callable[[dict[str, Any]], object]


def load_hooks(source: SweepSource) -> Mapping[str, Hook]:
    """The functions that the sweep names, by occasion.

    Raises:
        ObjectiveError: One cannot be imported, or does not take one argument.
    """
    _, settings = source.parse()
    found: dict[str, Hook] = {}
    for occasion, reference in settings.hooks.given().items():
        with source.placing_objective_errors(("hooks", occasion)):
            hook: Any = load(reference, source.folder, what="hook")
            _check_takes_one(hook, reference)
        found[occasion] = hook
    return found


def _check_takes_one(hook: Any, reference: str) -> None:
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # some functions in C have none
        return
    try:
        signature.bind({})
    except TypeError:
        raise ObjectiveError(
            f"found the function {reference}{signature}; expected one that takes one argument, "
            "a dict that says what happened",
            reference=reference,
        ) from None


class Hooks(Observer):
    """Calls the hooks of a sweep that is driven.

    Args:
        hooks: The functions, by occasion.
        declaration: The sweep.
        say: Told what hooks raise, from their thread.
    """

    def __init__(
        self, hooks: Mapping[str, Hook], declaration: Declaration, say: Callable[[str], None]
    ) -> None:
        self._hooks, self._declaration, self._say = hooks, declaration, say
        self._aside = Aside("lepton-hooks", self._raised)
        self._lock = threading.Lock()
        self._driving: Driving | None = None
        self._before: SweepState | None = None
        self._best: TrialRecord | None = None
        self._trials = 0
        self._all_failed = False
        self._calling = ""

    def began(self, driving: Driving) -> None:
        """What is on record is known."""
        self._driving, self._before = driving, driving.state
        self._best, self._trials = driving.state.best, driving.state.trials_done

    def trial_finished(self, record: TrialRecord) -> None:
        """Call `improved`, if it is better than all before."""
        with self._lock:
            self._trials += 1
            best = self._best
            if self._is_better(record):
                self._best = record
                before = None if best is None else best.value
                text = f"{self._metric} {record.value!r}, trial {record.proposal.number}"
                text += "" if before is None else f"; before {before!r}"
                self._call("improved", text, before=before)

    def trial_recalled(self, record: TrialRecord) -> None:
        """An earlier driver has told it."""
        with self._lock:
            self._trials += 1
            if self._is_better(record):
                self._best = record

    def sealed(self, state: SweepState) -> None:
        """Call `failed` if all trials of the generation failed, and did not in the one before."""
        with self._lock:
            before, self._before = self._before, state
            if before is None:
                return
            count = state.trials_done - before.trials_done
            failing = state.failed - before.failed == count
            if failing and not self._all_failed:
                last = state.last_failure
                text = f"all {count} trials of generation {state.generations_done - 1} failed"
                text += f"; the last ({last.kind}): {last.reason}" if last else ""
                self._call("failed", text, error=ALL_FAILED)
            self._all_failed = failing

    def concluded(self, summary: dict[str, Any]) -> None:
        """Call `ended`."""
        target = summary["target"]["trials"]
        of = f" of {target}" if target is not None else ""
        reason = f" ({summary['reason']})" if summary["reason"] else ""
        done = summary["trials"] + summary["open"]
        text = f"{summary['ending']}{reason}: {done}{of} trials"
        with self._lock:
            if self._best is not None:
                text += f"; best {self._best.value!r}, trial {self._best.proposal.number}"
            self._call("ended", text, ending=summary["ending"], added=summary["added"])

    def broken(self, error: Exception) -> None:
        """Call `failed`: the driver ends by this error, unless another driver is the reason."""
        told = self._all_failed and isinstance(error, NothingUsableError)
        if told or isinstance(error, DrivenElsewhereError):
            return
        with self._lock:
            self._call("failed", redacted(str(error)), error=type(error).__name__)

    def close(self) -> None:
        """Wait for the hooks that are due, `PATIENCE_S` at most."""
        if not self._aside.close(PATIENCE_S):
            self._say(
                f"warning: the hook {self._calling} has not returned for {PATIENCE_S:g} s; "
                "it is left, and so is what waits behind it"
            )

    @property
    def _metric(self) -> str:
        return self._declaration.metric

    def _is_better(self, record: TrialRecord) -> bool:
        if record.value is None:
            return False
        best, direction = self._best, self._declaration.direction
        return (
            best is None
            or best.value is None
            or to_loss(record.value, direction) < to_loss(best.value, direction)
        )

    def _call(self, occasion: str, text: str, **more: Any) -> None:
        hook = self._hooks.get(occasion)
        if hook is None:
            return
        driving, best = self._driving, self._best
        told = {
            "kind": occasion,
            "name": self._declaration.name,
            "message": f"sweep {self._declaration.name} {occasion}: {text}",
            "metric": self._metric,
            "direction": self._declaration.direction,
            "trials": self._trials,
            "number": None if best is None else best.proposal.number,
            "value": None if best is None else best.value,
            "params": None if best is None else dict(best.proposal.params),
            "proposer": None if best is None else best.proposal.proposer,
            "store": None if driving is None else driving.place,
            "experiment_id": None if driving is None else driving.experiment_id,
            "run_id": None if driving is None else driving.parent,
            **more,
        }

        def call() -> None:
            self._calling = occasion
            hook(told)

        self._aside.do(call)

    def _raised(self, error: BaseException) -> None:
        what = "".join(traceback.format_exception_only(error)).strip()
        self._say(
            f"warning: the hook {self._calling} raised {redacted(shown(what))}; the sweep goes on"
        )
