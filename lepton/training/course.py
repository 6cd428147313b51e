"""A population's way to a number of steps: what training adds to driving any other objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lepton.training.interval import Interval, Task, order
from lepton.training.learner import Learner
from lepton_core import population
from lepton_core.asking import Asking
from lepton_core.errors import CheckpointError, SweepError
from lepton_core.events import Proposal
from lepton_core.portfolio import POPULATION
from lepton_core.reporting import Reporter
from lepton_tasks.checkpoints import Checkpoints, missing
from lepton_tasks.objective import Outcome
from lepton_tasks.trial import AroundEvaluator, Evaluator

_OF_CHECKPOINTS = f"{CheckpointError.__module__}.{CheckpointError.__qualname__}: "
"""How a worker process says what it raised."""


class Checkpointed(AroundEvaluator):
    """An evaluator of intervals, with the checkpoints that they begin and end with."""

    def __init__(self, evaluator: Evaluator, checkpoints: Checkpoints) -> None:
        super().__init__(evaluator)
        self.checkpoints = checkpoints

    def evaluate(
        self, proposal: Proposal, run_id: str | None, key: str, reporter: Reporter | None = None
    ) -> tuple[Outcome, float]:
        """As the evaluator does; the checkpoint is kept before the result can count.

        Raises:
            CheckpointError: What the trial goes on from is not there or cannot be read, or no
                other can be written: nothing that its settings are to blame for.
        """
        self.checkpoints.bring(proposal.origin["from"])
        order(proposal, self.checkpoints)
        outcome, duration = super().evaluate(proposal, run_id, key, reporter)
        if outcome.failure is not None and outcome.failure.reason.startswith(_OF_CHECKPOINTS):
            raise CheckpointError(outcome.failure.reason.removeprefix(_OF_CHECKPOINTS))
        if outcome.value is not None:
            self.checkpoints.keep(proposal.number, run_id or "")
        return outcome, duration


class Course:
    """What a drive of intervals needs besides the intervals.

    Args:
        task: What trains, on what.
        learner: Made of it.
        at: The population, as far as it is.
        checkpoints: What its members go on from.

    Attributes:
        interval: The objective.
    """

    def __init__(self, task: Task, learner: Learner, at: Asking, checkpoints: Checkpoints) -> None:
        declaration = at.state.declaration
        if declaration.training is None:
            raise SweepError("this sweep trains nothing")
        self.learner, self.checkpoints = learner, checkpoints
        self._training, self._population = declaration.training, declaration.generation
        self.interval = Interval(
            task,
            declaration.training,
            seed=declaration.seed,
            folder=checkpoints.folder,
            metric=declaration.metric,
        )
        self.interval.use(learner)

    @property
    def code(self) -> tuple[Any, ...]:
        """What of the task is the user's code, whose changes are worth a warning."""
        task = self.interval.task
        return tuple(one for one in (task.train_step, task.evaluate) if one is not None)

    def checkpointed(self, evaluator: Evaluator) -> Evaluator:
        """An evaluator of the intervals, with their checkpoints."""
        return Checkpointed(evaluator, self.checkpoints)

    def trials_to(self, steps: int) -> int:
        """How many trials it takes until each member has taken so many steps."""
        return self._population * self._training.rounds_to(steps)

    def rehearse(self, at: Asking, say: Callable[[str], None]) -> None:
        """Take a step and judge it before any trial is spent, then put the model back.

        Args:
            at: The population.
            say: Told which settings have no effect.
        """
        space, starts = at.state.declaration.space, at.state.declaration.start_from
        idle = self.interval.rehearse(starts[0] if starts else space.decode([0.5] * len(space)))
        if idle:
            names, known = ", ".join(map(repr, sorted(idle))), ", ".join(self.learner.space)
            say(
                f"{names} of the space seems to have no effect: the train step did not read it "
                f"from optimizer.settings, and what Lepton applies by itself is {known}"
            )

    def begin(self, at: Asking) -> None:
        """Have the model as it was handed over, here and for other processes.

        What it was when the training first began counts, whatever it is now.

        Raises:
            CheckpointError: It was there and is not; or it is of another model, or other data.
        """
        if self.checkpoints.has_start():
            self.interval.check_start(self.checkpoints.bring(None))
        elif at.trials_told:
            raise missing(None)
        else:
            self.interval.start()
            self.checkpoints.keep_start()

    def asked(self, at: Asking) -> None:
        """Once a round is begun: let go of what nobody can go on from any more.

        Raises:
            RecordError: A trial on record goes on from where no member can.
        """
        for proposal in at.proposals:
            population.check_start(at.state.portfolio.members[POPULATION], proposal)
        needed = {p.origin["from"] for p in at.proposals} | {p.number for p in at.proposals}
        if at.best is not None:
            needed.add(at.best.proposal.number)
        self.checkpoints.retain(needed - {None})

    def best_model(self, at: Asking) -> dict[int, Any]:
        """The model with the best weights, by the number of their trial.

        It is the one that was handed over; before there are better ones it has its first weights.
        """
        number = None if at.best is None else at.best.proposal.number
        if number is None and not self.checkpoints.has_start():
            return {}
        self.learner.load(self.checkpoints.bring(number))
        return {} if number is None else {number: self.learner.model()}
