"""What Prefect shows of a sweep: its progress, its best trials, and where its history is.

Each has a key of its own, of which a flow run makes one version, so that the key's page has a line
for each night. All requests are made in a thread of their own, and none of them harms the sweep.
"""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from lepton_core.canonical import digest
from lepton_core.declaration import to_loss
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_core.plan import trials_at_end
from lepton_flows.aside import Aside
from lepton_flows.observer import Driving, Observer
from lepton_tasks.redaction import redacted
from lepton_tasks.store import Address, address

if TYPE_CHECKING:
    from uuid import UUID

PROGRESS, BEST, RUNS = "progress", "best", "runs"
EVERY_S = 5.0  # at least between two updates
PATIENCE_S = 10.0  # at the end, for a server that does not answer
BEST_TRIALS = 5
MAX_COLUMNS = 12  # params in the table
MAX_READ = 10_000  # trials of the history that are read for the table
PLAIN = re.compile(r"[a-z0-9-]+")


def artifact_key(sweep: str, kind: str) -> str:
    """The key of a sweep's artifact: lowercase letters, digits and dashes, as Prefect allows.

    A name that is not made of these gets a part of its digest, so that no two have one key.

    Example:
        >>> artifact_key("churn-xgb", "best"), artifact_key("Churn.XGB", "best")
        ('lepton-churn-xgb-best', 'lepton-churn-xgb-28b60d3b-best')
    """
    if not PLAIN.fullmatch(sweep):
        plain = re.sub(r"[^a-z0-9]+", "-", sweep.lower()).strip("-")
        sweep = f"{plain}-{digest(sweep)[:8]}"
    return f"lepton-{sweep}-{kind}"


class ArtifactObserver(Observer):
    """Keeps a sweep's artifacts as it is now, at seals, every few seconds at most.

    It is made in a flow run, whose artifacts they are.

    Args:
        say: Told, once, what hinders it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._aside, self._say = Aside("lepton-artifacts", self._failed), say
        self._run = _flow_run()
        self._page: _Page | None = None
        self._has_failed = self._is_due = False
        self._next = 0.0

    def began(self, driving: Driving) -> None:
        """Make the artifacts of this flow run."""
        self._page = _Page(driving, self._run)
        self._aside.do(self._page.write_runs)
        self._update(self._page)

    def trial_finished(self, record: TrialRecord) -> None:
        """It counts, and may be among the best."""
        if self._page:
            self._page.add(record)

    def sealed(self, state: SweepState) -> None:
        """Update them, unless they were a moment ago."""
        if self._page:
            self._page.state = state
            if time.monotonic() >= self._next:
                self._update(self._page)

    def ended(self) -> None:
        """Update them for the last time."""
        if self._page:
            self._update(self._page)

    def close(self) -> None:
        """Wait for that, `PATIENCE_S` at most."""
        if not self._aside.close(PATIENCE_S):
            self._failed(TimeoutError(f"no answer for {PATIENCE_S:g} s"))

    def _update(self, page: _Page) -> None:
        def write() -> None:
            self._is_due = False
            page.write()

        self._next = time.monotonic() + EVERY_S
        if not self._is_due:  # a server that is slow gets no queue
            self._is_due = True
            self._aside.do(write)

    def _failed(self, error: BaseException) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._say(
                "warning: the sweep's artifacts cannot be written to Prefect "
                f"({redacted(repr(error))}); the sweep goes on"
            )


class _Page:
    """What is shown of a sweep that is driven. It is written in one thread, and added to in any.

    Attributes:
        state: The sweep, as of the last seal.
    """

    def __init__(self, driving: Driving, flow_run: UUID | None) -> None:
        self.state = driving.state
        self._driving, self._flow_run = driving, flow_run
        self._ids: dict[str, UUID] = {}
        self._lock = Lock()
        self._results = driving.state.trials_done
        self._best: list[TrialRecord] = []
        if self._results <= MAX_READ:
            self._keep_best(driving.history())
        elif driving.state.best is not None:
            self._keep_best([driving.state.best])

    def add(self, record: TrialRecord) -> None:
        """One more result."""
        with self._lock:
            self._results += 1
            self._keep_best([record])

    def _keep_best(self, records: Iterable[TrialRecord]) -> None:
        direction = self.state.declaration.direction
        self._best = heapq.nsmallest(
            BEST_TRIALS,
            (one for one in (*self._best, *records) if one.value is not None),
            key=lambda one: (to_loss(one.value or 0.0, direction), one.proposal.number),
        )

    def write_runs(self) -> None:
        """Make the artifact that says where the runs are."""
        name = self.state.declaration.name
        text = runs_text(self._driving, address())
        self._put(RUNS, "markdown", text, f"Where the runs of sweep {name} are in MLflow.")

    def write(self) -> None:
        """Make or update the artifacts that change."""
        with self._lock:
            results, best = self._results, self._best
        declaration = self.state.declaration
        target = trials_at_end(self.state, self._driving.settings.budget)
        percent = self._percent(results, target)
        if percent is not None:
            of = "" if target is None else f" of {target}"
            self._put(PROGRESS, "progress", percent, f"{declaration.name}: {results}{of} trials")
        columns = tuple(declaration.space.free)
        said = f"The best of {results} trials of sweep {declaration.name}."
        if len(columns) > MAX_COLUMNS:
            said += f" The first {MAX_COLUMNS} of {len(columns)} params are shown."
        if self._driving.state.trials_done > MAX_READ:
            said += " Of earlier runs only the best is shown."
        rows = best_rows(best, declaration.metric, columns[:MAX_COLUMNS])
        self._put(BEST, "table", json.dumps(rows), said)

    def _percent(self, results: int, target: int | None) -> float | None:
        """How far it is, to the target or, without one, to tonight's; None: that has no number."""
        budget, night = self._driving.settings.budget, self._driving.night
        if target is not None:
            done = results / target
        elif budget.hours is not None:
            done = self.state.driven_s / 3600 / budget.hours
        elif night.trials is not None:
            done = (results - self._driving.state.trials_done) / night.trials
        else:
            return None
        return round(100 * min(1.0, done), 1)

    def _put(self, kind: str, form: str, data: Any, description: str) -> None:
        """Make the artifact, or update this flow run's."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415  (the flows load it)
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate  # noqa: PLC0415

        with get_client(sync_client=True) as client:
            known = self._ids.get(kind)
            if known is not None:
                changed = ArtifactUpdate(data=data, description=description)
                client.update_artifact(artifact_id=known, artifact=changed)
                return
            made = client.create_artifact(
                artifact=ArtifactCreate(
                    key=artifact_key(self.state.declaration.name, kind),
                    type=form,
                    data=data,
                    description=description,
                    flow_run_id=self._flow_run,
                )
            )
            self._ids[kind] = made.id


def _flow_run() -> UUID | None:
    from prefect.context import FlowRunContext  # noqa: PLC0415

    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None


def best_rows(
    best: Iterable[TrialRecord], metric: str, params: Sequence[str]
) -> list[dict[str, Any]]:
    """The table's rows: a trial each, with its params; one that is not active is empty."""
    return [
        {
            "trial": one.proposal.number,
            metric: one.value,
            "proposer": one.proposal.proposer,
            **{f"param {name}": one.proposal.params.get(name, "") for name in params},
        }
        for one in best
    ]


def runs_text(driving: Driving, store: Address) -> str:
    """Where the runs are: a link if the store has pages, else in words. Markdown, no secrets."""
    name, parent = driving.state.declaration.name, driving.parent
    parts = urlsplit(store.tracking_uri)
    if parts.scheme not in ("http", "https"):
        return (
            f"The runs of sweep `{name}` are in `{store.database or store.place}`, below the run "
            f"`{parent}`; `lepton ui` shows them in a browser."
        )
    host = parts.netloc.rpartition("@")[2]
    root = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    page = f"{root}/#/experiments/{driving.experiment_id}/runs/{parent}"
    return f"[The runs of sweep {name} in MLflow]({page})"
