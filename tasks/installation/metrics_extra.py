"""Whether what sends metrics is installed, where the environment says that they are to be sent."""

from __future__ import annotations

import os
from importlib.util import find_spec

from lepton_tasks.installation.check import Check
from lepton_tasks.redaction import without_secrets

ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def check_metrics() -> list[Check]:
    """What is found where an endpoint is named; nothing is looked at where none is."""
    named = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if named is None:
        return []
    place = f"{without_secrets(os.environ[named])} ({named})"
    expected = "what sends them there is installed"
    if _is_installed():
        return [Check("metrics", "ok", f"go to {place}", expected)]
    return [
        Check(
            "metrics",
            "warning",
            f"are to go to {place}, and nothing that sends them is installed",
            expected,
            "pip install 'lepton-tuning[metrics]'",
        )
    ]


def _is_installed() -> bool:
    try:
        return find_spec(EXPORTER) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
