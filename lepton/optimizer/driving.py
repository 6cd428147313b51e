"""Evaluating an Optimizer's trials: in this process one by one, or side by side in workers."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

from lepton.optimizer.bars import Bar
from lepton.optimizer.journal import Journal, Metrics, say, stopped
from lepton.progress_text import done_text
from lepton.training.course import Course
from lepton_core import asking
from lepton_core.asking import Asking
from lepton_core.canonical import digest
from lepton_core.declaration import Budget, Settings
from lepton_core.errors import InputError, NothingUsableError, SweepError
from lepton_core.events import GenerationSealed, Proposal, TrialRecord, shared_failure
from lepton_core.plan import untried
from lepton_core.reporting import Reporter
from lepton_tasks.attempts import FAILED, FINISHED, KILLED
from lepton_tasks.in_process import InProcessEvaluator
from lepton_tasks.models import Models
from lepton_tasks.objective import Objective, Outcome
from lepton_tasks.pool import Job, working
from lepton_tasks.sending import pack
from lepton_tasks.stop_signals import Interrupts
from lepton_tasks.trial import AroundEvaluator, Evaluator, StopSignal, run_slot


class Heard(AroundEvaluator):
    """An evaluator whose outcomes' other metrics are remembered, by trial."""

    def __init__(self, evaluator: Evaluator, metrics: dict[int, Metrics]) -> None:
        super().__init__(evaluator)
        self.metrics = metrics

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """As the evaluator does."""
        outcome, duration = super().evaluate(proposal, run_id, key, reporter)
        self.metrics[proposal.number] = outcome.metrics
        return outcome, duration


def side_by_side(
    evaluator: Evaluator, journal: Journal, proposals: Sequence[Proposal], workers: int
) -> Iterator[TrialRecord]:
    """Each trial's record as it comes; none of one that was stopped with the driver."""

    def work(proposal: Proposal) -> TrialRecord | None:
        slot = journal.slot(proposal)
        return run_slot(journal.ledger, evaluator, proposal, slot, journal.stop)

    if workers == 1:
        yield from filter(None, map(work, proposals))
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="lepton-trial") as threads:
        running = [threads.submit(work, proposal) for proposal in proposals]
        try:
            for done in as_completed(running):
                record = done.result()
                if record is not None:
                    yield record
        except BaseException:
            journal.stop.now("its driver failed")
            evaluator.cancel()
            raise


class Drive:
    """An optimizer's way to a number of trials.

    Args:
        journal: What is written down.
        at: Where the sweep is.
        models: Which models are kept.
        metrics: The other metrics that trials return are added here, by trial.
        course: Where a population trains: what its intervals need.

    Attributes:
        at: Where the sweep has come to, whatever happened.
        last_error: What the objective raised last, in this process.
    """

    def __init__(
        self,
        journal: Journal,
        at: Asking,
        models: Models,
        metrics: dict[int, Metrics],
        course: Course | None = None,
    ) -> None:
        self.journal, self.at, self.models, self.metrics = journal, at, models, metrics
        self.course = course
        self.last_error: BaseException | None = None

    def to(self, target: int, objective: Objective, workers: int, bar: Bar) -> None:
        """As `_to`; Ctrl-C says how far it is."""
        told, failed = self.at.trials_told, self.at.failed
        try:
            self._to(target, objective, workers, bar)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped after {done_text(self.at, target)}, which are kept; call it again to "
                "go on"
            ) from None
        told, failed = self.at.trials_told - told, self.at.failed - failed
        if 2 * failed > told:
            last = next(t.failure for t in reversed(self.at.trials()) if t.failure is not None)
            say(f"{failed} of {told} trials failed; the last: {last.kind}: {last.reason}")

    def _to(self, target: int, objective: Objective, workers: int, bar: Bar) -> None:
        """Evaluate trials until there are so many in all, or no other can be tried.

        Raises:
            KeyboardInterrupt: Ctrl-C; nothing is half done.
            SweepError: Somebody stopped the sweep.
            NothingUsableError: All of the first generation failed for the same reason.
        """
        settings = Settings(
            budget=Budget(trials=target),
            workers=workers,
            code_digest=code_digest(*(self.course.code if self.course else (objective,))),
        )
        with Interrupts() as interrupts, self.journal.driven(), ExitStack() as leaving:
            leaving.enter_context(self.journal.reachable())
            evaluator = leaving.enter_context(self._evaluator(objective, workers, interrupts))
            self.at = self.journal.open(self.at, settings)
            status, out_before = KILLED, self.at.out
            try:
                stop = interrupts.watch(self.journal.stop)
                leaving.callback(cancelling(evaluator, stop))
                bar.where = self.journal.where
                leaving.enter_context(bar)
                bar.show(self.at)
                if self.course:
                    self.course.begin(self.at)
                self._evaluate(evaluator, target, workers, bar)
                self.journal.check()
                if self.course:
                    self.models.here = self.course.best_model(self.at)
                    self.journal.keep_best(self.models, self.models.here, self.at)
                if not stop.draining:
                    status = FINISHED if self.at.best is not None else FAILED
            except NothingUsableError:
                status = FAILED
                raise
            finally:
                for slot in self.at.out - out_before:  # under way when it was stopped
                    self.at = asking.take_back(self.at, self.at.proposals[slot].number)
                self.journal.leave(status)
        if stop.draining:
            raise stopped(stop)

    @contextmanager
    def _evaluator(
        self, objective: Objective, workers: int, interrupts: Interrupts
    ) -> Iterator[Heard]:
        metric, store = self.at.state.declaration.metric, self.journal.connect()
        if workers > 1:
            job = Job(
                objective=self._packed(objective),
                folder=Path.cwd(),
                metric=metric,
                tracking_uri=store.address.tracking_uri if store else None,
                experiment_id=store.experiment_id if store else None,
            )
            with working(job, workers, self.models) as pool:
                with interrupts.allowed():  # importing what it needs may take long
                    pool.check()
                yield self._heard(pool)
            return
        here = InProcessEvaluator(
            objective, metric, interrupts=interrupts, models=self.models, store=store
        )
        try:
            yield self._heard(here)
        finally:
            self.last_error = here.last_error
            here.close()

    def _packed(self, objective: Objective) -> bytes:
        try:
            return pack(objective)
        except InputError:
            for function in self.course.code if self.course else ():
                pack(function)  # the variable to blame is the user's own
            raise

    def _heard(self, evaluator: Evaluator) -> Heard:
        if self.course:
            evaluator = self.course.checkpointed(evaluator)
        return Heard(evaluator, self.metrics)

    def _evaluate(self, evaluator: Heard, target: int, workers: int, bar: Bar) -> None:
        first = self.at.state.generations_done
        while self.at.trials_told < target and not self.journal.stop.draining:
            left = target - self.at.trials_told
            self.at, given = asking.ask(self.at, left, Budget(trials=target))
            if not given:
                return
            if self.course:
                self.course.asked(self.at)
            for record in side_by_side(evaluator, self.journal, given, workers):
                self.at = self.journal.take(self.at, record)
                bar.show(self.at)
            if self.at.state.generations_done == first + 1 and not self.at.proposals:
                self._stop_if_hopeless(evaluator)
            if self.course and not self.at.proposals:
                self._stop_if_all_failed(evaluator)

    def _stop_if_hopeless(self, evaluator: Heard) -> None:
        """As in a sweep of `lepton run`: the objective is broken, and no other trial tells more."""
        event = self.at.events[-1]
        failure = shared_failure(event.trials) if isinstance(event, GenerationSealed) else None
        if failure is None or self.at.best is not None or untried(self.at.state) == 0:
            return
        raise NothingUsableError(
            f"all trials of generation {self.at.state.generations_done - 1} failed for the same "
            f"reason ({failure.kind}): {failure.reason}\n"
            "Mend the objective. These trials stay told, and count: then ask for more in all, or "
            "begin with another optimizer.",
            kind=failure.kind,
            reason=failure.reason,
        ) from evaluator.last_error

    def _stop_if_all_failed(self, evaluator: Heard) -> None:
        """Where members train, a round that fails as a whole says that the train step is broken.

        Raises:
            SweepError: It did, for one reason.
        """
        event = self.at.events[-1]
        failure = shared_failure(event.trials) if isinstance(event, GenerationSealed) else None
        if failure is None or failure.kind != "exception":
            return
        raise SweepError(
            f"all members failed in round {self.at.state.generations_done - 1} for the same "
            f"reason: {failure.reason}\nMend the train step; called again, they go on from "
            "their last checkpoints.",
            reason=failure.reason,
        ) from evaluator.last_error


def code_digest(*functions: Callable[..., Any]) -> str | None:
    """The digest of the source of an objective, or of what a training calls; or None.

    It cannot be had of everything, and a lambda's is not told from the line that it stands in.
    """
    if not functions or any(getattr(one, "__name__", "") == "<lambda>" for one in functions):
        return None
    try:
        return digest("".join(map(inspect.getsource, functions)))
    except (OSError, TypeError, SyntaxError, TokenError):  # the last two: of an edited file
        return None


def cancelling(evaluator: Evaluator, stop: StopSignal) -> Callable[[], None]:
    """Have trials under way stopped when the driver is to stop at once; returns what ends that."""

    def cancel_when_told() -> None:
        stop.wake.wait()
        if stop.immediate:
            evaluator.cancel()

    threading.Thread(target=cancel_when_told, name="lepton-cancel", daemon=True).start()
    return stop.wake.set
