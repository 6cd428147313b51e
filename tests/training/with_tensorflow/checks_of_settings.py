"""Settings take effect in every step, whether the train step is compiled or not."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from training import (
    SETTINGS,
    batches,
    learner_of,
    loss_fn,
    optimizer,
    plain_model,
    step_of,
    weights,
)

from lepton.training.gradient_settings import SPACE, START
from lepton.training.keras.learner import KerasLearner
from lepton_core.errors import InputError

GRAPH = pytest.mark.parametrize("graph", [False, True], ids=["eager", "compiled"])
OTHERS = {
    "learning_rate": 0.05,
    "momentum": 0.6,
    "weight_decay": 0.3,
    "clip_norm": 0.05,
}
keras = tf.keras


def by_hand(template, phases):
    """The same training by Keras alone: a new optimizer for each phase, with the slots so far."""
    model = plain_model()
    learner, data = learner_of(plain_model(), step_of(graph=False))
    rows = batches(learner, data)
    slots = None
    for settings, steps in phases:
        rule = template(settings)
        rule.build(model.trainable_variables)
        if slots is not None:
            kept = [v for v in rule.variables if v.path.split("/")[-1] != "learning_rate"]
            for variable, value in zip(kept, slots, strict=True):
                variable.assign(value)
        for _ in range(steps):
            x, y = next(rows)
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            if "clip_norm" in settings:
                gradients, _ = tf.clip_by_global_norm(gradients, settings["clip_norm"])
            rule.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        slots = [v.numpy() for v in rule.variables if v.path.split("/")[-1] != "learning_rate"]
    return weights(model)


def by_learner(base, phases, *, graph):
    model = plain_model()
    learner, data = learner_of(model, step_of(graph=graph), base_optimizer=base)
    rows = batches(learner, data)
    for settings, steps in phases:
        learner.train(settings, rows, steps, 0)
    return weights(model)


def adamw(settings):
    return keras.optimizers.AdamW(
        settings["learning_rate"],
        beta_1=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


@GRAPH
@pytest.mark.parametrize("changed", OTHERS)
def test_a_setting_that_changes_between_intervals_changes_adamw_as_keras_itself_would(
    changed, graph
):
    phases = [(SETTINGS, 3), ({**SETTINGS, changed: OTHERS[changed]}, 3), (SETTINGS, 2)]
    found = by_learner(None, phases, graph=graph)
    assert_close(found, by_hand(adamw, phases))
    unchanged = by_learner(None, [(SETTINGS, 8)], graph=graph)
    assert max(np.abs(a - b).max() for a, b in zip(found, unchanged, strict=True)) > 1e-4


TEMPLATES = {
    "SGD": (
        keras.optimizers.SGD(0.02, momentum=0.7),
        lambda s: keras.optimizers.SGD(
            s["learning_rate"], momentum=s["momentum"], weight_decay=s["weight_decay"]
        ),
    ),
    "SGD without momentum": (
        keras.optimizers.SGD(0.02),
        lambda s: keras.optimizers.SGD(
            s["learning_rate"], momentum=s["momentum"], weight_decay=s["weight_decay"]
        ),
    ),
    "SGD with Nesterov's": (
        keras.optimizers.SGD(0.02, momentum=0.7, nesterov=True),
        lambda s: keras.optimizers.SGD(
            s["learning_rate"],
            momentum=s["momentum"],
            nesterov=True,
            weight_decay=s["weight_decay"],
        ),
    ),
    "RMSprop": (
        keras.optimizers.RMSprop(0.02),
        lambda s: keras.optimizers.RMSprop(
            s["learning_rate"], momentum=s["momentum"], weight_decay=s["weight_decay"]
        ),
    ),
    "Nadam": (
        keras.optimizers.Nadam(),
        lambda s: keras.optimizers.Nadam(
            s["learning_rate"], beta_1=s["momentum"], weight_decay=s["weight_decay"]
        ),
    ),
    "Lion": (
        keras.optimizers.Lion(),
        lambda s: keras.optimizers.Lion(
            s["learning_rate"], beta_1=s["momentum"], weight_decay=s["weight_decay"]
        ),
    ),
    "Adagrad": (
        keras.optimizers.Adagrad(),
        lambda s: keras.optimizers.Adagrad(s["learning_rate"], weight_decay=s["weight_decay"]),
    ),
}


@GRAPH
@pytest.mark.parametrize("name", TEMPLATES)
def test_another_optimizer_of_keras_is_used_with_the_settings_that_it_has(name, graph):
    base, by_keras = TEMPLATES[name]
    phases = [(SETTINGS, 3), (OTHERS, 3)]
    assert_close(by_learner(base, phases, graph=graph), by_hand(by_keras, phases))


@pytest.mark.parametrize(
    "kind",
    [
        *("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor"),
        *("Nadam", "Ftrl", "Lion", "Lamb", "Muon", "ScheduleFreeAdamW"),
    ],
)
def test_every_optimizer_of_keras_heeds_each_setting_that_its_space_has(kind):
    model, base = plain_model(), getattr(keras.optimizers, kind)()
    learner, data = learner_of(model, step_of(graph=True), base_optimizer=base)
    first = weights(model)

    def trained(*phases):
        learner._updates.reset()
        for variable, value in zip(model.trainable_variables, first, strict=True):
            variable.assign(value)
        rows = batches(learner, data)
        for settings in phases:
            learner.train(settings, rows, 5, 0)
        return weights(model)

    unchanged = trained(SETTINGS, SETTINGS)
    assert {"learning_rate", "weight_decay", "batch_size", "clip_norm"} <= set(learner.space)
    # Those that divide by the gradients' own size do not see how far they are scaled.
    for name in set(learner.space) & {"learning_rate", "momentum", "weight_decay"}:
        found = trained(SETTINGS, {**SETTINGS, name: OTHERS[name]})
        assert any((a != b).any() for a, b in zip(found, unchanged, strict=True)), name


def test_settings_that_are_not_given_are_the_optimizers_own_and_others_are_the_users():
    base = keras.optimizers.SGD(0.05, momentum=0.5)
    own = {"learning_rate": 0.05, "momentum": 0.5}
    expected = by_hand(lambda _: keras.optimizers.SGD(0.05, momentum=0.5), [({}, 4)])
    assert_close(by_learner(base, [({}, 4)], graph=False), expected)
    assert_close(by_learner(base, [({**own, "mixup": 0.3}, 4)], graph=False), expected)


def test_the_space_has_what_the_optimizer_has_and_starts_at_its_own_settings():
    def of(base):
        return KerasLearner(plain_model(), step_of(graph=False), None, base)

    assert of(None).space == SPACE
    assert of(None).start == START
    sgd = of(keras.optimizers.SGD(0.05, momentum=0.8))
    assert sgd.start == {**START, "learning_rate": 0.05, "momentum": 0.8}
    assert "momentum" not in of(keras.optimizers.Adagrad()).space
    for base in (None, keras.optimizers.SGD(), keras.optimizers.Adagrad(1.0)):
        assert of(base).space.validate(of(base).start) == dict(of(base).start)


@GRAPH
def test_a_train_step_that_was_traced_serves_the_next_learner_of_the_same_model(graph):
    step, model = step_of(graph=graph), plain_model()
    first = weights(model)
    found = []
    for _ in range(2):
        for variable, value in zip(model.trainable_variables, first, strict=True):
            variable.assign(value)
        learner, data = learner_of(model, step)
        learner.train(SETTINGS, batches(learner, data), 3, 0)
        found.append(weights(model))
    assert all((a == b).all() for a, b in zip(*found, strict=True))


def test_a_train_step_that_was_traced_with_another_optimizer_is_refused():
    step, model = step_of(graph=True), plain_model()
    learner, data = learner_of(model, step)
    learner.train(SETTINGS, batches(learner, data), 1, 0)
    learner, data = learner_of(model, step, base_optimizer=keras.optimizers.SGD())
    with pytest.raises(InputError, match=r"traced by tf\.function in another training"):
        learner.train(SETTINGS, batches(learner, data), 1, 0)


def test_rows_of_an_embedding_are_updated_and_clipped():
    def made():
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Input((3,)), keras.layers.Embedding(9, 4), keras.layers.Flatten()]
        return keras.Sequential([*layers, keras.layers.Dense(2, "softmax")])

    x, y = np.arange(36).reshape(12, 3) % 7, np.arange(12) % 2
    found = {}
    for clip in (1e-4, 10.0):
        model = made()
        learner, data = learner_of(
            model, step_of(graph=True), data=(x, y), base_optimizer=keras.optimizers.SGD(0.1)
        )
        before = weights(model)
        learner.train({"clip_norm": clip}, batches(learner, data, 4), 1, 0)
        moved = [np.abs(a - b).max() for a, b in zip(weights(model), before, strict=True)]
        found[clip] = moved[0]
        norm = np.sqrt(
            sum(((a - b) ** 2).sum() for a, b in zip(weights(model), before, strict=True))
        )
        assert norm <= 0.1 * clip * 1.01
    assert 0 < found[1e-4] < found[10.0]


def test_a_choice_of_clipping_or_none_may_be_tuned():
    moved = []
    for clip in (1e-4, None, 1e9):
        model = plain_model()
        learner, data = learner_of(model, step_of(graph=True))
        before = weights(model)
        learner.train({"clip_norm": clip, "momentum": None}, batches(learner, data, 8), 1, 0)
        moved.append([a - b for a, b in zip(weights(model), before, strict=True)])
    assert all(np.array_equal(a, b) for a, b in zip(moved[1], moved[2], strict=True))


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("sgd", "expected one of Keras"),
        (keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9)), "schedule"),
        (keras.optimizers.SGD(lambda: 0.1), "schedule"),
        (keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "hands its work"),
    ],
)
def test_an_optimizer_whose_settings_cannot_be_changed_is_refused(base, said):
    with pytest.raises(InputError, match=said):
        KerasLearner(plain_model(), step_of(graph=False), None, base)


def test_a_setting_that_is_no_number_is_refused():
    learner, data = learner_of(plain_model(), step_of(graph=False))
    with pytest.raises(InputError, match=r"momentum is 'high'; expected a number"):
        learner.train({"momentum": "high"}, batches(learner, data), 1, 0)


def test_the_template_stays_as_it_is():
    base = keras.optimizers.SGD(0.05, momentum=0.5)
    learner, data = learner_of(plain_model(), step_of(graph=False), base_optimizer=base)
    learner.train(SETTINGS, batches(learner, data), 2, 0)
    assert not base.built
    assert float(base.learning_rate) == pytest.approx(0.05)
    assert optimizer.learner is learner
