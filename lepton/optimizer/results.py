"""What came of an Optimizer's trials so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lepton.optimizer.beginning import no_space
from lepton.optimizer.journal import Journal, Metrics, say
from lepton.optimizer.table import table
from lepton_core.asking import Asking
from lepton_core.errors import NothingUsableError
from lepton_core.events import Event, Proposal, TrialRecord
from lepton_core.fold import SweepState
from lepton_core.reporting import Reporter
from lepton_core.trial import Trial
from lepton_tasks.models import Models

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN = 6  # digits of a loss


class Results:
    """What an `Optimizer` can be asked at any time."""

    _begun: Asking | None  # None: there is no space to search yet
    _given: Mapping[str, Any]  # what the optimizer was made with
    _journal: Journal
    _models: Models
    _metrics: dict[int, Metrics]  # of the trials told here
    _advised: tuple[int, TrialRecord] | None  # after how many trials, which

    @property
    def _at(self) -> Asking:
        """Where the sweep is.

        Raises:
            InputError: There is no space to search.
        """
        if self._begun is None:
            raise no_space(self._given["name"])
        return self._begun

    @_at.setter
    def _at(self, at: Asking) -> None:
        self._begun = at

    @property
    def best_params(self) -> dict[str, Any]:
        """The params to use.

        Where losses are noisy the lowest one is partly luck: the judge then recommends the trial
        that it believes to be best, which may be another.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return dict(self._best.proposal.params)

    @property
    def best_loss(self) -> float:
        """The value observed there, in your own sign: the highest, of what is maximized.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return _value(self._best)

    @property
    def best_trial(self) -> Trial:
        """That trial as it was handed out, so that it can be evaluated again.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return handed(self._best.proposal)

    @property
    def lowest_loss(self) -> float:
        """The lowest value observed (the highest, of what is maximized), luck included.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        if self._at.best is None:
            raise self._nothing_usable()
        return _value(self._at.best)

    @property
    def _best(self) -> TrialRecord:
        if self._advised is None or self._advised[0] != self._at.trials_told:
            found = self._at.advised
            if found is None:
                raise self._nothing_usable()
            self._advised = (self._at.trials_told, found)  # it takes a fit to find
        return self._advised[1]

    @property
    def best_model(self) -> Any:
        """The model of the trial to use, which the objective returned as "model".

        In a recorded sweep it is logged to the trial's run, and loaded from there; a model that
        the objective itself logged there counts too. Models are kept of trials that are among the
        best when they end: the eight best in memory, the best alone in a recorded sweep. Where
        losses are noisy, the trial to use may be none of these: then this is the model of the
        lowest loss, and a warning says so.

        Raises:
            NothingUsableError: No trial gave a usable result yet, or no model was kept.
        """
        best, lowest = self._best, self._at.best
        try:
            return self._model(best)
        except NothingUsableError:
            if lowest is None or lowest.proposal.number == best.proposal.number:
                raise
            model = self._model(lowest)
        say(
            f"best_model is that of trial {lowest.proposal.number}, of the best value observed. Of "
            f"trial {best.proposal.number}, which is recommended, none was kept, as it was not "
            "among the best when it ended; for one, evaluate best_trial once more"
        )
        return model

    def _model(self, record: TrialRecord) -> Any:
        number = record.proposal.number
        if number in self._models.here:
            return self._models.here[number]
        return self._journal.model(record.proposal)

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial told, in the order of proposal, one a row.

        The columns are ``number``, ``generation``, ``slot``, ``proposer``, ``value`` (NaN for a
        failure), ``failure`` (its kind and reason, or None), ``duration_s`` and, as in MLflow,
        ``params.NAME`` for each param, None where that is inactive, and ``metrics.NAME`` for each
        other metric that objectives returned, NaN where they did not.
        """
        space = self._at.state.declaration.space
        metrics = {**self._journal.told_before, **self._metrics}
        return table(self._at.trials(), list(space), metrics)

    @property
    def history(self) -> tuple[Event, ...]:
        """The events of the sealed generations; `lepton_core.fold.replay` of them is `state`."""
        return self._at.events

    @property
    def state(self) -> SweepState:
        """All that decides what is proposed next, after the last sealed generation."""
        return self._at.state

    @property
    def name(self) -> str | None:
        """The name that it is recorded under, or None."""
        name: str | None = self._given["name"]
        return name

    def __repr__(self) -> str:
        """What it searches and how far it is."""
        if self._begun is None:
            return "Optimizer(no space yet)"
        best = self._at.best
        found = "nothing usable yet" if best is None else f"best loss {best.value:.{MAX_SHOWN}g}"
        space = self._at.state.declaration.space
        name = "" if self.name is None else f"{self.name!r}, "
        failed = self._at.failed
        trials = f"{self._at.trials_told} trials" + (f", {failed} failed" if failed else "")
        return f"Optimizer({name}{len(space)} params, {trials}, {found})"

    def _repr_html_(self) -> str:
        """For notebooks: the best params, and the losses by trial."""
        if self._begun is None:
            return repr(self)
        from lepton.optimizer.notebook import html  # noqa: PLC0415  (only notebooks need it)

        advised = None if self._at.best is None else self._best
        return html(self._at, advised, name=self.name, where=self._journal.where)

    def _nothing_usable(self) -> NothingUsableError:
        told = self._at.trials()
        failures = [trial.failure for trial in told if trial.failure is not None]
        last = f"; the last: {failures[-1].reason}" if failures else ""
        return NothingUsableError(
            f"none of the {len(told)} trials told gave a usable result{last}\n"
            "They stay told, and count: for others, ask for more trials in all, or begin with "
            "another optimizer.",
            trials=len(told),
        )


def _value(record: TrialRecord) -> float:
    return float("nan") if record.value is None else record.value


def handed(proposal: Proposal, reporter: Reporter | None = None) -> Trial:
    """A trial of its own: what is done to it changes nothing that is recorded."""
    params = dict(proposal.params)
    return Trial(params, seed=proposal.seed, number=proposal.number, _reporter=reporter)
