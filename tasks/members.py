"""The members of a population that trains, as MLflow runs: what people look at.

They are a projection of the seals. What a driver that died did not show, the next one shows, each
point once; and what others do to these runs changes nothing of the sweep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from lepton_core.declaration import Declaration
from lepton_core.events import GenerationSealed, TrialRecord
from lepton_tasks import records, write_points
from lepton_tasks.attempts import find_runs
from lepton_tasks.lookup import run_or_none
from lepton_tasks.seals import Seals
from lepton_tasks.store_client import StoreClient, first_line, passes
from lepton_tasks.untrusted import whole_number

MEMBER = "lepton.member"  # tag: which member
TRAIN_LOSS = "train_loss"
COPIED_FROM = "copied_from"


def find_members(client: StoreClient, experiment_id: str, ledger: str) -> Iterator[Any]:
    """The runs of the members of the sweep with that ledger run, oldest first."""
    condition = f"tags.`{records.KIND}` = 'member' and tags.`{records.LEDGER}` = '{ledger}'"
    return find_runs(client, experiment_id, condition)


class Members:
    """The runs of a population's members. Its ledger's lock is held around every call.

    Args:
        client: The store's client.
        declaration: The sweep's, which trains.
        ledger: The sweep's ledger run.
    """

    def __init__(
        self,
        client: StoreClient,
        declaration: Declaration,
        *,
        ledger: str,
    ) -> None:
        self.client, self.declaration, self.ledger = client, declaration, ledger
        self._runs: dict[int, str] = {}
        self._refused = False

    def start(self, experiment_id: str, parent: str, seals: Seals, now: int, *, new: bool) -> None:
        """Make or take up each member's run, and show what is sealed and not shown.

        Args:
            experiment_id: The sweep's.
            parent: Its parent run, which they are nested in.
            seals: Its history.
            now: The wall clock in milliseconds.
            new: Nobody drove before: there is nothing to find.
        """
        there = {} if new else self._find(experiment_id)
        name, width = self.declaration.name, len(str(self.declaration.generation - 1))
        for member in range(self.declaration.generation):
            run = there.get(member)
            if run is None:
                run = self.client.create_run(
                    write_points.MEMBER_RUN,
                    experiment_id,
                    run_name=f"member-{member:0{max(2, width)}d}",
                    tags={
                        records.KIND: "member",
                        records.SWEEP: name,
                        records.LEDGER: self.ledger,
                        MEMBER: str(member),
                        records.PARENT_RUN: parent,
                    },
                )
            elif run.info.status != "RUNNING":
                point = write_points.MEMBER_RUNNING
                self.client.update_run(point, str(run.info.run_id), "RUNNING")
            self._runs[member] = str(run.info.run_id)
        if len(seals):
            shown = {
                member: self._shown(there[member]) if member in there else 0
                for member in self._runs
            }
            self._catch_up(seals, shown, now)

    def _find(self, experiment_id: str) -> dict[int, Any]:
        """The members' runs that are there; those that were made twice are ended."""
        found: dict[int, Any] = {}
        for run in find_members(self.client, experiment_id, self.ledger):
            member = whole_number(run.data.tags.get(MEMBER))
            if member is None:
                continue
            if found.setdefault(member, run) is not run and run.info.status != "KILLED":
                self.client.set_terminated(
                    write_points.MEMBER_ENDED, str(run.info.run_id), "KILLED"
                )
        return found

    def _shown(self, run: Any) -> int:
        """The last training step that a member's run shows."""
        histories = (
            self.client.get_metric_history(str(run.info.run_id), name)
            for name in run.data.metrics
            if name != COPIED_FROM  # at the beginning of an interval
        )
        return max((point.step for history in histories for point in history), default=0)

    def _catch_up(self, seals: Seals, shown: Mapping[int, int], now: int) -> None:
        training = self.declaration.training
        if training is None:
            return
        # A round is sealed as a whole, so few are not shown: the last one, or all.
        for generation in range(len(seals)):
            after = training.steps_before(generation + 1)
            behind = [member for member, step in shown.items() if step < after]
            if behind:
                seal = seals[generation]
                runs = {member: seal.runs[member] for member in behind}
                self.show(seal.event, self.train_losses(runs, {}), now, only=behind)

    def train_losses(self, runs: Mapping[int, str], known: Mapping[int, float]) -> dict[int, float]:
        """The training losses of a round's trials, by slot: those known, or on their runs."""
        found = dict(known)
        for slot, run_id in runs.items():
            if slot not in known and (run := run_or_none(self.client, run_id)) is not None:
                loss = run.data.metrics.get(TRAIN_LOSS)
                if loss is not None:
                    found[slot] = float(loss)
        return found

    def run_of(self, member: int) -> str | None:
        """A member's run, which those of its trials are nested in."""
        return self._runs.get(member)

    def show(
        self,
        event: GenerationSealed,
        train_losses: Mapping[int, float],
        now: int,
        *,
        only: Sequence[int] | None = None,
    ) -> None:
        """Add a sealed round to the members' curves.

        A run that the store does not take them for, one that was deleted, is told of once.
        """
        from mlflow.entities import Metric  # noqa: PLC0415  (costs a second)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        for trial in event.trials:
            member = trial.proposal.slot
            run_id = self._runs.get(member)
            if run_id is None or (only is not None and member not in only):
                continue
            points = self._points(trial, train_losses.get(member))
            metrics = [Metric(name, value, now, step) for name, value, step in points]
            try:
                self.client.log_batch(write_points.MEMBER_CURVES, run_id, metrics=metrics)
            except MlflowException as error:
                if passes(error):
                    raise
                if not self._refused:
                    why = first_line(error)
                    self.client.say(f"the curves of member {member} cannot be shown: {why}")
                self._refused = True

    def _points(
        self, trial: TrialRecord, train_loss: float | None
    ) -> Iterator[tuple[str, float, int]]:
        """Name, value and training step of what an interval adds to its member's curves."""
        proposal, training = trial.proposal, self.declaration.training
        if training is None:
            return
        after = training.steps_before(proposal.generation + 1)
        found: dict[str, float] = {
            name: value
            for name, value in proposal.params.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        if train_loss is not None and isfinite(train_loss):
            found[TRAIN_LOSS] = train_loss
        if trial.value is not None:
            found[self.declaration.metric] = trial.value
        for name, value in found.items():
            yield name, value, after
        start = proposal.origin.get("from")
        if isinstance(start, int):  # all rounds have as many trials as there are members
            other = start % self.declaration.generation
            if other != proposal.slot:
                yield COPIED_FROM, other, training.steps_before(proposal.generation)

    def end(self, status: str) -> None:
        """The members end as their population does."""
        for run_id in self._runs.values():
            self.client.set_terminated(write_points.MEMBER_ENDED, run_id, status)
