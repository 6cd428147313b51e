"""What trials report that were asked for, of a recorded sweep: it goes to the run of each."""

from __future__ import annotations

import weakref

from lepton_tasks.reports import Reports


class AskedReports:
    """The reports of the trials that are handed out, by number."""

    def __init__(self) -> None:
        self._open: dict[int, Reports] = {}

    def begin(self, number: int, reports: Reports) -> None:
        """A trial has a run, perhaps another one than before."""
        self._open[number] = reports

    def end(self, number: int) -> None:
        """A trial is about to be told: write what is left."""
        reports = self._open.pop(number, None)
        if reports is not None:
            reports.close()

    def pause(self) -> None:
        """The sweep is about to be given back: write what is left."""
        for reports in self._open.values():
            reports.close()

    def find(self, number: int) -> Reports | None:
        """Where a trial's reports go now."""
        return self._open.get(number)


class Port:
    """What a trial that was asked for reports to. It keeps no optimizer from being forgotten."""

    def __init__(self, reports: AskedReports, number: int) -> None:
        self._reports, self._number = weakref.ref(reports), number

    def _find(self) -> Reports | None:
        reports = self._reports()
        return None if reports is None else reports.find(self._number)

    def report(self, step: int, value: float) -> None:
        """Pass a report on."""
        found = self._find()
        if found is not None:
            found.report(step, value)

    def should_stop(self) -> bool:
        """Whether somebody stopped the sweep since the trial was handed out."""
        found = self._find()
        return found is not None and found.should_stop()
