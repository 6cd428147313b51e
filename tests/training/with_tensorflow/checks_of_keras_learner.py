"""What the Keras learner promises: exact checkpoints, held-out passes that change nothing."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import steps_after
import tensorflow as tf
from training import (
    SETTINGS,
    X,
    Y,
    batches,
    dense_model,
    learner_of,
    loss_fn,
    new_model,
    optimizer,
    plain_model,
    state,
    step_of,
    train_step,
    weights,
)

from lepton.training.keras import learner as keras_learner
from lepton.training.keras.learner import KerasLearner
from lepton_core.errors import CheckpointError, InputError

GRAPH = pytest.mark.parametrize("graph", [False, True], ids=["eager", "compiled"])
keras = tf.keras


@GRAPH
def test_steps_after_a_load_are_those_that_would_have_followed_to_the_bit(graph, tmp_path):
    learner, data = learner_of(new_model(), step_of(graph=graph))
    with learner.seeded(1):
        learner.train(SETTINGS, batches(learner, data), 5, 0)
    learner.evaluate(data)
    learner.save(tmp_path)
    saved = state(learner)
    with learner.seeded(2):
        went_on = learner.train(SETTINGS, batches(learner, data, skip=5), 5, 0)
    expected = state(learner)
    assert {dtype for dtype, _ in saved.values()} == {"float32", "int64"}

    anew, data = learner_of(new_model(built=False, seed=99), step_of(graph=graph))
    anew.load(tmp_path)
    assert state(anew) == saved
    with anew.seeded(2):
        again = anew.train(SETTINGS, batches(anew, data, skip=5), 5, 0)
    assert (again, state(anew)) == (went_on, expected)
    with anew.seeded(2):
        assert anew.train({**SETTINGS, "momentum": 0.8}, batches(anew, data), 1, 0) != went_on


@GRAPH
def test_a_new_process_takes_the_same_steps_to_the_bit(graph, tmp_path):
    learner, data = learner_of(new_model(), step_of(graph=graph))
    with learner.seeded(1):
        learner.train(SETTINGS, batches(learner, data), 5, 0)
    learner.save(tmp_path)
    script = [sys.executable, steps_after.__file__, str(tmp_path), str(graph)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == steps_after.went_on(learner, data)


def test_variables_of_every_type_are_saved_to_the_bit(tmp_path):
    kinds = ["bfloat16", "float16", "float64", "int8", "int32", "int64", "uint8", "uint32", "bool"]
    values = {kind: np.array([[3, 0], [1, 2]]) for kind in kinds}
    values["int64"] = np.array([[2**62 + 1, -(2**63)], [0, 1]])

    class Holder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            for kind, value in values.items():
                self.add_weight(
                    name=kind,
                    shape=value.shape,
                    dtype=kind,
                    trainable=False,
                    initializer="zeros",
                )
            self.one = self.add_weight(shape=(), dtype="bfloat16", trainable=False)

        def call(self, x):
            return x

    learner, _ = learner_of(dense_model(keras.layers.Input((8,)), Holder()), train_step)
    for variable in learner.model().non_trainable_variables:
        value = values.get(variable.name, np.array(1.5))
        variable.assign(tf.cast(tf.convert_to_tensor(value), variable.dtype))
    learner.save(tmp_path)
    saved = state(learner)
    for variable in learner.model().variables:
        variable.assign(tf.zeros_like(tf.convert_to_tensor(variable.value)))
    assert state(learner) != saved
    learner.load(tmp_path)
    assert state(learner) == saved


def test_a_checkpoint_of_another_model_is_refused_and_nothing_of_it_is_taken(tmp_path):
    learner, data = learner_of(new_model(), train_step)
    learner.train(SETTINGS, batches(learner, data), 2, 0)
    learner.save(tmp_path)
    for model, base, said in [
        (
            new_model(width=7),
            None,
            r"found float32 \(8, 6\) for .*kernel \(model/0\), expected .*7",
        ),
        (plain_model(), None, r"found 9 variables of the model, expected 4"),
        (new_model(), keras.optimizers.SGD(), "found the optimizer AdamW, expected SGD"),
    ]:
        other, _ = learner_of(model, train_step, base_optimizer=base)
        before = state(other)
        with pytest.raises(CheckpointError, match=said):
            other.load(tmp_path)
        assert state(other) == before
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="cannot be read"):
        learner.load(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        learner.load(tmp_path)


@GRAPH
def test_the_held_out_loss_is_that_of_inference_and_changes_nothing(graph):
    learner, data = learner_of(new_model(), step_of(graph=graph))
    for _ in range(2):  # before the first trace for training, and after it
        before = state(learner)
        found = learner.evaluate(data)
        assert state(learner) == before
        expected = float(loss_fn(Y, learner.model()(X, training=False)))
        assert found == pytest.approx(expected, rel=1e-5)
        assert found != pytest.approx(
            float(loss_fn(Y, learner.model()(X, training=True))), rel=1e-3
        )
        learner.train(SETTINGS, batches(learner, data, len(X)), 2, 0)  # in the same shapes
        assert state(learner) != before


@GRAPH
def test_a_compiled_function_within_the_train_step_trains_and_judges_as_well(graph):
    """It is traced by shapes: of as many rows, one trace serves training and held-out passes."""
    inner = tf.function(train_step)

    def outer(model, x, y):
        return inner(model, x, y) if graph else train_step(model, x, y)

    judged_first, data = learner_of(plain_model(), outer)
    judged_first.evaluate(data)
    judged_first.train(SETTINGS, batches(judged_first, data, len(X)), 3, 0)
    expected, data = learner_of(plain_model(), step_of(graph=graph))
    expected.train(SETTINGS, batches(expected, data, len(X)), 3, 0)
    assert state(judged_first) == state(expected)


def test_a_trace_made_while_judged_updates_the_model_when_it_is_called_for_training():
    model = plain_model()

    @tf.function
    def by_shapes(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def step(given, x, y):
        given(x)  # so that it may be judged
        return by_shapes(x, y)

    learner, data = learner_of(model, step)
    before = state(learner)
    learner.evaluate(data)
    assert state(learner) == before
    learner.train(SETTINGS, batches(learner, data, len(X)), 1, 0)
    assert learner._updates.iterations == 1
    trained = state(learner)
    learner.evaluate(data)
    assert state(learner) == trained


def test_a_train_step_that_does_not_use_its_model_cannot_be_judged_and_is_refused():
    model = plain_model()
    learner, data = learner_of(model, lambda _, x, y: train_step(model, x, y))
    learner.train(SETTINGS, batches(learner, data), 1, 0)
    with pytest.raises(InputError, match="does not call the model that it is given"):
        learner.evaluate(data)


@GRAPH
def test_much_held_out_data_is_judged_in_parts_weighted_by_their_rows(graph, monkeypatch):
    monkeypatch.setattr(keras_learner, "CHUNK", 36)  # 96 rows: 36, 36 and 24
    learner, data = learner_of(new_model(), step_of(graph=graph))
    expected = float(loss_fn(Y, learner.model()(X, training=False)))
    before = state(learner)
    assert learner.evaluate(data) == pytest.approx(expected, rel=1e-5)
    assert state(learner) == before


def test_the_users_own_evaluate_is_given_the_model_and_all_the_data_and_changes_nothing():
    def evaluate(model, x, y):
        assert isinstance(x, tf.Tensor)
        loss = loss_fn(y, model(x, training=True))  # moves the statistics, and dropout's generator
        return loss * 0 + len(x)

    learner, data = learner_of(new_model(), train_step, evaluate=evaluate)
    before = state(learner)
    assert learner.evaluate(data) == len(X)
    assert state(learner) == before


@pytest.mark.parametrize("call", ["keyword", "call by position", "call", "own model"])
def test_a_model_is_in_inference_mode_however_it_is_called(call):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = new_model()

        def call(self, x, training=None):
            return self.inner(x, training=training)

    def step(model, x, y):
        assert isinstance(model, keras.Model)
        with tf.GradientTape() as tape:
            if call == "call by position":
                predictions = model.call(x, True)
            elif call == "call":
                predictions = model.call(x, training=True)
            else:
                predictions = model(x, training=True)
            loss = loss_fn(y, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    model = Own() if call == "own model" else new_model()
    learner, data = learner_of(model, step)
    expected = float(loss_fn(Y, model(X, training=False)))
    assert learner.evaluate(data) == pytest.approx(expected, rel=1e-5)


@GRAPH
def test_a_model_that_is_not_built_is_built_by_the_train_step_and_not_trained(graph):
    model, built = new_model(built=False), new_model()
    learner, _ = learner_of(model, step_of(graph=graph))
    expected, _ = learner_of(built, step_of(graph=graph))
    assert state(learner) == state(expected)


def test_a_model_is_built_as_the_train_step_calls_it_or_else_by_the_first_part_of_the_data():
    def sliced(model, x, y):
        return train_step(model, x[:, :3], y)

    def with_a_setting_of_its_own(model, x, y):
        return train_step(model, x * {}["scale"], y)

    for step, width in ((sliced, 3), (with_a_setting_of_its_own, 8)):
        learner, _ = learner_of(new_model(built=False), step)
        assert learner.model().trainable_variables[0].shape == (width, 6)


def test_a_model_that_nothing_builds_is_refused():
    def impossible(model, x, y):
        raise OSError

    with pytest.raises(InputError, match=r"is not built.*keras\.Input"):
        learner_of(new_model(built=False), impossible, data=(Y, X))  # rows of no dimension
    frozen = new_model()
    frozen.trainable = False
    with pytest.raises(InputError, match="no trainable variables"):
        learner_of(frozen, train_step)


@pytest.mark.parametrize("loss", [0.5, np.float32(0.5), np.array([0.25, 0.75]), 1])
def test_a_loss_may_be_any_number_or_one_for_each_row(loss):
    def step(model, x, y):
        train_step(model, x, y)
        return loss

    learner, data = learner_of(plain_model(), step)
    assert learner.train(SETTINGS, batches(learner, data), 3, 0) == np.mean(loss)


@pytest.mark.parametrize("loss", [None, "0.5", True, (), {}, np.array([])])
def test_a_train_step_that_returns_no_number_is_refused_at_the_first_step(loss):
    def step(model, x, y):
        train_step(model, x, y)
        return loss

    learner, data = learner_of(plain_model(), step)
    with pytest.raises(InputError, match=r"the train step returned .*; expected the loss"):
        learner.train(SETTINGS, batches(learner, data), 3, 0)
    assert learner._updates.iterations == 1


@GRAPH
def test_a_train_step_that_does_not_apply_gradients_is_refused_at_the_first_step(graph):
    def step(model, x, y):
        return loss_fn(y, model(x, training=True))

    learner, data = learner_of(plain_model(), tf.function(step) if graph else step)
    taken = iter([next(batches(learner, data))])
    with pytest.raises(InputError, match=r"did not call optimizer\.apply_gradients"):
        learner.train(SETTINGS, taken, 3, 0)


@pytest.mark.parametrize("what", ["no pairs", "no gradients", "another's variables"])
def test_wrong_gradients_are_refused_with_what_to_write(what):
    other = plain_model()

    def step(model, x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        pairs = {
            "no pairs": gradients[:1],
            "no gradients": [(None, v) for v in model.trainable_variables],
            "another's variables": zip(gradients, other.trainable_variables, strict=True),
        }[what]
        optimizer.apply_gradients(pairs)
        return loss

    said = {
        "no pairs": "expected optimizer.apply_gradients",
        "no gradients": "does not depend on the model",
        "another's variables": "was no trainable variable of the model",
    }[what]
    learner, data = learner_of(plain_model(), step)
    with pytest.raises(InputError, match=said):
        learner.train(SETTINGS, batches(learner, data), 1, 0)


def test_global_generators_give_what_the_seed_gives_and_go_on_as_before():
    learner, _ = learner_of(plain_model(), train_step)

    @tf.function
    def of_keras():
        return keras.random.uniform((3,))

    def drawn():
        return [
            random.random(),
            float(np.random.random()),  # noqa: NPY002
            tf.random.uniform((3,)).numpy().tolist(),
            tf.random.get_global_generator().uniform((3,)).numpy().tolist(),
            of_keras().numpy().tolist(),
            keras.random.uniform((3,)).numpy().tolist(),
        ]

    def trained(seed):
        with learner.seeded(seed):
            return drawn()

    keras.utils.set_random_seed(5)
    tf.random.get_global_generator().reset_from_seed(5)
    of_keras()
    once, again, other = trained(1), trained(1), trained(2)
    assert once == again
    assert all(a != b for a, b in zip(once, other, strict=True))
    after = drawn()

    keras.utils.set_random_seed(5)
    tf.random.get_global_generator().reset_from_seed(5)
    keras.random.uniform((3,))
    undisturbed = drawn()
    assert after[:2] == undisturbed[:2]
    assert after[3] == undisturbed[3]
    assert after[2] not in (once[2], undisturbed[2])  # of what was drawn from TensorFlow's seed


@pytest.mark.parametrize("noisy", [False, True])
def test_tensorflows_own_seed_is_set_for_those_who_draw_from_it(noisy, monkeypatch):
    def step(model, x, y):
        noise = tf.random.normal(x.shape) if noisy else 0.0
        return train_step(model, x + noise, y)

    model = plain_model()
    learner, data = learner_of(model, step)
    first, losses, seeds = model.get_weights(), [], []
    set_seed = tf.random.set_seed
    for _ in range(3):
        model.set_weights(first)
        seeds.clear()
        monkeypatch.setattr(
            tf.random, "set_seed", lambda seed: (seeds.append(seed), set_seed(seed))
        )
        with learner.seeded(3):
            losses.append(learner.train({"learning_rate": 0.0}, batches(learner, data), 2, 0))
        monkeypatch.undo()
    assert len(set(losses)) == 1
    assert bool(seeds) == noisy, "once it is known: it makes TensorFlow prepare every function anew"


def test_data_may_be_of_numpy_tensorflow_or_pandas_and_rows_are_tensors():
    parts = [X, tf.constant(X), pd.DataFrame(X), pd.Series(Y), Y.astype("int8"), Y > 0]
    _, data = learner_of(plain_model(), lambda model, *_: model(X) * 0, data=tuple(parts))
    learner = optimizer.learner
    rows = learner.rows(data, np.array([5, 0, 5]))
    assert all(isinstance(part, tf.Tensor) for part in rows)
    assert [part.dtype.name for part in rows] == [
        *("float32", "float64", "float32", "int64", "int8", "bool")
    ]
    for part, given in zip(rows, parts, strict=True):
        np.testing.assert_allclose(part.numpy(), np.asarray(given)[[5, 0, 5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (X, r"expected a tuple of arrays"),
        ((), r"expected a tuple of arrays"),
        ((X, Y[:-1]), r"the parts of data have \[96, 95\] rows"),
        ((X[:1], Y[:1]), "data has 1 rows; expected 2 or more"),
        ((X.tolist(), Y), r"data\[0\] is .*numpy\.asarray"),
        ((X, 3.0), r"data\[1\] is 3\.0 \(float\)"),
        ((X, np.float64(3)), r"data\[1\] is .*one value"),
        ((pd.DataFrame({"a": ["x", "y"]}, dtype=object), Y[:2]), r"values of type object"),
        ((tf.data.Dataset.from_tensor_slices(X),), "what the dataset was made of"),
        ((tf.ragged.constant([[1], [2, 3]]),), r"data\[0\] is .*expected an array"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data, said):
    learner = KerasLearner(plain_model(), train_step)
    with pytest.raises(InputError, match=said):
        learner.prepare(data)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model", train_step), "expected a model of Keras 3"),
        ((plain_model, train_step), "expected a model of Keras 3"),
        ((plain_model(), None), "the train step is None; expected a function"),
        ((plain_model(), train_step, 3), "evaluate is 3; expected a function"),
    ],
)
def test_what_is_no_model_or_no_function_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        KerasLearner(*arguments)


def test_the_model_handed_over_is_the_one_that_is_trained():
    model = plain_model()
    before = weights(model)
    learner, data = learner_of(model, train_step)
    learner.train(SETTINGS, batches(learner, data), 1, 0)
    assert learner.model() is model
    assert any((a != b).any() for a, b in zip(weights(model), before, strict=True))
