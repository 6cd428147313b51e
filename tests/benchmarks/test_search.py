"""The search benchmark measures what it says. Needs the extra `bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

for needed in ("cocoex", "onnxruntime", "optuna", "hyperopt", "xgboost", "threadpoolctl"):
    pytest.importorskip(needed, reason="needs the extra `bench`")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import failing  # noqa: E402
import problems  # noqa: E402
import real  # noqa: E402
import search_results  # noqa: E402
import search_tables  # noqa: E402
import sweeps  # noqa: E402
import yahpo  # noqa: E402
from search_peers import PEERS  # noqa: E402
from search_results import Cell, Row  # noqa: E402

from lepton_core.rng import TRIAL_SEEDS, rng  # noqa: E402

HERE = ("random", "optuna-tpe", "optuna-cmaes", "hyperopt")  # the others have their own environment
SMALL = problems.yahpo_problem("glmnet-1067-logloss")


def test_an_instance_that_is_held_out_is_refused():
    with pytest.raises(ValueError, match="held out"):
        yahpo.instance("lcbench-3945-val_accuracy")


@pytest.mark.parametrize("name", yahpo.references())
def test_the_nets_give_the_reference_values_of_random_points(name):
    one, known = yahpo.instance(name), yahpo.references()[name]
    points = rng(7, "test").random((2000, len(one.space)))
    losses = one.losses([one.space.decode(point) for point in points])
    assert np.median(losses) == pytest.approx(known["median_random"], rel=0.15)


def test_coco_s_optimum_has_no_regret_and_its_problems_stay_alive():
    found = [p for p in problems.development() if p.family in ("bbob", "mixint")]
    assert len(found) == 12
    for one in found:
        loss = one.loss(one.space.decode([0.5] * len(one.space)))
        assert np.isfinite(loss)
        assert one.regret(loss) > 0
        assert one.regret(one.best) == 0


def test_development_and_report_share_no_problem():
    names = [p.name for p in (*problems.development(), *problems.report())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", real.tasks())
def test_a_real_loss_is_noisy_and_keyed_by_the_trials_seed(name):
    one = problems.real_problem(name)
    params = real.references()[name]["best_params"]
    assert one.loss(params, 1) == one.loss(params, 1)
    assert one.loss(params, 1) != one.loss(params, 2)
    assert one.true_loss(params) == pytest.approx(one.best)


def test_no_trial_can_have_a_seed_of_the_true_loss():
    assert all(min(real.fresh_seeds(name)) >= TRIAL_SEEDS for name in real.tasks())


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("problem", ["xgboost-3-logloss", "mixint-f2-d5", "real-pipeline"])
def test_a_peer_proposes_valid_params_and_the_same_ones_again(name, problem):
    one = problems.problem(problem)
    first, again = (PEERS[name](one, 1, 20, 8) for _ in range(2))
    assert first.params == again.params
    assert first.losses == again.losses
    assert all(one.space.validate(params) == params for params in first.params)


@pytest.mark.parametrize("name", HERE)
def test_a_peer_goes_on_after_failures(name):
    run = PEERS[name](SMALL, 0, 24, 8, fails=failing.failures(SMALL, "0.5"))
    failed = np.isnan(run.losses).sum()
    assert 0 < failed < 24


def test_a_region_of_failures_has_its_share_and_stays_where_it_is():
    one = problems.problem("xgboost-3-logloss")
    fails = failing.failures(one, "region")
    points = rng(3, "test").random((2000, len(one.space)))
    found = [fails(one.space.decode(point)) for point in points]
    assert np.mean(found) == pytest.approx(0.3, abs=0.05)
    assert found == [fails(one.space.decode(point)) for point in points]


def test_lepton_s_answer_is_the_lowest_loss_unless_a_hook_says_otherwise():
    portfolio = sweeps.PORTFOLIOS["lepton"]
    run = sweeps.lepton(SMALL, 0, 30, portfolio, 8)
    assert SMALL.loss(run.answer(25)) == min(run.losses[:25])
    hooked = sweeps.lepton(SMALL, 0, 30, portfolio, 8, recommend=lambda _: 3)
    assert hooked.params == run.params
    assert hooked.answer(25) == run.params[3]


def test_a_run_that_was_stopped_goes_on_with_what_is_missing(tmp_path):
    results = tmp_path / "rows.csv"
    command = [sys.executable, str(BENCHMARKS / "search.py"), "run", "--results", str(results)]
    command += ["--families", "glmnet", "--methods", "random", "--evaluations", "25"]
    subprocess.run([*command, "--seeds", "1", "--minutes", "0"], check=True)
    (only,) = search_results.read([results])
    subprocess.run([*command, "--seeds", "1"], check=True)
    rows = search_results.read([results])
    assert len(rows) == 4
    assert only in rows
    assert len(results.read_text().splitlines()) == 5


def test_methods_are_compared_where_both_have_a_row(tmp_path):
    path = tmp_path / "rows.csv"
    for method, loss in (("a", SMALL.best), ("b", SMALL.usual)):
        cell = Cell(method=method, problem=SMALL.name, seed=0)
        search_results.append(path, Row(cell, SMALL.family, 50, {25: loss, 50: loss}, 1.0))
    cell = Cell(method="a", problem=SMALL.name, seed=1)
    search_results.append(path, Row(cell, SMALL.family, 25, {25: float("inf")}, 1.0))
    results = search_tables.common(search_results.read([path]), ["a", "b"])
    assert results.pairs == ((SMALL.name, 0),)
    assert results.checkpoints == (25, 50)
    assert results.regrets[:, 0, 0] == pytest.approx([0, 1], abs=1e-6)
    assert "1-0 -3.000" in search_tables.compare(results)
