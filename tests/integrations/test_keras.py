"""lepton.integrations.keras, with Keras on torch."""

from __future__ import annotations

import doctest

import keras
import numpy as np
import pytest

from lepton.integrations import keras as module
from lepton.integrations.keras import ReportCallback
from lepton_core.errors import InputError
from lepton_core.trial import Trial

X = np.linspace(-1, 1, 32).reshape(16, 2)
Y = X.sum(axis=1)


@pytest.fixture
def fit():
    def call(trial, monitor="val_loss", *, validated=True, epochs=3, callbacks=(), **more):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        return model.fit(
            X,
            Y,
            epochs=epochs,
            batch_size=8,
            validation_data=(X, Y) if validated else None,
            callbacks=[ReportCallback(trial, monitor), *callbacks],
            verbose=0,
            **more,
        ).history

    return call


@pytest.mark.parametrize("monitor", ["val_loss", "loss", "val_mae"])
def test_each_epoch_is_reported_with_its_value(fit, listening, monitor):
    trial, heard = listening()
    history = fit(trial, monitor)
    assert heard.steps == [0, 1, 2]
    assert heard.values == history[monitor]


def test_epochs_that_are_not_validated_are_left_out(fit, listening):
    trial, heard = listening()
    history = fit(trial, epochs=4, validation_freq=2)
    assert heard.steps == [1, 3]
    assert heard.values == history["val_loss"]


def test_a_training_that_goes_on_goes_on_with_its_steps(fit, listening):
    trial, heard = listening()
    fit(trial, epochs=5, initial_epoch=3)
    assert heard.steps == [3, 4]


def test_a_trial_that_is_to_stop_ends_the_training(fit, listening):
    trial, heard = listening(stop_after=2)
    history = fit(trial, epochs=500)
    assert heard.steps == [0, 1]
    assert len(history["loss"]) == 2


def test_early_stopping_is_as_without_it(fit, listening):
    trial, heard = listening()
    early = keras.callbacks.EarlyStopping(patience=1, min_delta=100)
    history = fit(trial, epochs=50, callbacks=[early])
    assert heard.values == history["val_loss"]
    assert len(heard.reports) < 5


@pytest.mark.parametrize("monitor", ["accuracy", "val_accuracy"])
def test_a_key_that_is_not_there_is_said_after_the_first_epoch(fit, listening, monitor):
    trial, heard = listening()
    with pytest.raises(InputError, match=f"'{monitor}', which is not .*'loss', .*'val_loss'"):
        fit(trial, monitor, epochs=500)
    assert heard.reports == []


def test_a_validation_that_never_was_is_said_at_the_end(fit, listening):
    with pytest.raises(InputError, match=r"'val_loss', which is not .*; give fit its validation_d"):
        fit(listening()[0], validated=False)


def test_a_callback_serves_several_trainings(fit, listening):
    trial, heard = listening()
    report = ReportCallback(trial)
    for _ in range(2):
        fit(Trial({}), callbacks=[report], epochs=2)
    assert heard.steps == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(({"lr": 0.1},), "expected the trial"), ((Trial({}), None), "expected a metric's name")],
)
def test_a_wrong_argument_is_refused_at_once(arguments, said):
    with pytest.raises(InputError, match=said):
        ReportCallback(*arguments)


def test_in_a_recorded_sweep_each_epoch_is_a_point_in_mlflow(recorded):
    objective = """
import json
import keras, numpy as np
from lepton.integrations.keras import ReportCallback

def objective(trial):
    X = np.linspace(-1, 1, 32).reshape(16, 2)
    y = X.sum(axis=1)
    keras.utils.set_random_seed(trial.seed)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(trial["lr"]), "mse")
    report = ReportCallback(trial)
    log = model.fit(X, y, epochs=3, validation_data=(X, y), callbacks=[report], verbose=0).history
    json.dump(log["val_loss"], open(f"{trial.number}.json", "w"))
    return log["val_loss"][-1]
"""
    for log, points in recorded(objective, env={"KERAS_BACKEND": "torch"}):
        assert points == list(enumerate(log))


def test_its_example_runs():
    failed, ran = doctest.testmod(module)
    assert (failed, ran > 0) == (0, True)
