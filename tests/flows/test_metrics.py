"""Metrics of driving, read by OpenTelemetry's own SDK."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from lepton_core.declaration import Budget, Declaration, Portfolio, Settings
from lepton_core.errors import MissingExtraError
from lepton_core.events import Failure, SettingsAmended
from lepton_core.fold import evolve, replay
from lepton_core.space import Float, Space
from lepton_core.strategies import sealed, sweep_events
from lepton_flows.metrics import ENDPOINTS, MetricsObserver, process_provider
from lepton_flows.observer import Driving


@pytest.fixture
def driven():
    """An observer that saw two generations, the second one half from the record."""

    def run(observer):
        declared = Declaration(
            name="demo",
            space=Space({"x": Float(0, 1)}),
            generation=4,
            metric="auc",
            direction="maximize",
            portfolio=Portfolio(proposers=("random",)),
        )
        settings = Settings(budget=Budget(trials=8))
        state = evolve(replay(sweep_events(declared, [])), SettingsAmended(settings=settings))
        observer.began(
            Driving(
                state=state,
                settings=settings,
                resumed=False,
                place="here",
                parent="p",
                experiment_id="1",
            )
        )
        for losses in ([0.1, 0.4, 0.2, Failure(kind="nan", reason="it was")], [0.1, 0.3, 0.2, 0.2]):
            event = sealed(state, losses)
            for trial in event.trials:
                old = state.generations_done == 1 and trial.proposal.slot < 2
                (observer.trial_recalled if old else observer.trial_finished)(trial)
            state = evolve(state, event)
            observer.sealed(state)
        return state

    return run


def points(reader):
    """What was measured: by name, each point's labels and what it holds."""
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = [(dict(p.attributes), p) for p in metric.data.data_points]
    return found


def test_trials_generations_the_best_and_the_driver_are_measured(driven):
    reader = InMemoryMetricReader()
    observer = MetricsObserver(MeterProvider([reader]))
    state = driven(observer)
    found = points(reader)
    counted = {
        (labels["sweep"], labels["outcome"], labels["proposer"]): point.value
        for labels, point in found["lepton.trials"]
    }
    assert {key: n for key, n in counted.items() if key[1] == "nan"} == {
        ("demo", "nan", "sobol"): 1
    }
    assert sum(counted.values()) == 6  # two of the eight were counted by an earlier driver
    assert sum(point.count for _, point in found["lepton.trial.duration"]) == 6
    ((labels, generations),) = found["lepton.generation.duration"]
    assert (labels, generations.count) == ({"sweep": "demo"}, 2)
    assert generations.sum == state.driven_s
    ((labels, best),) = found["lepton.best"]
    assert (labels, best.value) == ({"sweep": "demo", "metric": "auc"}, 0.4)
    ((_, up),) = found["lepton.driver.up"]
    assert up.value == 1
    observer.ended()
    observer.close()
    ((_, up),) = points(reader)["lepton.driver.up"]
    assert up.value == 0


def test_without_a_provider_nothing_is_measured_and_nothing_fails(driven, monkeypatch):
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    observer = MetricsObserver()
    driven(observer)
    observer.ended()
    observer.close()


def test_an_endpoint_without_what_sends_there_names_the_extra(monkeypatch):
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:9/v1/metrics")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lepton-tuning\[metrics\]'"):
        process_provider()
