"""What a Lightning callback does, for both packages that Lightning is published as."""

from __future__ import annotations

from typing import Any

from lepton.integrations.extras import checked_name, checked_trial
from lepton_core.errors import InputError
from lepton_core.trial import Trial

__all__ = ()  # the callbacks are what users import


class Reporting:
    """The hooks of a callback that reports a metric after each epoch.

    Args:
        trial: What the objective was given.
        monitor: A metric that the module logs.
    """

    def __init__(self, trial: Trial, monitor: str = "val_loss") -> None:
        super().__init__()
        self.trial = checked_trial(trial)
        self.monitor = checked_name(monitor, "monitor")
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._there_before = False  # whether the metric was there when the first validation began
        self._validated = False
        self._of_validation: bool | None = None  # not known before the first validation
        self._reported = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin anew: a callback may be used for several trainings."""
        del trainer, pl_module
        self._begin_anew()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Note whether the metric is there without this validation."""
        del pl_module
        if not trainer.sanity_checking and self._of_validation is None:
            self._there_before = self.monitor in trainer.callback_metrics

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what the validation logged."""
        del pl_module
        if trainer.sanity_checking:
            return
        there = self.monitor in trainer.callback_metrics
        if self._of_validation is None:
            self._of_validation = there and not self._there_before
        self._validated = True
        if self._of_validation:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what the training logged: what a validation did would be an older epoch's here."""
        del pl_module
        if not self._of_validation:
            if self.monitor in trainer.callback_metrics:
                self._report(trainer)
            elif self._validated or not trainer.enable_validation:
                raise self._not_there(trainer)
        self._stop_if_told(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """See that there was something to report."""
        del pl_module
        if not self._reported and not trainer.should_stop:
            raise self._not_there(trainer)

    def _report(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            self.trial.report(trainer.current_epoch, trainer.callback_metrics[self.monitor])
        self._reported = True
        self._stop_if_told(trainer)

    def _stop_if_told(self, trainer: Any) -> None:
        """Stop all processes of the training if one of them is told to."""
        stop = trainer.strategy.reduce_boolean_decision(self.trial.should_stop(), all=False)
        trainer.should_stop = trainer.should_stop or stop

    def _not_there(self, trainer: Any) -> InputError:
        found = ", ".join(map(repr, trainer.callback_metrics)) or "nothing"
        return InputError(
            f"monitor is {self.monitor!r}, and after an epoch the module has logged {found}; log "
            f"it there: self.log({self.monitor!r}, ...)",
            monitor=self.monitor,
        )
