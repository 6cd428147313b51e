"""An Optimizer that tunes a model while it trains: a population, its train step, its schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

from lepton.optimizer.beginning import NAME
from lepton.optimizer.journal import say
from lepton.optimizer.results import Results
from lepton_core import asking
from lepton_core.asking import Asking
from lepton_core.errors import InputError, LeptonError, SweepError
from lepton_core.keys import listing
from lepton_core.population.schedule import schedule
from lepton_core.sweep_file import parse_workers

if TYPE_CHECKING:
    import pandas as pd

    from lepton.training.arguments import Wanted
    from lepton.training.learner import Learner
    from lepton.training.torch.wrapper import WrappedOptimizer


class TrainingArguments(TypedDict, total=False):
    """What tunes a model while it trains, in `Optimizer.minimize`.

    A population of models trains, side by side; at intervals the worst go on from copies of the
    better ones, and the genetic algorithm, the particle swarm and the policy propose settings
    (population-based training: Jaderberg et al., 2017, https://arxiv.org/abs/1711.09846). They are
    judged on held-out data. The model handed over is the one that trains, and has the best weights
    in the end.

    Attributes:
        steps: How many gradient steps each member is to have taken in all. Called again with more,
            training goes on.
        model: A Keras model on TensorFlow, a PyTorch module, an estimator with ``partial_fit``, or
            one of XGBoost's.
        data: ``(x, y)``, or as many arrays as the train step takes after the model, with a row for
            each example.
        validation: The share of the rows that is held out, or held-out data like `data`.
        evaluate: ``evaluate(model, x, y)`` gives the held-out loss; None: the train step's own.
        population: How many members; None: the optimizer's `generation`.
        interval: Steps between two exchanges; None: a 20th of the steps.
        base_optimizer: What updates the weights, with each member's settings; None: AdamW. For
            Keras an optimizer of its own, for PyTorch a callable, given the parameters.

    Example:
        >>> import lepton
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import SGDClassifier
        >>> optimizer, model = lepton.Optimizer(), SGDClassifier(loss="log_loss")
        >>> data = load_iris(return_X_y=True)
        >>> found = optimizer.minimize(steps=40, interval=10, model=model, data=data)
        >>> found.best_model is model, len(found.trials), found.best_loss < 1
        (True, 32, True)
    """

    steps: int
    model: Any
    data: Any
    validation: Any
    evaluate: Callable[..., Any] | None
    population: int | None
    interval: int | None
    base_optimizer: Any


class WhileTraining(Results):
    """What an `Optimizer` is to a train step, and what comes of it."""

    _limit: int | None  # the most trials
    _wrapped: tuple[WrappedOptimizer, ...] = ()

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> None:
        """In a train step for Keras: update the model, with this member's settings.

        Args:
            grads_and_vars: Pairs of a gradient and its variable, as of a Keras optimizer.

        Raises:
            SweepError: Nothing is being trained.
        """
        from lepton.training.under_way import method  # noqa: PLC0415

        method("apply_gradients", "Keras")(grads_and_vars)

    def wrap(self, optimizer: Any) -> WrappedOptimizer:
        """For a training loop written the PyTorch way: a torch optimizer that it steps by itself.

        While `minimize` trains, its groups hold the member's settings, and its `step` clips the
        gradients; while it judges, `step` does nothing. Several may be wrapped.

        Args:
            optimizer: Made of the model's parameters, outside of the train step.

        Returns:
            It, in all but its steps: ``opt = optimizer.wrap(torch.optim.SGD(...))``.

        Raises:
            InputError: It is no torch optimizer.
        """
        from lepton.training.torch.wrapper import WrappedOptimizer  # noqa: PLC0415

        wrapped = WrappedOptimizer(optimizer)
        self._wrapped = (*self._wrapped, wrapped)
        return wrapped

    def step(self, model: Any, loss: Any) -> None:
        """In a train step for PyTorch: update the model, with this member's settings.

        Args:
            model: The module.
            loss: A tensor of no dimensions, to go backward from.

        Raises:
            SweepError: Nothing is being trained.
        """
        from lepton.training.under_way import method  # noqa: PLC0415

        method("step", "PyTorch")(model, loss)

    @property
    def settings(self) -> Mapping[str, Any]:
        """In a train step: this member's settings at this moment, those of your own too.

        Raises:
            SweepError: Nothing is being trained.
        """
        from lepton.training.under_way import current  # noqa: PLC0415

        return current("optimizer.settings")[1]

    @property
    def schedule(self) -> pd.DataFrame:
        """The settings that led to the best model, interval by interval, through every copy.

        The columns are ``from_step`` and ``to_step``, ``member`` (whose interval it was),
        ``trial``, ``proposer``, ``loss`` (held out, at the interval's end), and ``settings.NAME``.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
            SweepError: This sweep does not train.
        """
        import pandas as pd  # noqa: PLC0415  (half a second)

        training = self._at.state.declaration.training
        if training is None:
            raise SweepError("this sweep trains nothing, so there is no schedule")
        rows = schedule(self._at.trials(), self._best.proposal.number, training)
        return pd.DataFrame(
            {
                **{key: value for key, value in row.items() if key != "settings"},
                **{f"settings.{name}": value for name, value in row["settings"].items()},
            }
            for row in rows
        )

    def _check_no_training(self, what: str) -> None:
        if self._at.state.declaration.training is not None:
            raise SweepError(
                f"{what}: this sweep trains a population, whose trials go on from checkpoints; "
                "call minimize(train_step, steps=..., model=model, data=(x, y))"
            )

    def _train(
        self,
        how: Literal["minimize", "maximize"],
        train_step: Any,
        trials: int | None,
        workers: int,
        progress: bool | None,  # noqa: FBT001  (handed on)
        given: Mapping[str, Any],
    ) -> Self:
        if trials is not None:
            raise InputError(
                f"found trials={trials!r} beside the arguments of training; expected steps alone, "
                "which count for each member"
            )
        if self._limit is not None:
            raise InputError(
                f"the optimizer was made with trials={self._limit}, and is to train; expected "
                "steps alone, which count for each member: leave trials out"
            )
        known = TrainingArguments.__annotations__
        for argument in given:
            if argument not in known:
                raise InputError(
                    f"{how}() has no {argument!r}; to train there are {listing(known)}"
                )
        if how == "maximize" and given.get("evaluate") is None:
            raise InputError(
                "maximize is to train, and evaluate is missing: the loss itself would be made as "
                "high as it gets; expected evaluate(model, x, y), a score that is higher when "
                "better, or call minimize"
            )
        parse_workers(workers)
        self._journal.check_idle()
        # Imported late: who tunes whole trials needs none of it.
        from lepton.optimizer.bars import bar  # noqa: PLC0415
        from lepton.optimizer.driving import Drive  # noqa: PLC0415
        from lepton.training.arguments import parse  # noqa: PLC0415
        from lepton.training.course import Course  # noqa: PLC0415

        if self._wrapped and given.get("base_optimizer") is not None:
            raise InputError(
                "base_optimizer is given, and a torch optimizer is wrapped; expected one of them"
            )
        wanted = parse(train_step, **{**given, **self._of_wrapped()})
        learner = wanted.task.learner()
        at = self._population(how, wanted, learner)
        course = Course(wanted.task, learner, at, self._journal.checkpoints)
        target = course.trials_to(wanted.steps)
        course.rehearse(at, say)
        drive = Drive(self._journal, at, self._models, self._metrics, course)
        try:
            if at.trials_told < target or not self._journal.is_at_rest:
                drive.to(target, course.interval, workers, bar(progress, target))
            else:
                self._models.here = course.best_model(at)
        except BaseException:
            if drive.at is not at:  # else nothing was begun
                self._went_to(drive.at)
            self._models.here = {}
            with suppress(LeptonError):  # it is the first error that counts
                self._models.here = course.best_model(drive.at)
            raise
        self._went_to(drive.at)
        return self._usable(drive.last_error)

    def _went_to(self, at: Asking) -> None:
        self._at, self._models.direction = at, at.state.declaration.direction

    def _of_wrapped(self) -> dict[str, Any]:
        return {"base_optimizer": self._wrapped} if self._wrapped else {}

    def _population(
        self, how: Literal["minimize", "maximize"], wanted: Wanted, learner: Learner
    ) -> Asking:
        """The population as far as it is, or one that begins."""
        from lepton.training.arguments import check_same, check_space, declared  # noqa: PLC0415

        at = self._begun
        if at is not None and (at.state.declaration.training or at.trials_told or at.out):
            check_same(at.state.declaration, wanted)
            check_space(learner, at.state.declaration.space)
        else:
            what = {**self._given, "name": self.name or NAME}
            if how == "maximize":
                what["direction"] = how
            at = asking.begin(declared(what, wanted, learner))
        direction = at.state.declaration.direction
        if direction != how:
            raise InputError(
                f"the direction is {direction}; call {direction}(), or begin with another optimizer"
            )
        return at

    def _usable(self, last_error: BaseException | None = None) -> Self:
        if self._at.best is None:
            raise self._nothing_usable() from last_error
        return self
