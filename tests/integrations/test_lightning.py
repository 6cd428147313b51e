"""lepton.integrations.lightning and .pytorch_lightning, with both packages of Lightning."""

from __future__ import annotations

import doctest
import importlib

import pytest
import torch

from lepton_core.errors import InputError
from lepton_core.trial import Trial

pytestmark = pytest.mark.filterwarnings(
    "ignore:The '.*dataloader' does not have many workers",
    "ignore:.*GPU available but not used",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",
)

PACKAGES = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(params=PACKAGES)
def package(request):
    """Our module, and Lightning's."""
    return (
        importlib.import_module(f"lepton.integrations.{request.param}"),
        importlib.import_module(PACKAGES[request.param]),
    )


@pytest.fixture
def fit(package):
    """Fits a module whose losses are known: it notes what it logs, as epoch and value."""
    ours, pl = package

    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.logged = {"train_loss": [], "val_loss": []}

        def step(self, batch, name):
            loss = ((self.weight - batch) ** 2).mean()
            self.log(name, loss, on_step=False, on_epoch=True, batch_size=1)
            if not self.trainer.sanity_checking:
                self.logged[name].append((self.current_epoch, loss.item()))
            return loss

        def training_step(self, batch):
            return self.step(batch, "train_loss")

        def validation_step(self, batch):
            self.step(batch, "val_loss")

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def call(trial, monitor="val_loss", *, validated=True, callbacks=(), **options):
        model = Model()
        trainer = pl.Trainer(
            accelerator="cpu",
            callbacks=[ours.ReportCallback(trial, monitor), *callbacks],
            limit_val_batches=1 if validated else 0,
            **{"max_epochs": 3, **QUIET, **options},
        )
        data = torch.utils.data.DataLoader(torch.zeros(1, 1))
        trainer.fit(model, data, data)
        return model, trainer

    return call


@pytest.mark.parametrize("monitor", ["val_loss", "train_loss"])
def test_each_epoch_is_reported_with_its_value_and_the_sanity_check_is_not(fit, listening, monitor):
    trial, heard = listening()
    model, _ = fit(trial, monitor)
    assert heard.steps == [0, 1, 2]
    assert heard.reports == model.logged[monitor]


def test_a_training_without_validation_reports_what_it_logs(fit, listening):
    trial, heard = listening()
    model, _ = fit(trial, "train_loss", validated=False)
    assert heard.reports == model.logged["train_loss"]


def test_epochs_that_are_not_validated_are_left_out(fit, listening):
    trial, heard = listening()
    model, _ = fit(trial, max_epochs=4, check_val_every_n_epoch=2)
    assert heard.steps == [1, 3]
    assert heard.reports == model.logged["val_loss"]


def test_a_trial_that_is_to_stop_ends_the_training(fit, listening):
    trial, heard = listening(stop_after=2)
    _, trainer = fit(trial, max_epochs=500)
    assert heard.steps == [0, 1]
    assert trainer.current_epoch == 2


def test_it_takes_back_no_stop_of_another_callback(fit, listening, package):
    trial, heard = listening()
    early = package[1].callbacks.EarlyStopping("val_loss", patience=1, min_delta=100)
    fit(trial, max_epochs=500, callbacks=[early])
    assert len(heard.reports) < 5


@pytest.mark.parametrize("validated", [False, True])
def test_a_metric_that_is_not_logged_is_said_after_the_first_epoch(fit, listening, validated):
    trial, heard = listening()
    with pytest.raises(InputError, match=r"'val_acc', and after an epoch .*'train_loss'"):
        fit(trial, "val_acc", validated=validated, max_epochs=500)
    assert heard.reports == []


def test_a_validation_that_never_was_is_said_at_the_end(fit, listening):
    with pytest.raises(InputError, match="monitor is 'val_loss'"):
        fit(listening()[0], check_val_every_n_epoch=5)


def test_a_wrong_argument_is_refused_at_once(package):
    with pytest.raises(InputError, match="expected the trial"):
        package[0].ReportCallback({"lr": 0.1})
    with pytest.raises(InputError, match="monitor is ''; expected a metric's name"):
        package[0].ReportCallback(Trial({}), "")


def test_in_a_recorded_sweep_each_epoch_is_a_point_in_mlflow(recorded):
    trials = recorded("""
import json
import torch
import lightning.pytorch as pl
from lepton.integrations.lightning import ReportCallback

class Model(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.weight, self.lr, self.said = torch.nn.Parameter(torch.ones(1)), lr, []

    def training_step(self, batch):
        return ((self.weight - batch) ** 2).mean()

    def validation_step(self, batch):
        loss = ((self.weight - batch) ** 2).mean()
        self.log("val_loss", loss, batch_size=1)
        if not self.trainer.sanity_checking:
            self.said.append(loss.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)

def objective(trial):
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[ReportCallback(trial)], **quiet
    )
    model, data = Model(trial["lr"]), torch.utils.data.DataLoader(torch.zeros(1, 1))
    trainer.fit(model, data, data)
    json.dump(model.said, open(f"{trial.number}.json", "w"))
    return model.said[-1]
""")
    for log, points in trials:
        assert points == list(enumerate(log))


def test_its_example_runs(package):
    failed, ran = doctest.testmod(package[0])
    assert (failed, ran > 0) == (0, True)
