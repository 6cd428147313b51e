"""``lepton.Optimizer``: a sweep to be asked and told, or to be given an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, Unpack

from lepton.optimizer.beginning import begin
from lepton.optimizer.journal import Metrics, say
from lepton.optimizer.results import handed
from lepton.optimizer.while_training import TrainingArguments, WhileTraining
from lepton_core import asking
from lepton_core.canonical import shown
from lepton_core.declaration import MAX_TRIALS, Budget, Direction, Settings
from lepton_core.errors import IdentityError, InputError, SweepError
from lepton_core.events import TrialRecord
from lepton_core.recorded import is_whole
from lepton_core.space import Space
from lepton_core.sweep_file import parse_trials, parse_workers
from lepton_core.trial import Trial
from lepton_tasks.attempts import FINISHED, KILLED
from lepton_tasks.models import Models
from lepton_tasks.objective import Outcome, failed, judge, raised

DEFAULT_TRIALS = 100
MODELS_IN_MEMORY = 8  # the best trials' models that are kept where nothing is recorded


class Optimizer(WhileTraining):
    """A sweep, in memory or recorded in MLflow; or a population of models that trains.

    It proposes what any recorded sweep of the same space, seed, generation, portfolio and starting
    points proposes, given the same results. It is not to be used from several threads at once, and
    can be pickled.

    With a name every trial is an MLflow run, as of `lepton run`, in the store that
    MLFLOW_TRACKING_URI names. Another optimizer of that name goes on where this one ended, however
    it ended, with the same proposals; it needs no space to do so. While trials are handed out, or
    `minimize` runs, the sweep is this process's alone.

    Args:
        space: A `Space`, or a mapping by name of `Float`, `Int`, `Choice`, plain values, which are
            fixed, or what a sweep file says, such as ``{"type": "float", "low": 0, "high": 1}``.
            None: that of the recorded sweep, or, for a model that is tuned while it trains, the
            settings of its framework.
        seed: Same seed and same results, same proposals.
        generation: How many trials are proposed together.
        trials: How many there are to be in all; None: as many as are asked for.
        direction: "minimize" or "maximize".
        portfolio: As in a sweep file, such as ``{"proposers": ["ga", "rl"]}``.
        name: Record it in MLflow, or go on with what is recorded, under this name.
        start_from: Params to be tried first.

    Raises:
        DeclarationError: One of them is wrong; it says which, what was found and what is allowed.
        IdentityError: The store has another sweep of that name.
        StoreUnreachableError: The store failed.

    Example:
        >>> import lepton
        >>> optimizer = lepton.Optimizer({"x": lepton.Float(-1, 1), "n": lepton.Int(1, 9)}, seed=7)
        >>> found = optimizer.minimize(lambda trial: trial["x"] ** 2 + trial["n"], trials=64)
        >>> found.best_params["n"], found.best_loss < 1.1
        (1, True)
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        generation: int = 8,
        trials: int | None = None,
        direction: Direction = "minimize",
        portfolio: Mapping[str, Any] | None = None,
        name: str | None = None,
        start_from: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._limit = None if trials is None else parse_trials(trials)
        self._given: dict[str, Any] = {
            "name": name,
            "space": space,
            "seed": seed,
            "generation": generation,
            "direction": direction,
            "portfolio": portfolio,
            "start_from": start_from,
        }
        self._journal, self._begun = begin(self._given)
        rank = 1 if self._journal.records else MODELS_IN_MEMORY
        self._models = Models(direction, rank=rank, say=say)
        if self._begun is not None:
            self._models.direction = self._at.state.declaration.direction
            self._models.also(self._at.best)
        self._metrics: dict[int, Metrics] = {}  # of the trials told here
        self._advised: tuple[int, TrialRecord] | None = None  # after how many trials, which

    # -- ask and tell -----------------------------------------------------------------------

    def ask(self, n: int = 1) -> list[Trial]:
        """Up to n trials of the open generation; the next one is begun when it is all told.

        Returns:
            An empty list, if no other will come: the trials asked for are done or handed out, or
            the space has no other configurations.

        Raises:
            SweepError: All of the generation is handed out and not all of it is told. It names the
                trials that are waited for. Or somebody stopped the sweep, by ``lepton cancel``.
            DrivenElsewhereError: Recorded, and another process drives it.
        """
        n = parse_trials(n, ("n",))
        self._journal.check_idle()
        self._check_no_training("ask")
        budget = Budget(trials=self._limit)
        with self._journal.writing():
            self._at = self._journal.open(self._at, Settings(budget=budget))
            at, proposals = asking.ask(self._at, n, budget)
            for proposal in proposals:
                self._journal.begin(proposal)
            self._at = at
        if not proposals and not self._at.out:
            self.close()
        return [handed(proposal, self._journal.reporter(proposal)) for proposal in proposals]

    def tell(
        self, trial: Trial, value: Any = None, *, error: str | BaseException | None = None
    ) -> None:
        """What came of a trial: its value, or why there is none. In any order, once each.

        Args:
            trial: As `ask` gave it.
            value: A number, or a dict of metrics that holds "loss", in your own sign, and a
                "model" if you like. NaN and infinities make it a failure.
            error: Why there is no value, as a text or an exception: a failure, of which the search
                learns too.

        Raises:
            InputError: The value is no number, or the trial is none of `ask`.
            SweepError: The trial was told before, or is not handed out.
        """
        if not _is_trial(trial):
            raise InputError(f"found {shown(trial)}; expected a trial as ask() gave it")
        self._check_no_training("tell")
        if (value is None) == (error is None):
            both = "a value and an error" if error is not None else "neither a value nor an error"
            raise InputError(
                f"trial {trial.number} was told {both}; expected tell(trial, value) or "
                "tell(trial, error='what went wrong')"
            )
        self._journal.check_idle()
        metric = self._at.state.declaration.metric
        outcome = _told_error(error) if error is not None else judge(value, metric)
        if outcome.failure is not None and outcome.failure.kind in ("none", "type"):
            raise InputError(f"trial {trial.number}: {outcome.failure.reason}")
        slot = trial.number - self._at.state.trials_done
        if slot in self._at.out and trial != handed(self._at.proposals[slot]):
            raise SweepError(
                f"trial {trial.number} has other params or another seed than the trial of this "
                "number that ask() gave; it was changed, or is of another optimizer",
                number=trial.number,
            )
        with self._journal.writing():
            self._at = self._journal.open(self._at, Settings(budget=Budget(trials=self._limit)))
            proposal = asking.handed_out(self._at, trial.number)
            if outcome.model is not None and outcome.value is not None:
                self._journal.keep(self._models, proposal, outcome)
            self._take(self._journal.finish(proposal, outcome), outcome.metrics)
        if self._limit is not None and self._at.trials_told >= self._limit:
            self.close()

    def close(self) -> None:
        """Let others go on with a recorded sweep.

        It may be asked and told again, unless another process drives it then. An optimizer that is
        forgotten, or whose process ends, closes by itself, as does the end of a ``with`` block.
        """
        self._journal.check_idle()
        if self._begun is None:  # there is nothing to give back
            return
        whole = self._limit is None or self._at.trials_told >= self._limit
        ended = whole and not self._at.out and self._at.best is not None
        self._journal.leave(FINISHED if ended else KILLED)

    def __enter__(self) -> Self:
        """The optimizer itself, to be closed when the block ends."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _take(self, record: TrialRecord, metrics: Metrics) -> None:
        self._at = self._journal.take(self._at, record)
        self._metrics[record.proposal.number] = metrics

    @property
    def untold(self) -> list[Trial]:
        """The trials handed out of which nothing was told yet."""
        proposals = [self._at.proposals[slot] for slot in sorted(self._at.out)]
        return [handed(proposal, self._journal.reporter(proposal)) for proposal in proposals]

    # -- an objective -----------------------------------------------------------------------

    def minimize(
        self,
        objective: Callable[..., Any] | None = None,
        trials: int | None = None,
        workers: int = 1,
        *,
        progress: bool | None = None,
        **training: Unpack[TrainingArguments],
    ) -> Self:
        """Evaluate trials until there are so many in all, those told before included.

        Called again with a larger number it goes on; with the same one it has nothing to do. It
        ends earlier when the number given to `Optimizer` is met, or the space has no other
        configurations.

        An exception of the objective makes its trial a failure. Ctrl-C ends it with a
        KeyboardInterrupt: trials under way are handed out again by the next `ask`, or by
        `minimize` called again.

        With `steps` a model is tuned *while it trains*: see `TrainingArguments`.

        Args:
            objective: Called with a `Trial`, which reads like a mapping of its params. Returns a
                number, or a dict of metrics that holds "loss", and perhaps a fitted "model", of
                which the best is kept. In a recorded sweep the trial's MLflow run is active.
                With `steps` it is the train step.
            trials: The target; None: the optimizer's own `trials`, or 100 if it has none.
            workers: How many trials at a time. One is evaluated in this process; more are
                evaluated in processes of their own, which the objective is sent to.
            progress: Whether to show a bar; None: in a notebook and at a terminal.
            **training: `steps`, `model`, `data` and what else `TrainingArguments` has.

        Returns:
            The optimizer itself.

        Raises:
            InputError: An argument is wrong, the objective cannot be sent to the workers, or the
                direction is "maximize".
            NothingUsableError: No trial was usable, or all of the first generation failed for the
                same reason. It is raised from the last exception.
            SweepError: Trials that `ask` gave must be told first, or somebody stopped the sweep.
            DrivenElsewhereError: Recorded, and another process drives it.
        """
        if training:
            return self._train("minimize", objective, trials, workers, progress, training)
        if self._at.state.declaration.direction == "maximize":
            raise InputError(
                "the direction is maximize; call maximize(), or begin with another optimizer"
            )
        return self._drive(objective, trials, workers, progress=progress)

    def maximize(
        self,
        objective: Callable[..., Any] | None = None,
        trials: int | None = None,
        workers: int = 1,
        *,
        progress: bool | None = None,
        **training: Unpack[TrainingArguments],
    ) -> Self:
        """As `minimize`, for the highest value; the direction is set to that.

        Raises:
            SweepError: As of `minimize`; also: values were told before, to be minimized.
        """
        if training:
            return self._train("maximize", objective, trials, workers, progress, training)
        at, before = asking.directed(self._at, "maximize"), self._at
        self._target(objective, trials, workers)  # a wrong argument turns nothing
        self._at, self._models.direction = at, "maximize"
        try:
            return self._drive(objective, trials, workers, progress=progress)
        except IdentityError:  # recorded in the other one meanwhile
            self._at, self._models.direction = before, "minimize"
            raise

    def _drive(
        self, objective: Any, trials: int | None, workers: int, *, progress: bool | None
    ) -> Self:
        target = self._target(objective, trials, workers)
        if self._at.trials_told >= target and self._journal.is_at_rest:
            return self._usable()
        # Imported late: who asks and tells needs no processes.
        from lepton.optimizer.bars import bar  # noqa: PLC0415
        from lepton.optimizer.driving import Drive  # noqa: PLC0415

        drive = Drive(self._journal, self._at, self._models, self._metrics)
        try:
            drive.to(target, objective, workers, bar(progress, target))
        finally:
            self._at = drive.at
        return self._usable(drive.last_error)

    def _target(self, objective: Any, trials: int | None, workers: int) -> int:
        """How many trials there are to be, if all that `minimize` is called with is usable."""
        if not callable(objective):
            raise InputError(f"found {shown(objective)}; expected an objective that can be called")
        parse_workers(workers)
        self._journal.check_idle()
        self._check_no_training("minimize without steps")
        if trials is None:
            target = DEFAULT_TRIALS if self._limit is None else self._limit
        else:
            target = min(parse_trials(trials), self._limit or MAX_TRIALS)
        if self._at.out and self._at.trials_within_reach < target:
            raise asking.waited_for(self._at)  # rather now than after hours
        return target


def _told_error(error: Any) -> Outcome:
    if isinstance(error, BaseException):
        return raised(error)
    if not isinstance(error, str) or not error.strip():
        raise InputError(f"error is {shown(error)}; expected a text, or the exception")
    return failed("told", error)


def _is_trial(found: object) -> bool:
    return isinstance(found, Trial) and is_whole(found.number)
