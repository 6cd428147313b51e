"""lepton.training.frameworks: which learner a model gets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier

from lepton.training.frameworks import learner_for
from lepton_core.errors import InputError


def train_step(model, x, y):
    return 0.0


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


class Own(torch.nn.Linear):
    """A user's module."""


@pytest.mark.parametrize(
    ("model", "step", "name"),
    [
        (Own(2, 1), train_step, "TorchLearner"),
        (SGDClassifier(), None, "PartialFitLearner"),
        (xgboost.XGBRegressor(), None, "BoostingLearner"),
    ],
)
def test_a_model_gets_the_learner_of_its_framework(model, step, name):
    learner = learner_for(model, train_step=step)
    assert type(learner).__name__ == name
    assert learner.model() is model


def test_a_keras_model_on_the_torch_backend_is_a_module():
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert type(learner_for(model, train_step=train_step)).__name__ == "TorchLearner"


@pytest.mark.parametrize("step", [None, "step"])
def test_a_module_needs_a_train_step(step):
    with pytest.raises(InputError, match=r"expected a function train_step\(model, x, y\)"):
        learner_for(Own(2, 1), train_step=step)


@pytest.mark.parametrize("model", [SGDClassifier(), xgboost.XGBClassifier()])
@pytest.mark.parametrize("argument", ["train_step", "base_optimizer"])
def test_an_estimator_has_no_use_for_a_train_step(model, argument):
    with pytest.raises(InputError, match=f"{argument} is given, and a .* has no use for it"):
        learner_for(model, **{argument: train_step})


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            RandomForestClassifier(),
            "model is a sklearn.ensemble.*RandomForestClassifier, which noth",
        ),
        (
            None,
            "model is a builtins.NoneType, which nothing here trains in steps; expected a Keras",
        ),
        (SGDClassifier, r"model is the class SGDClassifier; expected a model: SGDClassifier\("),
        (xgboost.XGBRFClassifier(), "expected an XGBClassifier or an XGBRegressor"),
    ],
)
def test_other_models_are_refused_with_what_is_possible(model, said):
    with pytest.raises(InputError, match=said):
        learner_for(model)


def test_evaluate_must_be_a_function():
    with pytest.raises(InputError, match="evaluate is 3; expected a function"):
        learner_for(SGDClassifier(), evaluate=3)


def test_a_library_that_is_missing_is_named_with_its_extra():
    said = run("""
import sys, torch
sys.modules["safetensors"] = None  # as if it were not installed
from lepton.training.frameworks import learner_for
try:
    learner_for(torch.nn.Linear(2, 1), train_step=print)
except ImportError as error:
    print(type(error).__name__, error)
""")
    assert said.startswith("MissingExtraError to train this model needs a library")
    assert "pip install 'lepton-tuning[torch]'" in said


def test_no_library_is_loaded_but_that_of_the_model():
    said = run("""
import sys
from sklearn.linear_model import SGDClassifier
from lepton.training.frameworks import learner_for
learner_for(SGDClassifier())
print(sorted({"tensorflow", "keras", "xgboost"} & sys.modules.keys()))  # skops brings torch
""")
    assert said.strip() == "[]"
