"""Ctrl-C during a search: what was found is kept, refitted, and KeyboardInterrupt raised again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SLOW = '''
import os
import time

import numpy as np
from sklearn.base import BaseEstimator


class Slow(BaseEstimator):
    """Each fit takes a while, and leaves a line; a refit, on all 12 samples, takes long."""

    def __init__(self, x=0.0, fails=False):
        self.x, self.fails = x, fails

    def fit(self, X, y):
        with open("fits", "a") as file:
            file.write(f"{len(X)}\\n")
        time.sleep(float(os.environ["REFIT" if len(X) == 12 else "FIT"]))
        if self.fails:
            raise RuntimeError("as it should")
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def score(self, X, y):
        return -abs(self.x - 0.3)
'''
SCRIPT = """
import json
import sys
import warnings

import numpy as np

import lepton
from slow import Slow

warnings.simplefilter("ignore")
options = json.loads(sys.argv[1])
fails = options.pop("fails", False)
search = lepton.LeptonSearchCV(
    Slow(fails=fails), {"x": lepton.Float(0, 1)}, cv=3, random_state=0, n_iter=1000, **options
)
try:
    search.fit(np.zeros((12, 1)), np.zeros(12))
    ending = "nothing"
except BaseException as error:
    ending = f"{type(error).__name__}: {error}"
print(json.dumps({
    "ending": ending,
    "has": sorted(name for name in vars(search) if name.endswith("_")),
    "candidates": len(search.cv_results_["params"]) if hasattr(search, "cv_results_") else 0,
    "best": getattr(search, "best_params_", None),
    "highest": float(max(search.cv_results_["mean_test_score"])) if hasattr(search, "cv_results_")
        else None,
    "score": getattr(search, "best_score_", None),
    "fitted": hasattr(getattr(search, "best_estimator_", None), "fitted_"),
}))
"""


class Search:
    """A search in a process of its own, in the foreground of a session of its own."""

    def __init__(self, folder: Path, process: subprocess.Popen) -> None:
        self.fits, self.process = folder / "fits", process

    def wait_for_fits(self, number: int, samples: int = 8) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            done = self.fits.read_text().split() if self.fits.exists() else []
            if done.count(str(samples)) >= number:
                return
            time.sleep(0.005)
        pytest.fail(f"no {number} fits: {self.process.communicate(timeout=10)}")

    def ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)  # all of them get it, as in a terminal

    def ending(self) -> dict:
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return json.loads(out.splitlines()[-1])


@pytest.fixture
def started(tmp_path):
    @contextmanager
    def start(
        *, fit_seconds: float = 0.02, refit_seconds: float = 0, **options
    ) -> Iterator[Search]:
        (tmp_path / "slow.py").write_text(SLOW)
        (tmp_path / "script.py").write_text(SCRIPT)
        process = subprocess.Popen(
            [sys.executable, "script.py", json.dumps(options)],
            cwd=tmp_path,
            env={**os.environ, "FIT": str(fit_seconds), "REFIT": str(refit_seconds)},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Search(tmp_path, process)
        finally:
            process.kill()
            process.communicate()

    return start


@pytest.mark.parametrize(
    ("n_jobs", "fits", "seconds"),
    [(1, 20, 0.02), (2, 12, 0.25), (2, 60, 0.02)],  # joblib sends short ones several at a time
)
def test_ctrl_c_keeps_the_best_so_far_refitted(started, n_jobs, fits, seconds):
    with started(n_jobs=n_jobs, fit_seconds=seconds) as search:
        search.wait_for_fits(fits)
        search.ctrl_c()
        ending = search.ending()
    assert ending["ending"].startswith("KeyboardInterrupt: the search was ended after")
    assert f"{ending['candidates']} of 1000 candidates" in ending["ending"]
    assert ending["candidates"] >= max(1, fits // 3 - 5)  # not only whole batches
    assert ending["fitted"]
    assert ending["score"] == ending["highest"]
    assert ending["score"] == pytest.approx(-abs(ending["best"]["x"] - 0.3))


def test_ctrl_c_without_refit_keeps_the_results(started):
    with started(refit=False) as search:
        search.wait_for_fits(10)
        search.ctrl_c()
        ending = search.ending()
    assert "best_params_" in ending["has"]
    assert "best_estimator_" not in ending["has"]
    assert ending["ending"].startswith("KeyboardInterrupt: the search was ended")


@pytest.mark.parametrize(
    "options", [{"fit_seconds": 30}, {"fails": True}], ids=["none done", "none fits"]
)
def test_ctrl_c_before_there_is_anything_to_keep_is_a_plain_one(started, options):
    with started(**options) as search:
        search.wait_for_fits(1 if "fit_seconds" in options else 4)
        search.ctrl_c()
        ending = search.ending()
    assert ending["ending"] == "KeyboardInterrupt: "
    assert not {"best_params_", "best_estimator_", "cv_results_"} & set(ending["has"])


def test_a_second_ctrl_c_ends_the_refit_at_once_and_leaves_the_results(started):
    with started(refit_seconds=30) as search:
        search.wait_for_fits(10)
        search.ctrl_c()
        search.wait_for_fits(1, samples=12)
        search.ctrl_c()
        ending = search.ending()
    assert ending["ending"] == "KeyboardInterrupt: "
    assert {"best_params_", "best_score_", "cv_results_"} <= set(ending["has"])
    assert "best_estimator_" not in ending["has"]
