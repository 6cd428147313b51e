"""Callbacks that report to a trial while a library trains, one module per library.

Each module is imported by those who use its library, and needs that installed. Each has a
`ReportCallback`, which reports after every round or epoch and ends the training when the trial is
to stop: see ``docs/callbacks.md``. A loop of one's own needs none:
``trial.report(epoch, loss)``, and ``if trial.should_stop(): break``.
"""
