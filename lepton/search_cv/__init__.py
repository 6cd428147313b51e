"""A scikit-learn search estimator that is driven by `lepton.Optimizer`."""

from lepton.search_cv.estimator import LeptonSearchCV

__all__ = ["LeptonSearchCV"]
