"""Digits, tuned while it trains: a population beside random search and the framework's defaults.

Everybody takes the same number of gradient steps a model, is judged on the same held-out rows at
the same steps, and is taken at the step at which that loss was lowest; a third part of the data is
looked at in the end only. Random search trains as many models as the population has members, each
with settings drawn evenly from the same space. ::

    python benchmarks/training.py                  # PyTorch, 5 seeds: some minutes
    python benchmarks/training.py --framework keras --seeds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEEDS, MEMBERS, STEPS, ROUNDS = 5, 8, 1000, 20
TEST = 0.2  # the share of the rows that only the end result is measured on
METHODS = ("lepton", "random search", "defaults")


def torch_program(seed: int) -> tuple[Any, Callable[[Any], Any]]:
    """A model, and what makes a train step for an optimizer."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))

    def for_optimizer(optimizer: Any) -> Any:
        def train_step(model: Any, x: Any, y: Any) -> Any:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.step(model, loss)
            return loss

        return train_step

    return model, for_optimizer


def keras_program(seed: int) -> tuple[Any, Callable[[Any], Any]]:
    """The same in Keras on TensorFlow, compiled."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(10, "softmax")]
    )
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy()

    def for_optimizer(optimizer: Any) -> Any:
        @tf.function
        def train_step(model: Any, x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        return train_step

    return model, for_optimizer


PROGRAMS = {"torch": torch_program, "keras": keras_program}


def digits(seed: int) -> tuple[Any, ...]:
    """Training and held-out rows as one, and those for the end: ``(x, y), (x, y)``."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    x, x_end, y, y_end = train_test_split(x, y, test_size=TEST, random_state=seed, stratify=y)
    return (x, y), (x_end, y_end)


class Alone:
    """One model at constant settings, judged as a member is.

    Args:
        framework: A key of `PROGRAMS`.
        seed: Of the weights, the held-out rows and the order of the rows, as the population has.
    """

    def __init__(self, framework: str, seed: int) -> None:
        from lepton.training.interval import Interval, Task
        from lepton_core.declaration import Training

        self.data, self.end = digits(seed)
        model, for_optimizer = PROGRAMS[framework](seed)
        step = for_optimizer(self)  # whose step and apply_gradients are the learner's
        task = Task(model=model, train_step=step, data=self.data, validation=TEST)
        self._folder = tempfile.TemporaryDirectory()
        self.training = Training(steps=STEPS, rounds=ROUNDS)
        folder = Path(self._folder.name)
        self.interval = Interval(task, self.training, seed=seed, folder=folder, metric="loss")
        self.learner = self.interval.learner
        self.interval.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    def train(self, settings: Any) -> tuple[float, float]:
        """The lowest held-out loss of a training, and the end rows' loss at that step."""
        from lepton.training.batches import Position
        from lepton.training.interval import Walk
        from lepton.training.under_way import under_way

        learner, rows = self.learner, self.interval.rows
        learner.load(self.interval.checkpoints.place(None))
        end, walk, found = learner.prepare(self.end), Walk(Position()), []
        with under_way(learner, settings):
            for n in range(ROUNDS):
                steps = self.training.steps_before(n + 1) - self.training.steps_before(n)
                learner.train(settings, rows.batches(settings, walk), steps, 0)
                found.append((learner.evaluate(rows.held_out), learner.evaluate(end)))
        return min(found)


def population(framework: str, seed: int) -> tuple[float, float]:
    """The held-out loss that Lepton finds, and the end rows' loss of its model."""
    import lepton
    from lepton.training.frameworks import learner_for
    from lepton.training.under_way import under_way

    data, end = digits(seed)
    model, for_optimizer = PROGRAMS[framework](seed)
    optimizer = lepton.Optimizer(seed=seed, generation=MEMBERS)
    step = for_optimizer(optimizer)
    optimizer.minimize(
        step, steps=STEPS, model=model, data=data, validation=TEST, interval=STEPS // ROUNDS
    )
    learner = learner_for(optimizer.best_model, train_step=step)
    with under_way(learner, {}):
        return optimizer.best_loss, learner.evaluate(learner.prepare(end))


def compared(framework: str, seed: int) -> dict[str, tuple[float, float]]:
    """Each method's held-out and end loss."""
    from lepton_core.rng import rng

    alone = Alone(framework, seed)
    space, draw = alone.learner.space, rng(seed, "random search")
    drawn = [space.decode(draw.random(len(space))) for _ in range(MEMBERS)]
    return {
        "lepton": population(framework, seed),
        "random search": min(alone.train(settings) for settings in drawn),
        "defaults": alone.train(alone.learner.start),
    }


def main() -> None:
    """Run all seeds; print each, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--framework", choices=PROGRAMS, default="torch")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    if arguments.framework == "keras":
        os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    print("held-out loss, and the loss on rows that nobody chose by:\n")
    print(f"{'seed':>6}" + "".join(f"{method:>20}" for method in METHODS))
    found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for seed in range(arguments.seeds):
        for method, losses in compared(arguments.framework, seed).items():
            found[method].append(losses)
        print_row(str(seed), [found[method][-1] for method in METHODS])
    medians = [tuple(map(statistics.median, zip(*found[m], strict=True))) for m in METHODS]
    print_row("median", medians)
    for method in METHODS[1:]:
        pairs = list(zip(found["lepton"], found[method], strict=True))
        won = [sum(ours[i] < theirs[i] for ours, theirs in pairs) for i in (0, 1)]
        print(f"lower than {method}: held out {won[0]} of {len(pairs)}, end {won[1]}")


def print_row(name: str, losses: Any) -> None:
    """One line of the table."""
    cells = "".join(f"{held:>12.4f} {end:.4f}" + " " for held, end in losses)
    print(f"{name:>6}{cells}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
