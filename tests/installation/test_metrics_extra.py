"""``lepton doctor`` on metrics: looked at where the environment names where they are to go."""

from __future__ import annotations

import pytest

from lepton_tasks.installation import metrics_extra
from lepton_tasks.installation.metrics_extra import ENDPOINTS, check_metrics


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch):
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


def test_without_an_endpoint_nothing_is_looked_at():
    assert check_metrics() == []


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_is_told_without_its_password(monkeypatch, name):
    monkeypatch.setenv(name, "http://me:hunter2@127.0.0.1:4318")
    (check,) = check_metrics()
    assert (check.state, check.found) == ("ok", f"go to http://me:***@127.0.0.1:4318 ({name})")


def test_an_endpoint_without_the_extra_is_a_warning_of_the_doctor(
    empty_folder, doctor, monkeypatch
):
    monkeypatch.setenv(ENDPOINTS[1], "http://127.0.0.1:4318")
    monkeypatch.setattr(metrics_extra, "EXPORTER", "opentelemetry.none.at.all")
    told = doctor()
    assert told.state("metrics") == "warning"
    assert told.checks["metrics"]["advice"] == "pip install 'lepton-tuning[metrics]'"
