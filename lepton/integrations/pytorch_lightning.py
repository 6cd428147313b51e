"""Reporting while PyTorch Lightning trains (`pytorch_lightning`)."""

from __future__ import annotations

from lepton.integrations.extras import missing
from lepton.integrations.lightning_hooks import Reporting

try:
    from pytorch_lightning import Callback
except ModuleNotFoundError as error:
    raise missing("pytorch_lightning", error, extra="lightning") from error

__all__ = ["ReportCallback"]


class ReportCallback(Reporting, Callback):  # type: ignore[misc]  # its types are not looked at
    """Reports a metric after each epoch; ends the training when told to stop.

    A metric that the validation logs is reported after each validation, another one after each
    epoch; the sanity check is passed over. The step is the number of the epoch, from 0. The value
    is the module's own: an accuracy is reported as it is. Of several processes, the first one
    reports. A trainer with ``min_epochs`` trains as long as that says.

    Args:
        trial: What the objective was given.
        monitor: A metric that the module logs, such as ``"val_loss"``.

    Raises:
        InputError: At once, if an argument is wrong; after an epoch with all that there is, if no
            such metric is logged.

    Example:
        >>> import torch, pytorch_lightning as pl
        >>> from lepton import Trial
        >>> from lepton.integrations.pytorch_lightning import ReportCallback
        >>> class Model(pl.LightningModule):
        ...     def __init__(self, lr):
        ...         super().__init__()
        ...         self.weight, self.lr = torch.nn.Parameter(torch.ones(1)), lr
        ...
        ...     def training_step(self, batch):
        ...         loss = ((self.weight - batch) ** 2).mean()
        ...         self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        ...         return loss
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=self.lr)
        >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        >>> def objective(trial):
        ...     trainer = pl.Trainer(
        ...         max_epochs=2,
        ...         accelerator="cpu",
        ...         callbacks=[ReportCallback(trial, "train_loss")],
        ...         **quiet,
        ...     )
        ...     trainer.fit(Model(trial["lr"]), torch.zeros(4, 1))
        ...     return trainer.callback_metrics["train_loss"].item()
    """
