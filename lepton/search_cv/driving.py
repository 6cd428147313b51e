"""The loop of a search: ask, evaluate, tell; and what is on record is not evaluated again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lepton.optimizer import Optimizer
from lepton.search_cv import record
from lepton.search_cv.evaluation import Evaluation, Row, failure, mean_score, metrics_of
from lepton.search_cv.spaces import Searched
from lepton_core.errors import InputError
from lepton_core.events import TrialRecord
from lepton_core.trial import Trial

GENERATION = 8  # candidates proposed together: as many are evaluated side by side
METRICS = "metrics."  # before the name of a metric, in a table of trials


@dataclass
class Drive:
    """A search under way.

    Attributes:
        optimizer: Who proposes.
        space: What its params mean to the estimator.
        evaluation: Who evaluates.
        metric: Which metric is searched for, by a candidate's fits.
        scoring: As the search got it.
        error_score: The same.
        train: Whether scores on the training splits are wanted.
        splits: How many.
    """

    optimizer: Optimizer
    space: Searched
    evaluation: Evaluation
    metric: Callable[[Sequence[Row]], str]
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
            candidates = [self.space.candidate(trial.params) for trial in asked]
            self.evaluation(candidates, partial(self._tell, asked))
            if self.evaluation.evaluated >= GENERATION and self.evaluation.hopeless:
                return
            asked = self.optimizer.ask(at_once)

    def _tell(self, asked: Sequence[Trial], place: int, rows: Sequence[Row]) -> None:
        score = mean_score(rows, self.metric(rows))
        if np.isfinite(score):
            self.optimizer.tell(asked[place], {"loss": score, **self._metrics(rows)})
        else:
            self.optimizer.tell(asked[place], error=failure(rows))

    @property
    def has_usable(self) -> bool:
        """Whether a candidate has a finite score on the metric searched for."""
        rows, splits = self.evaluation.rows, self.splits
        candidates = [rows[i : i + splits] for i in range(0, len(rows), splits)]
        return any(np.isfinite(mean_score(one, self.metric(one))) for one in candidates)

    def _metrics(self, rows: Sequence[Row]) -> dict[str, float]:
        if self.optimizer.name is None:
            return {}
        if callable(self.scoring):
            for name in metrics_of(rows):
                if record.recorded_name(name) != name:
                    raise InputError(
                        f"scoring gives a metric {name!r}, whose name MLflow cannot keep; use "
                        "letters, digits, _ . - and spaces alone",
                        name=name,
                    )
        return record.metrics(rows)

    def _recall(self) -> None:
        """Take in the candidates that were evaluated before."""
        told = self.optimizer._at.trials()  # noqa: SLF001  (as a table they lose their types)
        if not told:
            return
        by_number = self._recorded()
        recorded = [by_number.get(trial.proposal.number, {}) for trial in told]
        names = self._names(recorded)
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

    def _names(self, recorded: list[dict[str, float]]) -> list[str]:
        """The metrics of the scorers; none: a callable's, of which none is on record."""
        if isinstance(self.scoring, list | tuple | Mapping):
            return list(self.scoring)
        return record.metric_names(recorded) if callable(self.scoring) else ["score"]

    def _rows(
        self, told: TrialRecord, recorded: Mapping[str, float], names: list[str]
    ) -> list[Row]:
        if told.failure is not None:
            return record.failed_rows(
                told.failure.reason, self.error_score, splits=self.splits, train=self.train
            )
        several = isinstance(self.scoring, list | tuple | Mapping) or names != ["score"]
        return record.rows(
            recorded, splits=self.splits, names=names, multimetric=several, train=self.train
        )
