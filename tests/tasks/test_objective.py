"""Finding the user's objective, calling it, and telling a usable result from a failure."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import UserDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from lepton_core.errors import ObjectiveError
from lepton_core.trial import Trial
from lepton_tasks.objective import Outcome, call, judge, load, own_traceback, source_file

TRIAL = Trial({"x": 0.5}, seed=1, number=0)


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch, tmp_path):
    """Keep what a test imports out of the next one's way."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


class Hostile:
    def __repr__(self):
        raise RuntimeError("no text for you")


# -- what a usable result is ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (1, 1.0),
        (-0.25, -0.25),
        (2**60, float(2**60)),
        (1e-320, 1e-320),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(-3), -3.0),
        (np.array(0.25), 0.25),
    ],
)
def test_a_number_is_a_value(returned, value):
    assert judge(returned, "loss") == Outcome(value=value)
    assert type(judge(returned, "loss").value) is float


def test_a_tensor_of_no_dimensions_is_a_number():
    import torch

    loss = torch.ones(1, requires_grad=True).sum()
    assert judge(loss, "loss").value == 1.0
    assert judge({"loss": 2.0, "epoch": loss}, "loss").metrics == {"epoch": 1.0}
    assert judge(torch.tensor(math.nan), "loss").failure.kind == "nan"
    assert judge(torch.ones(2), "loss").failure.kind == "type"


def test_the_other_metrics_of_a_value_that_is_not_finite_are_kept():
    for value in (math.nan, math.inf):
        assert judge({"loss": value, "auc": 0.5}, "loss").metrics == {"auc": 0.5}


def test_a_dict_gives_the_value_and_the_other_metrics():
    found = judge({"acc": np.float64(0.9), "auc": 1, "nan": math.nan, "inf": -math.inf}, "acc")
    assert found.value == 0.9
    assert found.metrics["auc"] == 1.0
    assert math.isnan(found.metrics["nan"])
    assert found.metrics["inf"] == -math.inf


@pytest.mark.parametrize(
    ("returned", "kind", "said"),
    [
        (None, "none", "returned None"),
        (math.nan, "nan", "returned nan"),
        (np.float32("nan"), "nan", "nan"),
        (math.inf, "inf", "returned inf"),
        (-math.inf, "inf", "returned -inf"),
        (10**400, "inf", "(int)"),
        pytest.param(10**5000, "inf", "a whole number of", id="10**5000"),
        (True, "type", "returned True (bool)"),
        (np.True_, "type", "bool"),
        ("0.5", "type", "returned '0.5' (str)"),
        (1j, "type", "complex"),
        (Decimal("0.5"), "type", "Decimal"),
        (Fraction(1, 2), "type", "Fraction"),
        ([0.5], "type", "list"),
        (np.array([0.5]), "type", "ndarray"),
        (np.array("x"), "type", "ndarray"),
        (Hostile(), "type", "Hostile"),
        ({}, "type", "nothing; the metric 'loss' is missing"),
        ({"accuracy": 0.9}, "type", "returned accuracy; the metric 'loss' is missing"),
        ({"loss": None}, "none", "the metric 'loss' is None"),
        ({"loss": math.nan}, "nan", "the metric 'loss' is nan"),
        ({"loss": math.inf}, "inf", "the metric 'loss' is inf"),
        ({"loss": "low"}, "type", "the metric 'loss' is 'low' (str)"),
        ({"loss": True}, "type", "the metric 'loss' is True (bool)"),
        ({"loss": 0.1, "auc": "high"}, "type", "metric 'auc' is 'high' (str)"),
        ({"loss": 0.1, "auc": None}, "type", "metric 'auc' is None"),
        ({"loss": 0.1, 3: 0.5}, "type", "has a metric 3 (int)"),
    ],
)
def test_anything_else_is_a_failure_with_its_kind_and_what_was_found(returned, kind, said):
    found = judge(returned, "loss")
    assert found.value is None
    assert found.failure.kind == kind
    assert said in found.failure.reason


@pytest.mark.parametrize("name", ["a=b", "", "x" * 251, "a//b", "/a", "..", "new\nline"])
def test_a_metric_that_mlflow_would_refuse_is_a_failure_and_not_a_broken_store(name):
    found = judge({"loss": 0.1, name: 0.5}, "loss")
    assert found.failure is not None
    assert found.failure.kind == "type"


def test_a_metric_too_large_for_a_float_is_infinite():
    metrics = judge({"loss": 0.1, "huge": 10**400, "low": -(10**400)}, "loss").metrics
    assert metrics == {"huge": math.inf, "low": -math.inf}


def test_a_dict_that_breaks_when_it_is_read_is_a_failure():
    class Broken(UserDict):
        def __getitem__(self, key):
            raise RuntimeError("no values")

    assert call(lambda _: Broken(loss=1), TRIAL, "loss").failure.reason.endswith("no values")


# -- calling it -----------------------------------------------------------------------------


class OwnBaseException(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("bad luck"), "exception", "ValueError: bad luck"),
        (KeyError("x"), "exception", "KeyError: 'x'"),
        (RecursionError("deep"), "exception", "RecursionError: deep"),
        (MemoryError(), "memory", "MemoryError"),
        (SystemExit(3), "exception", "SystemExit: 3"),
        (SystemExit(), "exception", "SystemExit"),
        (KeyboardInterrupt(), "exception", "KeyboardInterrupt"),
        (GeneratorExit(), "exception", "GeneratorExit"),
        (asyncio.CancelledError(), "exception", "CancelledError"),
        (OwnBaseException("own"), "exception", "OwnBaseException: own"),
        (ExceptionGroup("two", [ValueError("a"), TypeError("b")]), "exception", "two"),
    ],
)
def test_whatever_is_raised_is_a_failure(error, kind, said, capsys):
    def objective(trial):
        raise error

    found = call(objective, TRIAL, "loss")
    assert (found.value, found.failure.kind) == (None, kind)
    assert said in found.failure.reason
    assert "in objective" in capsys.readouterr().err


def test_a_secret_that_an_exception_quotes_is_neither_recorded_nor_printed(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2s3cret@db/mlflow")

    def objective(trial):
        raise ConnectionError("cannot open postgresql://me:hunter2s3cret@db/mlflow: hunter2s3cret")

    reason = call(objective, TRIAL, "loss").failure.reason
    assert reason == "ConnectionError: cannot open postgresql://me:***@db/mlflow: ***"
    assert reason in capsys.readouterr().err


def test_a_secret_that_an_import_quotes_is_not_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_API_TOKEN", "hunter2s3cret")
    (tmp_path / "o.py").write_text("import os\nraise RuntimeError(os.environ['MY_API_TOKEN'])\n")
    with pytest.raises(ObjectiveError, match=r"RuntimeError: \*\*\*"):
        load("o.py:objective", tmp_path)


def test_an_exception_without_a_text_of_its_own_is_a_failure():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError

    def objective(trial):
        raise MuteError

    assert "MuteError" in call(objective, TRIAL, "loss").failure.reason


def test_a_failure_is_told_even_where_the_objective_closed_its_output(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", (tmp_path / "closed").open("w"))

    def objective(trial):
        sys.stderr.close()
        raise ValueError("after closing")

    assert "after closing" in call(objective, TRIAL, "loss").failure.reason


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\udcff\udc00", "a\0b", "\U0001f600" * 5000])
def test_a_reason_is_one_that_a_store_can_hold(text):
    def objective(trial):
        raise ValueError(text)

    reason = call(objective, TRIAL, "loss").failure.reason
    assert len(reason) <= 1000
    reason.encode()
    assert "\0" not in reason


def test_the_traceback_has_the_users_frames_and_not_ours():
    def objective(trial):
        return trial["missing"]

    try:
        objective(TRIAL)
    except KeyError as error:
        text = own_traceback(error)
    assert "test_objective.py" in text
    assert "lepton_tasks" not in text
    assert "'missing' is not active in this trial, which has ['x']" in text


# -- finding it -----------------------------------------------------------------------------


def test_a_function_in_a_file_beside_the_sweep_file_is_found(tmp_path):
    (tmp_path / "helper_of_objective.py").write_text("TWO = 2\n")
    (tmp_path / "mine.py").write_text(
        "from helper_of_objective import TWO\ndef objective(trial): return TWO * trial['x']\n"
    )
    assert call(load("mine.py:objective", tmp_path), TRIAL, "loss").value == 1.0
    assert source_file("mine.py:objective", tmp_path) == tmp_path / "mine.py"


def test_a_function_of_a_module_is_found_beside_the_sweep_file_too(tmp_path):
    package = tmp_path / "sweep" / "package_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep.py").write_text("def objective(trial): return 3\n")
    assert load("package_of_mine.deep:objective", tmp_path / "sweep")(TRIAL) == 3
    assert source_file("package_of_mine.deep:objective", tmp_path) is None


def test_what_the_file_defines_can_be_pickled_by_the_users_code(tmp_path):
    (tmp_path / "pickles.py").write_text(
        "import pickle\n"
        "class Model: pass\n"
        "def objective(trial): return len(pickle.dumps(Model()))\n"
    )
    assert load("pickles.py:objective", tmp_path)(TRIAL) > 0


@pytest.mark.parametrize(
    ("reference", "source", "said"),
    [
        ("gone.py:objective", None, "gone.py does not exist"),
        ("no_such_module_at_all:objective", None, "No module named 'no_such_module_at_all'"),
        ("mine.py:other", "def objective(t): pass\ndef helper(): pass", "it has objective, helper"),
        ("mine.py:other", "", "has no function 'other'; it has none"),
        ("mine.py:number", "number = 3", "has no function 'number'"),
        ("mine.py:objective", "def objective(:", "SyntaxError"),
        ("mine.py:objective", "import not_installed_here", "No module named 'not_installed_here'"),
        ("mine.py:objective", "1 / 0", "ZeroDivisionError"),
        ("mine.py:objective", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("mine.py:objective", "raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("mine.py:objective", "x = '\\0'\n\0", "null bytes"),
    ],
)
def test_an_objective_that_cannot_be_imported_says_why(tmp_path, reference, source, said):
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ObjectiveError) as caught:
        load(reference, tmp_path)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2
