"""Metrics of driving, read by OpenTelemetry's own SDK."""

from __future__ import annotations

import json
import logging
import os
import subprocess
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
from lepton_flows.metrics import MetricsObserver, process_provider
from lepton_flows.metrics_sending import SendingFailures
from lepton_flows.observer import Driving, Observer, Observers
from lepton_tasks.installation.metrics_extra import ENDPOINTS


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
    assert ENDPOINTS[0] in told_of(MetricsObserver())


def told_of(observer):
    """What is said when an observer fails at a driving's begin."""
    first = Says()
    Observers(first, observer).began(None)
    (said,) = first.said
    return said


class Says(Observer):
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def test_what_leptons_own_errors_say_stands_alone_and_others_name_who_failed(monkeypatch):
    monkeypatch.setenv(ENDPOINTS[1], "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    assert told_of(MetricsObserver()).startswith(f"warning: {ENDPOINTS[1]} is set, and what sends")

    class Breaks(Observer):
        def began(self, driving):
            raise ValueError("no")

    assert told_of(Breaks()) == "warning: Breaks failed: ValueError('no')"


def test_the_buckets_of_durations_tell_milliseconds_and_hours_apart(driven):
    reader = InMemoryMetricReader()
    driven(MetricsObserver(MeterProvider([reader])))
    found = points(reader)
    for name in ("lepton.trial.duration", "lepton.generation.duration"):
        bounds = found[name][0][1].explicit_bounds
        assert (bounds[0], bounds[-1]) == (0.005, 28800), name
        assert list(bounds) == sorted(bounds)


PROVIDER = """
import json, sys
from lepton_flows.metrics import process_provider
provider = process_provider()
print(json.dumps(dict(provider._sdk_config.resource.attributes)))
"""


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "lepton"),
        ({"OTEL_SERVICE_NAME": "nights"}, "nights"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=tuning,team=a"}, "tuning"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=a"}, "lepton"),
    ],
)
def test_the_service_is_lepton_unless_the_environment_names_another(variables, name):
    own = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROVIDER],
        env={**own, ENDPOINTS[1]: "http://127.0.0.1:9", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    attributes = json.loads(done.stdout)
    assert attributes["service.name"] == name
    assert attributes.get("team") == ("a" if "team" in str(variables) else None)


SENDS = """
from lepton_flows.metrics import MetricsObserver, process_provider
from lepton_flows.observer import Observer, Observers

class Says(Observer):
    def say(self, message):
        print(message)

process_provider().get_meter("x").create_counter("x").add(1)
observer = MetricsObserver()
observer._provider = process_provider()
watched = Observers(Says(), observer)
watched.close()
watched.close()
"""


def test_an_endpoint_that_is_away_is_one_warning_without_its_password():
    own = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", SENDS],
        env={**own, ENDPOINTS[1]: "http://me:hunter2@127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    (said,) = done.stdout.splitlines()
    assert said == (
        f"warning: metrics are not sent: http://me:***@127.0.0.1:9 ({ENDPOINTS[1]}) does not "
        "answer; the sweep goes on"
    )
    assert done.stderr == ""


def test_the_exporters_other_lines_stay_in_the_log():
    failures = SendingFailures()

    def kept(text):
        return failures.filter(logging.LogRecord("x", logging.ERROR, "", 1, text, None, None))

    assert kept("Invalid value for OTEL_EXPORTER_OTLP_HEADERS")
    assert not kept("Transient error X encountered while exporting metrics batch, retrying in 1s.")
    assert failures.count == 0
    assert not kept("Failed to export metrics batch code: 404, reason: Not Found")
    assert failures.count == 1
    assert "answers with HTTP 404" in failures.error().message
