"""YAHPO's surrogates of real hyperparameter runs (Pfisterer et al., 2022) as search problems.

One small neural net a scenario maps params to what real runs measured: see the README, and its
warnings, in `data/yahpo`. Only the 20 development instances named there, and the four data sets of
`iaml_glmnet`, may be run; all others are held out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.space import Choice, Domain, Float, Int, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data" / "yahpo"
GLMNET_REFERENCES = DATA.parent / "glmnet_references.json"  # `references.py glmnet` makes it


@dataclass(frozen=True)
class Scenario:
    """What a scenario's net takes in and gives out, in its own order.

    Attributes:
        instance: The input that says which data set.
        fidelity: What full fidelity is, by name.
        losses: For each metric, which output it is, and the loss that it means.
    """

    family: str
    instance: str
    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    fidelity: Mapping[str, float]
    losses: Mapping[str, tuple[int, Callable[[Any], Any]]]


SCENARIOS = {
    "lcbench": Scenario(
        "lcbench",
        "OpenML_task_id",
        ("OpenML_task_id",),
        (
            "epoch",
            "batch_size",
            "learning_rate",
            "momentum",
            "weight_decay",
            "num_layers",
            "max_units",
            "max_dropout",
        ),
        {"epoch": 52},
        {"val_accuracy": (1, lambda y: 1 - y / 100), "val_cross_entropy": (2, lambda y: y)},
    ),
    "rbv2_xgboost": Scenario(
        "xgboost",
        "task_id",
        ("task_id", "booster", "num.impute.selected.cpo"),
        (
            "nrounds",
            "eta",
            "gamma",
            "lambda",
            "alpha",
            "subsample",
            "max_depth",
            "min_child_weight",
            "colsample_bytree",
            "colsample_bylevel",
            "rate_drop",
            "skip_drop",
            "trainsize",
            "repl",
        ),
        {"trainsize": 1.0, "repl": 10},
        {"acc": (0, lambda y: 1 - y), "logloss": (5, lambda y: y)},
    ),
    "iaml_glmnet": Scenario(
        "glmnet",
        "task_id",
        ("task_id",),
        ("alpha", "s", "trainsize"),
        {"trainsize": 1.0},
        {"logloss": (3, lambda y: y)},
    ),
}


@dataclass(frozen=True)
class Instance:
    """One data set of a scenario and what is minimised on it."""

    name: str
    scenario: str
    instance: str
    metric: str

    @property
    def family(self) -> str:
        """What the benchmark's tables call its scenario."""
        return SCENARIOS[self.scenario].family

    @property
    def space(self) -> Space:
        """The search space, as a sweep declares it."""
        return _space(self.scenario)

    def losses(self, many: Sequence[Mapping[str, Any]]) -> Array:
        """``(n,)``, the loss of each of n params at full fidelity; no noise."""
        scenario, codes = SCENARIOS[self.scenario], _encoding(self.scenario)
        fixed = {scenario.instance: self.instance, **scenario.fidelity}
        rows = [{**params, **fixed} for params in many]
        x_cat = [[codes[c][row.get(c, "#na#")] for c in scenario.categories] for row in rows]
        x_cont = [[row.get(n, 0) for n in scenario.numbers] for row in rows]
        inputs = {"x_cat": np.array(x_cat, np.int32), "x_cont": np.array(x_cont, np.float32)}
        output, loss = scenario.losses[self.metric]
        (found,) = _net(self.scenario).run(None, inputs)
        return np.asarray(loss(found[:, output].astype(float)))

    def loss(self, params: Mapping[str, Any]) -> float:
        """The loss of the params at full fidelity; no noise."""
        return float(self.losses([params])[0])


@cache
def development() -> dict[str, Instance]:
    """The instances that may be run, by name."""
    listed = json.loads((DATA / "dev_instances.json").read_text())
    keys = ("name", "scenario", "instance", "metric")
    found = [Instance(*(one[key] for key in keys)) for one in listed]
    data_sets = [key for key in _encoding("iaml_glmnet")["task_id"] if key != "#na#"]
    found += [Instance(f"glmnet-{i}-logloss", "iaml_glmnet", i, "logloss") for i in data_sets]
    return {one.name: one for one in found}


def instance(name: str) -> Instance:
    """One of the instances that may be run.

    Raises:
        ValueError: It is held out, or there is none of this name.
    """
    if name not in development():
        raise ValueError(
            f"found {name!r}; expected one of {', '.join(development())}. All other instances "
            "are held out: nothing is run on them"
        )
    return development()[name]


def references() -> dict[str, dict[str, float]]:
    """By name: `median_random`, `best_of_20k_random` and `best_known` losses."""
    listed = json.loads((DATA / "dev_instances.json").read_text())
    if GLMNET_REFERENCES.exists():
        listed += json.loads(GLMNET_REFERENCES.read_text())["instances"]
    keys = ("median_random", "best_of_20k_random", "best_known")
    return {one["name"]: {key: one[key] for key in keys} for one in listed}


@cache
def _encoding(scenario: str) -> dict[str, dict[str, int]]:
    return dict(json.loads((DATA / scenario / "encoding.json").read_text()))


@cache
def _net(scenario: str) -> Any:
    """The scenario's net; one a process, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(DATA / scenario / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )


@cache
def _space(name: str) -> Space:
    scenario = SCENARIOS[name]
    declared = json.loads((DATA / name / "config_space.json").read_text())
    when: dict[str, dict[str, list[str]]] = {}
    for condition in declared["conditions"]:
        allowed = condition["values"] if condition["type"] == "IN" else [condition["value"]]
        when.setdefault(condition["child"], {})[condition["parent"]] = allowed
    given = {scenario.instance, *scenario.fidelity}
    params: dict[str, Domain] = {}
    for one in declared["hyperparameters"]:
        key = one["name"]
        if key in given:
            continue
        if one["type"] == "categorical":
            params[key] = Choice(one["choices"], when=when.get(key))
        else:
            kind = Int if one["type"] == "uniform_int" else Float
            params[key] = kind(one["lower"], one["upper"], log=one["log"], when=when.get(key))
    return Space(params)
