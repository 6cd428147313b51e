"""Ready search spaces for common models, under the names of their scikit-learn estimators.

Each function gives a new dict of name to `Float`, `Int` or `Choice`, to be used as it is or with
some of it replaced. What a trial gets is what the estimator takes: ``XGBClassifier(**trial)``. The
spaces serve classifiers and regressors alike, and are valid for every release of scikit-learn,
xgboost and LightGBM that Lepton works with; none of these is imported here.

The ranges are published ones. Each function names its sources and where it differs from them:

- auto-sklearn: Feurer et al., "Efficient and robust automated machine learning", NeurIPS 2015; its
  ranges are in ``autosklearn/pipeline/components/classification``.
- FLAML: Wang et al., "FLAML: a fast and lightweight AutoML library", MLSys 2021; ``flaml/automl``.
- Grinsztajn: Grinsztajn, Oyallon and Varoquaux, "Why do tree-based models still outperform deep
  learning on typical tabular data?", NeurIPS 2022; ``src/configs/model_configs`` of its code.
- HPOBench: Eggensperger et al., "HPOBench: a collection of reproducible multi-fidelity benchmark
  problems for HPO", NeurIPS 2021; ``hpobench/benchmarks/ml``.
- YAHPO: Pfisterer et al., "YAHPO Gym", AutoML 2022; the ``config_space.json`` of each scenario.

Example:
    >>> import lepton
    >>> space = {**lepton.spaces.xgboost(), "max_depth": lepton.Int(2, 4)}
    >>> trial = lepton.Optimizer(space).ask()[0]
    >>> 2 <= trial["max_depth"] <= 4, 0.5 <= trial["subsample"] <= 1.0
    (True, True)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lepton_core.canonical import shown
from lepton_core.domains import Choice, Float, Int
from lepton_core.errors import InputError
from lepton_core.space_file import parse_space

__all__ = [
    "hist_gradient_boosting",
    "lightgbm",
    "logistic_regression",
    "mlp",
    "random_forest",
    "svc",
    "to_yaml",
    "xgboost",
]

Domains = dict[str, Float | Int | Choice]


def xgboost(*, prefix: str = "") -> Domains:
    """For ``xgboost.XGBClassifier`` and ``XGBRegressor``: boosted trees.

    Ranges of Grinsztajn, but for two. `n_estimators` is fixed there, with early stopping; its range
    here is that of HPOBench, which needs no validation set. `learning_rate` begins at 0.001 rather
    than at 1e-5: so many trees cannot make up for less (HPOBench begins at 2**-10). The minimum
    weight of a leaf is a whole number there.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> spaces.xgboost()["learning_rate"].text()
        'a number from 0.001 to 0.7'
    """
    return _prefixed(
        {
            "n_estimators": Int(50, 2000, log=True),
            "learning_rate": Float(1e-3, 0.7, log=True),
            "max_depth": Int(1, 11),
            "min_child_weight": Float(1.0, 100.0, log=True),
            "subsample": Float(0.5, 1.0),
            "colsample_bytree": Float(0.5, 1.0),
            "colsample_bylevel": Float(0.5, 1.0),
            "gamma": Float(1e-8, 7.0, log=True),
            "reg_alpha": Float(1e-8, 100.0, log=True),
            "reg_lambda": Float(1.0, 4.0, log=True),
        },
        prefix,
    )


def lightgbm(*, prefix: str = "") -> Domains:
    """For ``lightgbm.LGBMClassifier`` and ``LGBMRegressor``: boosted trees that grow leaf by leaf.

    Ranges of FLAML, but for these. There `n_estimators` and `num_leaves` go from 4 to the number of
    rows; here `n_estimators` is as in `xgboost`, and `num_leaves` ends at 256, as more of them are
    slow. `colsample_bytree` begins at 0.5 rather than 0.01, and the rows of a tree may be sampled,
    both as in Grinsztajn (LightGBM samples them only where `subsample_freq` is above 0). The number
    of bins, searched there, is left alone.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> spaces.lightgbm()["subsample"].when
        (('subsample_freq', (1,)),)
    """
    return _prefixed(
        {
            "n_estimators": Int(50, 2000, log=True),
            "learning_rate": Float(1e-3, 1.0, log=True),
            "num_leaves": Int(4, 256, log=True),
            "min_child_samples": Int(2, 128, log=True),
            "colsample_bytree": Float(0.5, 1.0),
            "subsample_freq": Choice([0, 1]),
            "subsample": Float(0.5, 1.0, when={"subsample_freq": 1}),
            "reg_alpha": Float(2.0**-10, 2.0**10, log=True),
            "reg_lambda": Float(2.0**-10, 2.0**10, log=True),
        },
        prefix,
    )


def hist_gradient_boosting(*, prefix: str = "") -> Domains:
    """For ``HistGradientBoostingClassifier`` and ``HistGradientBoostingRegressor``.

    Ranges of auto-sklearn, but for three. `max_iter` is 512 there; here it is searched up to that.
    `max_leaf_nodes` ends at 255 rather than 2047, as more of them are slow. `max_features` is not
    searched there; its range is that of `colsample_bytree` in `xgboost`.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> sorted(spaces.hist_gradient_boosting())[:3]
        ['l2_regularization', 'learning_rate', 'max_features']
    """
    return _prefixed(
        {
            "max_iter": Int(32, 512, log=True),
            "learning_rate": Float(0.01, 1.0, log=True),
            "max_leaf_nodes": Int(3, 255, log=True),
            "min_samples_leaf": Int(1, 200, log=True),
            "l2_regularization": Float(1e-10, 1.0, log=True),
            "max_features": Float(0.5, 1.0),
        },
        prefix,
    )


def random_forest(*, prefix: str = "") -> Domains:
    """For ``RandomForestClassifier`` and ``RandomForestRegressor``.

    `min_samples_leaf` and `bootstrap` as in Grinsztajn, where leaves begin at 2; `max_features` too
    (a fraction of them, there 0.1 to 0.9, all, or their square root or logarithm).
    `min_samples_split` as in auto-sklearn. `max_samples`, only where there is a bootstrap, is the
    ``sample.fraction`` of YAHPO; that begins at 0.1, at which scikit-learn warns on fewer than 100
    rows.

    Two things are left out on purpose: the depth, which auto-sklearn does not limit either, and the
    number of trees, of which more are never worse but for the time: give it to the estimator.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> spaces.random_forest()["max_samples"].when
        (('bootstrap', (True,)),)
    """
    return _prefixed(
        {
            "max_features": Float(0.1, 1.0),
            "min_samples_leaf": Int(1, 50, log=True),
            "min_samples_split": Int(2, 20),
            "bootstrap": Choice([True, False]),
            "max_samples": Float(0.25, 1.0, when={"bootstrap": True}),
        },
        prefix,
    )


def svc(*, prefix: str = "") -> Domains:
    """For ``sklearn.svm.SVC`` and ``SVR``. Scale the data first.

    `C` and `gamma` as in auto-sklearn, whose ranges are those of Hsu, Chang and Lin, "A practical
    guide to support vector classification" (2003): from 2**-5, and 2**-15 to 2**3. Only, `C` ends
    at HPOBench's 2**10 rather than at 2**15, where a linear SVR may take seconds for 50 rows. The
    kernels and the degrees are YAHPO's. `coef0` is -1 to 1 in auto-sklearn; below 0 the kernel is
    not positive definite, so it begins at 0.

    To bound the time of a fit on many rows, set `max_iter` on the estimator.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> spaces.svc(prefix="clf__")["clf__degree"].when
        (('clf__kernel', ('poly',)),)
    """
    return _prefixed(
        {
            "C": Float(2.0**-5, 2.0**10, log=True),
            "kernel": Choice(["rbf", "poly", "linear"]),
            "gamma": Float(2.0**-15, 2.0**3, log=True, when={"kernel": ["rbf", "poly"]}),
            "degree": Int(2, 5, when={"kernel": "poly"}),
            "coef0": Float(0.0, 1.0, when={"kernel": "poly"}),
        },
        prefix,
    )


def mlp(*, prefix: str = "") -> Domains:
    """For ``MLPClassifier`` and ``MLPRegressor``, with one hidden layer. Scale the data first.

    `hidden_layer_sizes`, the width of that layer, and `alpha` as in HPOBench; `activation` and
    `learning_rate_init` as in auto-sklearn, but up to 0.1 rather than 0.5, where training diverges.
    Both search 1 to 3 layers, which no single value can say: for more layers choose width and depth
    yourself, and give the objective ``hidden_layer_sizes=[trial["width"]] * trial["depth"]``.

    Args:
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> spaces.mlp()["hidden_layer_sizes"].text()
        'a whole number from 16 to 1024'
    """
    return _prefixed(
        {
            "hidden_layer_sizes": Int(16, 1024, log=True),
            "activation": Choice(["relu", "tanh"]),
            "alpha": Float(1e-8, 1.0, log=True),
            "learning_rate_init": Float(1e-4, 0.1, log=True),
        },
        prefix,
    )


def logistic_regression(*, elastic_net: bool = False, prefix: str = "") -> Domains:
    """For ``sklearn.linear_model.LogisticRegression``. Scale the data first.

    `C` as in scikit-learn's ``LogisticRegressionCV``: 1e-4 to 1e4. That classes may be weighted is
    our own addition.

    Args:
        elastic_net: Search the mixture of L1 and L2 as well, from L2 alone (0) to L1 alone (1), by
            the solver ``saga``. This needs scikit-learn 1.8: before, ``penalty="elasticnet"`` had
            to be given to the estimator, which since then is deprecated.
        prefix: Set before each name, such as ``"clf__"`` for a step of a pipeline.

    Example:
        >>> from lepton import spaces
        >>> list(spaces.logistic_regression(elastic_net=True))
        ['C', 'class_weight', 'solver', 'l1_ratio']
    """
    space: Domains = {
        "C": Float(1e-4, 1e4, log=True),
        "class_weight": Choice([None, "balanced"]),
    }
    if elastic_net:
        space |= {"solver": Choice(["saga"]), "l1_ratio": Float(0.0, 1.0)}
    return _prefixed(space, prefix)


def to_yaml(space: Any) -> str:
    """A space as a sweep file declares it, to be pasted under ``space:``.

    Args:
        space: A `Space`, or a mapping as `Optimizer` takes it.

    Raises:
        DeclarationError: It is no space.

    Example:
        >>> from lepton import spaces
        >>> print(spaces.to_yaml(spaces.logistic_regression()), end="")
        C: {type: float, low: 0.0001, high: 10000.0, log: true}
        class_weight: {type: choice, choices: [null, balanced]}
    """
    from io import StringIO  # noqa: PLC0415  (with what follows)

    from ruamel.yaml import YAML  # noqa: PLC0415  (who describes a space needs no YAML)

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.width = sys.maxsize
    lines = []
    for name, declared in parse_space(space).to_dict().items():
        line = StringIO()
        yaml.dump({name: declared}, line)
        lines.append(line.getvalue().strip()[1:-1])  # without the braces around it
    return "\n".join(lines) + "\n"


def _prefixed(space: Mapping[str, Float | Int | Choice], prefix: str) -> Domains:
    """The same space with a prefix before each name, conditions included."""
    if not isinstance(prefix, str):
        raise InputError(
            f"prefix is {shown(prefix)}; expected a text, such as 'clf__'", prefix=prefix
        )
    return {
        prefix + name: replace(domain, when={prefix + p: list(of) for p, of in domain.when})
        for name, domain in space.items()
    }
