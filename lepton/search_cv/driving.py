"""The loop of a search: ask, evaluate, tell; and what is on record is not evaluated again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.optimizer import Optimizer
from lepton.search_cv import record
from lepton.search_cv.evaluation import Evaluation, Row
from lepton.search_cv.spaces import Searched
from lepton_core.errors import InputError
from lepton_core.events import TrialRecord

GENERATION = 8  # candidates proposed together: as many are evaluated side by side
METRICS = "metrics."  # before the name of a metric, in a table of trials


@dataclass
class Drive:
    """A search under way.

    Attributes:
        optimizer: Who proposes.
        space: What its params mean to the estimator.
        evaluation: Who evaluates.
        metric: Which metric is searched for, by what was evaluated so far.
        scoring: As the search got it.
        error_score: The same.
        train: Whether scores on the training splits are wanted.
        splits: How many.
    """

    optimizer: Optimizer
    space: Searched
    evaluation: Evaluation
    metric: Callable[[Evaluation], str]
    scoring: Any
    error_score: Any
    train: bool
    splits: int

    def run(self, at_once: int) -> None:
        """Until no candidate is left, or the estimator is seen to be broken.

        Args:
            at_once: How many candidates are evaluated side by side.
        """
        asked = self.optimizer.ask(at_once)  # which reads what others told since
        self._recall()
        while asked:
            before = len(self.evaluation.results.get("params", ()))
            self.evaluation([self.space.candidate(trial.params) for trial in asked])
            means = self.means
            for place, trial in enumerate(asked, before):
                score = float(means[place])
                if np.isfinite(score):
                    self.optimizer.tell(trial, {"loss": score, **self._metrics(place)})
                else:
                    self.optimizer.tell(trial, error=self.evaluation.failure(place))
            if len(means) >= GENERATION and self.evaluation.hopeless:
                return
            asked = self.optimizer.ask(at_once)

    @property
    def means(self) -> Any:
        """The mean scores so far on the metric searched for: ``(n_candidates,)``."""
        return self.evaluation.results[f"mean_test_{self.metric(self.evaluation)}"]

    @property
    def has_usable(self) -> bool:
        """Whether a candidate has a finite score."""
        return bool(self.evaluation.results) and bool(np.isfinite(self.means).any())

    def _metrics(self, place: int) -> dict[str, float]:
        if self.optimizer.name is None:
            return {}
        if callable(self.scoring):
            for name in self.evaluation.metrics:
                if record.recorded_name(name) != name:
                    raise InputError(
                        f"scoring gives a metric {name!r}, whose name MLflow cannot keep; use "
                        "letters, digits, _ . - and spaces alone",
                        name=name,
                    )
        return record.metrics(self.evaluation, place)

    def _recall(self) -> None:
        """Take in the candidates that were evaluated before."""
        told = self.optimizer._at.trials()  # noqa: SLF001  (as a table they lose their types)
        if not told:
            return
        by_number = self._recorded()
        recorded = [by_number.get(trial.proposal.number, {}) for trial in told]
        names = self._names(told, recorded)
        rows = [
            row
            for one, kept in zip(told, recorded, strict=True)
            for row in self._rows(one, kept, names)
        ]
        self.evaluation.recall([self.space.candidate(one.proposal.params) for one in told], rows)

    def _recorded(self) -> dict[int, dict[str, float]]:
        """The metrics of the trials on record, by number."""
        table = self.optimizer.trials
        columns = [name for name in table.columns if name.startswith(METRICS)]
        return {
            int(number): {str(name)[len(METRICS) :]: float(value) for name, value in row.items()}
            for number, row in zip(table["number"], table[columns].to_dict("records"), strict=True)
        }

    def _names(self, told: list[TrialRecord], recorded: list[dict[str, float]]) -> list[str]:
        """The metrics of the scorers; none: a callable's, of which none is on record."""
        if isinstance(self.scoring, list | tuple | Mapping):
            return list(self.scoring)
        if not callable(self.scoring):
            return ["score"]
        usable = [
            (kept, one.value)
            for one, kept in zip(told, recorded, strict=True)
            if one.value is not None
        ]
        return record.metric_names([kept for kept, _ in usable], [value for _, value in usable])

    def _rows(
        self, told: TrialRecord, recorded: Mapping[str, float], names: list[str]
    ) -> list[Row]:
        multimetric = names not in (["score"], []) or not (
            self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring)
        )
        if told.failure is not None:
            return record.failed_rows(
                told.failure.reason,
                self.error_score,
                splits=self.splits,
                names=names if multimetric else [],
                train=self.train,
            )
        return record.rows(
            recorded, splits=self.splits, names=names, multimetric=multimetric, train=self.train
        )
