import importlib.util
import sys

import pytest
import sklearn.model_selection
from sklearn.model_selection.tests import test_search as theirs
from sklearn.model_selection import GridSearchCV as TheirGrid, RandomizedSearchCV as TheirRandomized
from sklearn.model_selection import ParameterGrid
import numpy as np
from lepton import LeptonSearchCV

class RandomizedSearchCV(LeptonSearchCV):
    def __init__(self, estimator, param_distributions, *, n_iter=10, scoring=None, n_jobs=None, refit=True, cv=None, verbose=0, error_score=np.nan, return_train_score=False, random_state=None):
        super().__init__(estimator, param_distributions, n_iter=n_iter, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose, error_score=error_score, return_train_score=return_train_score, random_state=random_state)

class GridSearchCV(LeptonSearchCV):
    _parameter_constraints = {k: v for k, v in LeptonSearchCV._parameter_constraints.items() if k != "param_distributions"}
    def __init__(self, estimator, param_grid, *, scoring=None, n_jobs=None, refit=True, cv=None, verbose=0, error_score=np.nan, return_train_score=False):
        super().__init__(estimator, param_grid, n_iter=1, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose, error_score=error_score, return_train_score=return_train_score, random_state=0)
        self.param_grid = param_grid
    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        self.param_distributions = self.param_grid
        self.n_iter = len(ParameterGrid(self.param_grid))
        super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)

def load():
    spec = importlib.util.spec_from_file_location("theirs_for_ours", theirs.__file__)
    module = importlib.util.module_from_spec(spec)
    sys.modules["theirs_for_ours"]=module
    with pytest.MonkeyPatch.context() as m:
        m.setattr(sklearn.model_selection, "RandomizedSearchCV", RandomizedSearchCV)
        m.setattr(sklearn.model_selection, "GridSearchCV", GridSearchCV)
        spec.loader.exec_module(module)
    return module
globals().update({n: f for n, f in vars(load()).items() if n.startswith("test")})
