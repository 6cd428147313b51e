"""``lepton.Optimizer``: a sweep to be asked and told, or to be given an objective."""

from lepton.optimizer.face import Optimizer
from lepton.optimizer.while_training import TrainingArguments

__all__ = ["Optimizer", "TrainingArguments"]
