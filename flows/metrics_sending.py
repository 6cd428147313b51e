"""What became of sending metrics, where Lepton made the provider: one warning for many log lines.

OpenTelemetry's exporter logs each attempt in 250 columns or more, and the last of them after the
summary, as the process ends.
"""

from __future__ import annotations

import logging
import os
import re

from lepton_core.errors import LeptonError
from lepton_tasks.installation.metrics_extra import ENDPOINTS
from lepton_tasks.redaction import without_secrets

EXPORTER = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
_FAILED, _ATTEMPTS = "Failed to export", ("Transient error", "Shutdown in progress")
_STATUS = re.compile(r"batch code: (\d{3})")


class SendingFailures(logging.Filter):
    """Takes the exporter's lines about failed attempts out of the log, and counts them.

    Attributes:
        count: How often metrics could not be sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is about something else."""
        text = record.getMessage()
        if text.startswith(_FAILED):
            self.count += 1
            self._last = text
        return not text.startswith((_FAILED, *_ATTEMPTS))

    def error(self) -> LeptonError:
        """The last failure, in a line."""
        variable = next((name for name in ENDPOINTS if os.environ.get(name)), ENDPOINTS[1])
        endpoint = without_secrets(os.environ.get(variable, ""))
        status = _STATUS.search(self._last)
        what = f"answers with HTTP {status[1]}" if status else "does not answer"
        return LeptonError(
            f"metrics are not sent: {endpoint} ({variable}) {what}; the sweep goes on"
        )


failures = SendingFailures()
"""Of this process; nothing is counted unless Lepton made the provider."""


def watch() -> None:
    """Begin to count, instead of leaving the lines to the log."""
    logging.getLogger(EXPORTER).addFilter(failures)
