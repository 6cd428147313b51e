"""One member's interval of training, as an objective: from a checkpoint to the next one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lepton.training.batches import Position, split, stream
from lepton.training.learner import Batch, Evaluate, Learner, TrainStep
from lepton.training.rows import rows_of
from lepton.training.under_way import under_way
from lepton_core.canonical import Params, shown
from lepton_core.declaration import Training
from lepton_core.errors import CheckpointError, InputError, LeptonError
from lepton_core.events import Proposal
from lepton_core.trial import Trial
from lepton_tasks.checkpoints import Checkpoints
from lepton_tasks.members import TRAIN_LOSS

POSITION = "position.json"
SAMPLE = 256  # rows that tell data from other data
DATA = "data.json"  # beside the start: how many rows there were, and their shape
BATCH_SIZE = "batch_size"
DEFAULT_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Task:
    """What trains, on what: all that the user handed over.

    Attributes:
        validation: The share of the data that is held out, or held-out data.
    """

    model: Any
    train_step: TrainStep | None
    data: Batch
    validation: float | Batch
    evaluate: Evaluate | None = None
    base_optimizer: Any = None

    def learner(self) -> Learner:
        """The framework's learner, around the model.

        Raises:
            InputError: No framework fits what was handed over.
            MissingExtraError: The framework is not installed.
        """
        from lepton.training.frameworks import learner_for  # noqa: PLC0415  (only to train)

        return learner_for(
            self.model,
            train_step=self.train_step,
            evaluate=self.evaluate,
            base_optimizer=self.base_optimizer,
        )


@dataclass
class Walk:
    """Where in the training data a member is by now."""

    position: Position


class Rows:
    """A learner's prepared data, to train on and to be judged on."""

    def __init__(self, task: Task, learner: Learner, seed: int) -> None:
        data = learner.prepare(task.data)
        self.learner, self.seed = learner, seed
        if isinstance(task.validation, tuple):
            self.train, self.held_out = data, learner.prepare(task.validation)
        else:
            target = task.data[1] if len(task.data) > 1 else None
            train, held = split(rows_of(data[0]), task.validation, seed, target)
            self.train, self.held_out = learner.rows(data, train), learner.rows(data, held)
            self.train = learner.prepare(self.train)
            self.held_out = learner.prepare(self.held_out)
        self.count = rows_of(self.train[0])
        self.about = {
            "row counts": [self.count, rows_of(self.held_out[0])],
            "row shapes": [list(part.shape[1:]) for part in self.train],
            "sample": [sample_digest(learner, data) for data in (self.train, self.held_out)],
            "judged by": "the train step" if task.evaluate is None else "evaluate",
        }

    def batches(self, settings: Params, walk: Walk) -> Iterator[Batch]:
        """Endless mini-batches from where the walk is; or all the data each time."""
        if not self.learner.row_sets:
            while True:
                yield self.train
        size = settings.get(BATCH_SIZE) or self.learner.start.get(BATCH_SIZE) or DEFAULT_BATCH
        if not isinstance(size, int) or size < 1:
            raise InputError(f"batch_size is {shown(size)}; expected whole numbers from 1 on")
        for indices, position in stream(self.count, size, self.seed, walk.position):
            walk.position = position
            yield self.learner.rows(self.train, indices)


def sample_digest(learner: Learner, data: Batch) -> str:
    """The SHA-256 of some rows of prepared data, spread evenly: other data has another one."""
    rows = rows_of(data[0])
    places = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.int64))
    digest = hashlib.sha256()
    for part in learner.rows(data, places):
        plain = part.toarray() if hasattr(part, "toarray") else part
        plain = plain.detach().cpu() if hasattr(plain, "detach") else plain
        try:
            array = np.asarray(plain)
        except TypeError:  # a type that NumPy does not have
            array = np.asarray(plain.float())
        is_plain = array.dtype.kind in "biufc"
        digest.update(array.tobytes() if is_plain else repr(array.tolist()).encode())
    return digest.hexdigest()


def _differs(what: str, found: Any, known: Any) -> CheckpointError:
    if what == "judged by":
        problem = f"the held-out loss is that of {found}; this training was judged by {known}"
    elif what == "sample":
        problem = "the data holds other values than this training began with"
    else:
        problem = f"the data has {what} {shown(found)}; this training began with {shown(known)}"
    return CheckpointError(
        f"{problem}. Go on with the same, or begin under another name", found=found, expected=known
    )


def order(proposal: Proposal, checkpoints: Checkpoints) -> None:
    """Note, beside the checkpoints, what a trial goes on from: its params do not say it."""
    text = json.dumps({"from": proposal.origin["from"], "generation": proposal.generation})
    with writable(checkpoints.folder):
        (checkpoints.folder / f"{proposal.number}.order").write_text(text, encoding="utf-8")


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Around what writes a checkpoint: what goes wrong there is no failure of a member.

    Raises:
        CheckpointError: It cannot be written, whatever the framework calls that.
    """
    try:
        yield
    except LeptonError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"a checkpoint cannot be written into {folder}: {error}. See that there is room, and "
            "call it again to go on"
        ) from error


class Interval:
    """The objective that trains: called with a trial, it goes on from where `order` said.

    In another process it makes a learner of its own, of the model that was sent along.

    Args:
        task: What trains, on what.
        training: The rhythm.
        seed: The sweep's.
        folder: Where checkpoints are.
        metric: What the held-out loss is called.
    """

    def __init__(
        self, task: Task, training: Training, seed: int, folder: Path, metric: str
    ) -> None:
        self.task, self.training, self.seed = task, training, seed
        self.checkpoints, self.metric = Checkpoints(folder), metric
        self._rows: Rows | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All but what this process has made of the task."""
        return {**self.__dict__, "_rows": None}

    def use(self, learner: Learner) -> None:
        """Train with this learner, which was made of the task."""
        self._rows = Rows(self.task, learner, self.seed)

    @property
    def rows(self) -> Rows:
        """The data, and the learner, of this process."""
        if self._rows is None:
            self._rows = Rows(self.task, self.task.learner(), self.seed)
        return self._rows

    @property
    def learner(self) -> Learner:
        """The learner of this process."""
        return self.rows.learner

    def start(self) -> None:
        """Write the checkpoint of the model as it was handed over."""
        with self._writing(None) as folder:
            self._save(folder, Position())
            (folder / DATA).write_text(json.dumps(self.rows.about), encoding="utf-8")

    def check_start(self, folder: Path) -> None:
        """Load the checkpoint that `start` wrote, here or elsewhere, into today's model.

        Raises:
            CheckpointError: It is of another model or other data, or was judged otherwise.
        """
        self._load(folder)
        try:
            known = dict(json.loads((folder / DATA).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            known = {}
        for what, found in self.rows.about.items():
            if known.get(what) != found:
                raise _differs(what, found, known.get(what))

    def rehearse(self, settings: Params) -> set[str]:
        """Take one step and judge it, then put everything back.

        Whatever is wrong with the train step shows before any trial is spent on it.

        Returns:
            The settings that have no effect: neither does the framework's optimizer have them, nor
            did the train step read them.
        """
        learner = self.learner
        with TemporaryDirectory(prefix="lepton-") as kept, learner.seeded(0):
            with writable(Path(kept)):
                learner.save(Path(kept))
            try:
                with under_way(learner, settings) as given:
                    batches = self.rows.batches(settings, Walk(Position()))
                    learner.train(settings, batches, 1, 0)
                    learner.evaluate(self.rows.held_out)  # all: some losses need every class
            finally:
                learner.load(Path(kept))
        checked = hasattr(learner, "check_space")  # then it has all of them
        return set() if checked else set(settings) - set(learner.space) - given.read

    def __call__(self, trial: Trial) -> dict[str, float]:
        """Train the trial's interval; returns the losses."""
        found = json.loads((self.checkpoints.folder / f"{trial.number}.order").read_text())
        generation, training, learner = found["generation"], self.training, self.learner
        steps = training.steps_before(generation + 1) - training.steps_before(generation)
        place = self.checkpoints.place(found["from"])
        walk = Walk(self._load(place))
        with learner.seeded(trial.seed), under_way(learner, dict(trial)):
            batches = self.rows.batches(trial, walk)
            train_loss = learner.train(trial, batches, steps, trial.seed)
            loss = float(learner.evaluate(self.rows.held_out))
        if np.isfinite(loss):
            with self._writing(trial.number) as folder:
                self._save(folder, walk.position)
        return {self.metric: loss, TRAIN_LOSS: train_loss}

    @contextmanager
    def _writing(self, number: int | None) -> Iterator[Path]:
        with (
            writable(self.checkpoints.folder),
            self.checkpoints.writing(number) as folder,
        ):
            yield folder

    def _save(self, folder: Path, position: Position) -> None:
        self.learner.save(folder)
        (folder / POSITION).write_text(json.dumps(position.to_record()), encoding="utf-8")

    def _load(self, folder: Path) -> Position:
        try:
            content = json.loads((folder / POSITION).read_text(encoding="utf-8"))
            position = Position(int(content["epoch"]), int(content["offset"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CheckpointError(
                f"the checkpoint {folder.name} has no usable {POSITION}; it was altered, or is no "
                "checkpoint of Lepton's"
            ) from error
        self.learner.load(folder)
        return position
