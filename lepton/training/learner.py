"""What a framework is to Lepton: a model that trains for some steps, is judged, saved and loaded.

One learner is made per process, around the model that was handed over. It is one member after
another: before each interval it is loaded from the checkpoint that the interval goes on from, so
whatever it does between `load` and `save` may depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from lepton_core.canonical import Params
from lepton_core.space import Space

Batch = tuple[Any, ...]
"""Rows of each part of the data, as the train step takes them after the model: ``(x, y)``."""
TrainStep = Callable[..., Any]
"""``train_step(model, *batch) -> loss``."""
Evaluate = Callable[..., Any]
"""``evaluate(model, *data) -> loss``, on held-out data."""


class Learner(Protocol):
    """A model of one framework.

    Attributes:
        space: The settings that are tuned if the user gives no space.
        start: The framework's own defaults, in that space: the first member's first settings.
        row_sets: Whether steps take mini-batches of `batch_size` rows; if not, a step takes all of
            the training data at once, as a boosting round does.
    """

    space: Space
    start: Params
    row_sets: bool

    def prepare(self, data: Batch) -> Batch:
        """The data as `rows` takes it: arrays of the framework or of NumPy.

        Raises:
            InputError: A part of it is nothing that the framework can train on.
        """
        ...

    def rows(self, data: Batch, indices: Any) -> Batch:
        """Some rows of each part of prepared data, as the train step is to see them.

        Args:
            data: As `prepare` gave it.
            indices: ``(n,)``, of int64.
        """
        ...

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """While the framework's global generators give what this seed gives; then as before."""
        ...

    def train(self, settings: Params, batches: Iterator[Batch], steps: int, seed: int) -> float:
        """Take so many steps from where the model is, each on the next batch.

        Args:
            settings: By name; those that the learner knows are applied to what updates the model.
            batches: Endless. Without `row_sets` each is all of the training data.
            steps: How many, 1 or more.
            seed: For what draws random numbers of its own, in [0, 2**31).

        Returns:
            The mean training loss over these steps; NaN where the framework tells none.
        """
        ...

    def evaluate(self, data: Batch) -> float:
        """The loss on prepared data that the model does not train on. It changes nothing."""
        ...

    def save(self, folder: Path) -> None:
        """Write all that the next step depends on into an existing, empty folder.

        Weights and the optimizer's slots, in a format that runs no code when it is read.
        """
        ...

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, in this process or another.

        Raises:
            CheckpointError: The files are not of this model.
        """
        ...

    def model(self) -> Any:
        """The model as it is now."""
        ...
