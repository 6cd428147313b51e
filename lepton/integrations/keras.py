"""Reporting while Keras 3 trains, on any of its backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton.integrations.extras import checked_name, checked_trial, missing
from lepton_core.errors import InputError
from lepton_core.trial import Trial

try:
    from keras.callbacks import Callback
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] == "keras":
        raise missing("keras", error) from error
    raise  # Keras is there, and its backend is not: Keras says so

__all__ = ["ReportCallback"]


class ReportCallback(Callback):  # type: ignore[misc]  # Keras carries no types
    """Reports a metric after each epoch; ends the training when told to stop.

    The step is the number of the epoch, from 0 (or ``initial_epoch``). The value is Keras's own: an
    accuracy is reported as it is. Of epochs that are not validated (``validation_freq``) nothing is
    reported.

    Args:
        trial: What the objective was given.
        monitor: A key of Keras's logs: ``"loss"``, ``"val_loss"``, ``"val_accuracy"``.

    Raises:
        InputError: At once, if an argument is wrong; after the first epoch, if the logs have no
            such key; after the last one, if it is of a validation that never was.

    Example:
        >>> import keras, numpy as np
        >>> from lepton import Trial
        >>> from lepton.integrations.keras import ReportCallback
        >>> def objective(trial):
        ...     X, y = np.ones((8, 2)), np.ones((8, 1))
        ...     model = keras.Sequential([keras.layers.Dense(1)])
        ...     model.compile(keras.optimizers.SGD(trial["lr"]), "mse")
        ...     report = ReportCallback(trial, "val_loss")
        ...     fitted = model.fit(
        ...         X, y, epochs=2, validation_data=(X, y), callbacks=[report], verbose=0
        ...     )
        ...     return float(fitted.history["val_loss"][-1])
        >>> objective(Trial({"lr": 0.01})) >= 0
        True
    """

    def __init__(self, trial: Trial, monitor: str = "val_loss") -> None:
        super().__init__()
        self.trial = checked_trial(trial)
        self.monitor = checked_name(monitor, "monitor")
        self._seen: list[str] = []
        self._reported = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew: a callback may be used for several trainings."""
        del logs
        self._seen, self._reported = [], False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch."""
        self._seen = list(logs or {})
        if logs and self.monitor in logs:
            self.trial.report(epoch, logs[self.monitor])
            self._reported = True
        elif not self._may_come_later():
            raise self._not_there()
        if self.trial.should_stop():
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """See that there was something to report."""
        del logs
        if self._seen and not self._reported and not self.model.stop_training:
            raise self._not_there()

    def _may_come_later(self) -> bool:
        """Whether it is of a validation, and this epoch had none."""
        of_validation = self.monitor.startswith("val_")
        return of_validation and not any(key.startswith("val_") for key in self._seen)

    def _not_there(self) -> InputError:
        hint = "; give fit its validation_data" if self._may_come_later() else ""
        return InputError(
            f"monitor is {self.monitor!r}, which is not among what Keras logs: "
            f"{', '.join(map(repr, self._seen))}{hint}",
            monitor=self.monitor,
        )
