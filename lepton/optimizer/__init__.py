"""``lepton.Optimizer``: a sweep to be asked and told, or to be given an objective."""

from lepton.optimizer.face import Optimizer

__all__ = ["Optimizer"]
