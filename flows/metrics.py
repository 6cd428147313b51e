"""Metrics of driving, by OpenTelemetry: counted wherever a provider is, else at no cost.

The provider is the process's own (``opentelemetry-instrument``, or code of yours). Where there is
none and the environment names an OTLP endpoint, as OpenTelemetry's own tools read it, one is made
here that sends there; that needs the extra ``metrics``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry import metrics

from lepton_core.errors import MissingExtraError
from lepton_core.events import TrialRecord
from lepton_core.fold import SweepState
from lepton_core.version import __version__
from lepton_flows.metrics_sending import failures, watch
from lepton_flows.observer import Driving, Observer
from lepton_tasks.installation.metrics_extra import ENDPOINTS

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

TIMEOUTS = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
SERVICE = "service.name"
BOUNDS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0),
)
"""Of the histograms' buckets: OpenTelemetry's own suit milliseconds."""
SEND_S = 3.0  # for an endpoint that does not answer: at the end of a run, and of the process


class MetricsObserver(Observer):
    """Counts and measures what a driver does; ``docs/deployments.md`` lists the instruments.

    Args:
        provider: Whose meter; None: the process's.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        self._given, self._provider = provider, provider
        self._sweep = self._metric = ""
        self._driven_s = 0.0
        self._told = failures.count

    def began(self, driving: Driving) -> None:
        """The driver is up."""
        self._provider = self._given or process_provider()
        meter = self._provider.get_meter("lepton", __version__)
        self._up = meter.create_gauge("lepton.driver.up", description="1 while a driver lives")
        self._trials = meter.create_counter("lepton.trials", description="trials with a result")
        self._best = meter.create_gauge("lepton.best", description="the best value so far")
        self._trial_s = meter.create_histogram(
            "lepton.trial.duration",
            unit="s",
            description="what a trial took",
            explicit_bucket_boundaries_advisory=BOUNDS_S,
        )
        self._generation_s = meter.create_histogram(
            "lepton.generation.duration",
            unit="s",
            description="what a generation took",
            explicit_bucket_boundaries_advisory=BOUNDS_S,
        )
        state = driving.state
        self._sweep, self._metric = state.declaration.name, state.declaration.metric
        self._driven_s = state.driven_s
        self._up.set(1, self._of_sweep())
        self._set_best(state)

    def trial_finished(self, record: TrialRecord) -> None:
        """One more trial."""
        outcome = "usable" if record.failure is None else record.failure.kind
        labels = {**self._of_sweep(), "outcome": outcome, "proposer": record.proposal.proposer}
        self._trials.add(1, labels)
        self._trial_s.record(record.duration_s, labels)

    def trial_recalled(self, record: TrialRecord) -> None:
        """An earlier driver counted it."""

    def sealed(self, state: SweepState) -> None:
        """One more generation, and a best value, perhaps a new one.

        Raises:
            LeptonError: What was counted before could not be sent.
        """
        self._generation_s.record(state.driven_s - self._driven_s, self._of_sweep())
        self._driven_s = state.driven_s
        self._set_best(state)
        self._raise_failure()

    def ended(self) -> None:
        """The driver is down."""
        if self._sweep:
            self._up.set(0, self._of_sweep())

    def close(self) -> None:
        """Send what was counted: the process may end.

        Raises:
            LeptonError: It could not be sent by the provider that Lepton made.
        """
        flush = getattr(self._provider, "force_flush", None)
        if flush is not None:
            flush(1000 * SEND_S)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if failures.count > self._told:
            self._told = failures.count
            raise failures.error()

    def _of_sweep(self) -> dict[str, str]:
        return {"sweep": self._sweep}

    def _set_best(self, state: SweepState) -> None:
        if state.best is not None and state.best.value is not None:
            self._best.set(state.best.value, {**self._of_sweep(), "metric": self._metric})


def process_provider() -> MeterProvider:
    """The process's provider; if it has none and the environment names an endpoint, a new one.

    Raises:
        MissingExtraError: An endpoint is named, and what sends there is not installed.
    """
    provider = metrics.get_meter_provider()
    if hasattr(provider, "force_flush") or not any(os.environ.get(one) for one in ENDPOINTS):
        return provider
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter,
        )
        from opentelemetry.sdk.metrics import MeterProvider as SdkProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
            PeriodicExportingMetricReader,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    except ImportError as error:
        named = next(name for name in ENDPOINTS if os.environ.get(name))
        raise MissingExtraError(
            f"{named} is set, and what sends metrics there is not installed ({error}); "
            "install it: pip install 'lepton-tuning[metrics]'",
            extra="metrics",
        ) from None
    timeout = None if any(os.environ.get(one) for one in TIMEOUTS) else SEND_S
    exporter = OTLPMetricExporter(timeout=timeout)
    watch()
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE, "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE: "lepton"}))
    readers = [PeriodicExportingMetricReader(exporter)]
    made = SdkProvider(metric_readers=readers, resource=resource)
    metrics.set_meter_provider(made)
    return made
