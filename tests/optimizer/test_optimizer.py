"""`lepton.Optimizer`, as somebody meets it who asks and tells, or gives it an objective."""

from __future__ import annotations

import math
import pickle  # noqa: TID251  (as a user who sends trials to other processes does)
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import lepton
from lepton import Choice, Float, Int, LeptonError, Space, Trial
from lepton_core.errors import InputError, NothingUsableError, SweepError
from lepton_core.events import sealed_trials
from lepton_core.fold import replay

SPACE = {"x": Float(-1.0, 1.0), "n": Int(1, 5), "kind": Choice(["a", "b"])}
CONDITIONAL = {**SPACE, "m": Int(1, 9, when={"kind": "b"}), "k": "fixed"}


def square(trial: Trial) -> float:
    return (trial["x"] - 0.5) ** 2 + trial["n"]


def optimizer(**options) -> lepton.Optimizer:
    return lepton.Optimizer(SPACE, **{"seed": 7, **options})


# -- ask and tell --------------------------------------------------------------------------------


def proposed(optimizer):
    """What it proposed and what came of it."""
    return [(t.proposal, t.value, t.failure) for t in sealed_trials(optimizer.history)]


def untimed(optimizer):
    """Its state without how long the best trial took."""
    best = optimizer.state.best
    return replace(optimizer.state, best=best and replace(best, duration_s=0.0))


def test_asked_and_told_it_finds_what_an_objective_finds():
    asked = optimizer(trials=40)
    while trials := asked.ask(3):
        for trial in reversed(trials):
            asked.tell(trial, square(trial))
    driven = optimizer().minimize(square, trials=40)
    assert untimed(asked) == untimed(driven)
    assert proposed(asked) == proposed(driven)
    assert asked.best_loss == driven.best_loss < 1.1
    assert asked.best_params == driven.best_params
    assert square(asked.best_trial) == asked.best_loss


def test_a_generation_waits_for_its_untold_trials_and_names_them():
    asked = optimizer(generation=4)
    trials = asked.ask(9)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    asked.tell(trials[2], 1.0)
    with pytest.raises(SweepError, match=r"generation 0 waits for trials \[0, 1, 3\]") as waits:
        asked.ask()
    assert waits.value.untold == (0, 1, 3)
    assert asked.untold == [trials[0], trials[1], trials[3]]
    for trial in asked.untold:
        asked.tell(trial, error="no luck")
    assert [trial.number for trial in asked.ask(2)] == [4, 5]


def test_past_the_budget_there_is_nothing_to_ask_for():
    asked = optimizer(trials=3)
    trials = asked.ask(8)
    assert len(trials) == 3
    assert asked.ask() == []
    for trial in trials:
        asked.tell(trial, 1.0)
    assert asked.ask() == []


def test_a_space_that_was_tried_whole_is_done():
    few = lepton.Optimizer({"n": Int(1, 3), "kind": Choice(["a", "b"])})
    few.minimize(lambda trial: trial["n"], trials=100)
    assert len(few.trials) == 6
    assert few.trials.drop_duplicates(["params.n", "params.kind"]).shape[0] == 6
    assert few.ask() == []


@pytest.mark.parametrize(
    ("value", "failure"),
    [
        (0.5, None),
        (3, None),
        (np.float32(0.5), None),
        (np.array(0.5), None),
        ({"loss": 0.5, "acc": math.nan}, None),
        (math.nan, "nan"),
        (-math.inf, "inf"),
        (np.float64("inf"), "inf"),
        (10**400, "inf"),
        ({"loss": math.nan}, "nan"),
    ],
)
def test_a_number_is_a_value_and_one_that_is_not_finite_a_failure(value, failure):
    asked = optimizer(generation=1)
    asked.tell(asked.ask()[0], value)
    (record,) = sealed_trials(asked.history)
    assert (record.failure and record.failure.kind) == failure
    assert (record.value is None) == (failure is not None)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, r"trial 0: the objective returned True \(bool\); expected a number"),
        ("0.5", r"returned '0\.5' \(str\)"),
        (np.array([0.5]), "ndarray"),
        ([0.5], r"\[0\.5\] \(list\)"),
        ({"acc": 0.5}, "returned acc; the metric 'loss' is missing"),
        ({"loss": None}, "the metric 'loss' is None"),
        ({"loss": 1.0, "note": "text"}, "metric 'note' is 'text'"),
        (None, "told neither a value nor an error"),
    ],
    ids=str,
)
def test_what_is_no_number_is_refused_and_the_trial_can_still_be_told(value, said):
    asked = optimizer(generation=1)
    (trial,) = asked.ask()
    with pytest.raises(InputError, match=said):
        asked.tell(trial, value)
    asked.tell(trial, 0.5)
    assert asked.best_loss == 0.5


def test_an_error_is_a_text_or_an_exception():
    asked = optimizer(generation=4)
    a, b, c, d = asked.ask(4)
    asked.tell(a, error="diverged")
    asked.tell(b, error=ValueError("bad"))
    for error, said in (("", "error is ''; expected a text"), (3, "error is 3")):
        with pytest.raises(InputError, match=said):
            asked.tell(c, error=error)
    with pytest.raises(InputError, match="trial 2 was told a value and an error"):
        asked.tell(c, 0.5, error="no")
    asked.tell(c, 0.5)
    asked.tell(d, 0.25)
    failures = [
        t.failure and (t.failure.kind, t.failure.reason) for t in sealed_trials(asked.history)
    ]
    assert failures == [("told", "diverged"), ("exception", "ValueError: bad"), None, None]


def test_a_trial_is_told_once_and_only_to_the_optimizer_that_gave_it():
    asked, other = optimizer(generation=2), optimizer(generation=2, seed=8)
    first, second = asked.ask(2)
    asked.tell(first, 0.5)
    for stage in ("open", "sealed"):
        with pytest.raises(SweepError, match=r"trial 0 was told already \(value 0\.5\)"):
            asked.tell(first, 0.25)
        if stage == "open":
            asked.tell(second, 1.0)
    other.ask(2)
    with pytest.raises(SweepError, match="trial 0 has other params or another seed"):
        other.tell(first, 0.5)
    with pytest.raises(SweepError, match=r"trial 7 is not handed out; there are \[0, 1\]"):
        other.tell(Trial({"x": 0.5}, number=7), 0.5)
    with pytest.raises(InputError, match="found 0; expected a trial as ask"):
        other.tell(0, 0.5)
    with pytest.raises(InputError, match="expected a trial as ask"):
        other.tell(Trial(dict(first), number="0"), 0.5)


def test_a_trial_changed_by_its_user_is_told_from_the_one_that_was_given():
    asked = optimizer()
    (trial,) = asked.ask()
    trial.params["x"] = 0.123
    with pytest.raises(SweepError, match="it was changed"):
        asked.tell(trial, 0.5)
    assert asked.untold[0].params != trial.params


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "2", None])
def test_a_number_of_trials_is_a_whole_one(n):
    with pytest.raises(InputError, match=r"n: found .*; expected a whole number from 1"):
        optimizer().ask(n)


# -- an objective --------------------------------------------------------------------------------


def test_a_target_counts_all_trials_and_a_larger_one_goes_on():
    first = optimizer(generation=4).minimize(square, trials=10)
    assert first.state.trials_done == 10
    calls = []
    first.minimize(lambda trial: calls.append(trial) or square(trial), trials=10)
    assert calls == []
    first.minimize(square, trials=14)
    assert [len(e.trials) for e in first.history[1:]] == [4, 4, 2, 4]


def test_the_optimizers_own_number_of_trials_is_the_target_and_no_more_are_made():
    assert len(optimizer(trials=6).minimize(square).trials) == 6
    assert len(optimizer(trials=6).minimize(square, trials=50).trials) == 6
    assert len(optimizer(trials=120).minimize(square, trials=2).trials) == 2
    assert len(optimizer(trials=120).minimize(square).trials) == 120
    assert len(optimizer().minimize(square).trials) == 100


def test_what_an_objective_returns_or_raises_is_a_value_or_a_failure():
    returns = iter([1.0, {"loss": 0.5, "acc": 0.9}, math.nan, None, "text", True])

    def objective(trial):
        if trial.number == 6:
            raise MemoryError
        if trial.number == 7:
            sys.exit(3)
        return next(returns)

    found = optimizer().minimize(objective, trials=8)
    kinds = [t.failure and t.failure.kind for t in sealed_trials(found.history)]
    assert kinds == [None, None, "nan", "none", "type", "type", "memory", "exception"]
    assert found.best_loss == 0.5


def test_failures_are_learned_from_and_never_proposed_again():
    few = lepton.Optimizer({"n": Int(1, 30)}, generation=5)
    few.minimize(lambda trial: 1 / 0 if trial["n"] % 2 else trial["n"], trials=30)
    assert sorted(few.trials["params.n"]) == list(range(1, 31))
    assert few.best_params == {"n": 2}


@pytest.mark.parametrize("interrupted", range(6))
def test_an_interrupted_trial_is_handed_out_again(interrupted):
    expected = optimizer(generation=4).minimize(square, trials=10)
    stopped, seen = optimizer(generation=4), []

    def objective(trial):
        seen.append(trial)
        if len(seen) == interrupted + 1:
            raise KeyboardInterrupt
        return square(trial)

    with pytest.raises(KeyboardInterrupt):
        stopped.minimize(objective, trials=10)
    assert len(stopped.trials) == interrupted
    assert stopped.untold == []
    (again,) = stopped.ask()
    assert again == seen[-1]
    stopped.tell(again, square(again))
    stopped.minimize(square, trials=10)
    assert untimed(stopped) == untimed(expected)


def test_a_broken_objective_stops_early_from_its_own_exception():
    broken = optimizer(generation=4)
    with pytest.raises(
        NothingUsableError, match=r"all trials of generation 0 failed .*no data"
    ) as e:
        broken.minimize(lambda trial: open("/no data here"), trials=100)  # noqa: PTH123, SIM115
    assert isinstance(e.value.__cause__, FileNotFoundError)
    assert broken.state.failed == 4
    for what in ("best_params", "best_loss", "best_trial"):
        with pytest.raises(NothingUsableError, match="none of the 4 trials told"):
            getattr(broken, what)
    assert len(broken.minimize(square, trials=12).trials) == 12


def test_failures_are_counted_and_many_of_them_said(caplog):
    def failing(trial):
        return square(trial) if trial.number < 8 else 1 / 0

    few = optimizer().minimize(failing, trials=12)
    assert caplog.text == ""
    assert "12 trials, 4 failed, best" in repr(few)
    few.minimize(failing, trials=20)
    assert "8 of 8 trials failed; the last: exception: ZeroDivisionError" in caplog.text


def test_a_space_of_which_all_failed_says_so():
    few = lepton.Optimizer({"n": Int(1, 3)})
    with pytest.raises(
        NothingUsableError, match=r"none of the 3 trials told gave .*the last: Value"
    ):
        few.minimize(lambda trial: int("x"), trials=9)


def test_trials_that_are_out_are_waited_for_before_the_first_call():
    asked, calls = optimizer(generation=4), []
    (trial, *_) = asked.ask(2)
    with pytest.raises(SweepError, match=r"waits for trials \[0, 1\]"):
        asked.minimize(lambda trial: calls.append(trial) or 1.0, trials=10)
    assert calls == []
    asked.minimize(lambda trial: calls.append(trial) or 1.0, trials=2)
    assert [one.number for one in calls] == [2, 3]
    asked.tell(trial, 1.0)


def test_maximize_turns_the_direction_while_nothing_was_told():
    found = optimizer().maximize(lambda trial: -square(trial), trials=40)
    mirrored = optimizer().minimize(square, trials=40)
    assert found.best_params == mirrored.best_params
    assert found.best_loss == -mirrored.best_loss
    assert found.history[0].declaration.direction == "maximize"
    with pytest.raises(InputError, match="the direction is maximize"):
        found.minimize(square, trials=50)
    with pytest.raises(SweepError, match="40 trials were told in the direction minimize"):
        mirrored.maximize(square, trials=50)
    with pytest.raises(InputError, match="the direction is maximize"):
        optimizer(direction="maximize").minimize(square)
    assert optimizer(direction="maximize").maximize(square, trials=3).best_loss > 1


def test_a_wrong_argument_changes_nothing():
    turned = optimizer()
    for arguments, said in (
        ((3,), "found 3; expected an objective that can be called"),
        ((square, 0), "trials: found 0; expected a whole number"),
        ((square, 10, 0), "workers: found 0; expected a whole number"),
        ((square, 10, 2000), "workers: found 2000; expected a whole number"),
    ):
        with pytest.raises(InputError, match=said):
            turned.maximize(*arguments)
    assert turned.minimize(square, trials=3).best_loss < 6


# -- what it is made from ------------------------------------------------------------------------


def test_a_space_may_be_given_in_three_ways():
    declared = {
        "x": {"type": "float", "low": -1.0, "high": 1.0},
        "n": {"type": "int", "low": 1, "high": 5},
        "kind": {"type": "choice", "choices": ["a", "b"]},
    }
    asked = [lepton.Optimizer(space, seed=3).ask(8) for space in (SPACE, Space(SPACE), declared)]
    assert asked[0] == asked[1] == asked[2]


def test_without_a_space_there_is_nothing_to_search_unless_a_model_trains():
    optimizer = lepton.Optimizer()
    assert repr(optimizer) == "Optimizer(no space yet)"
    for use in (optimizer.ask, lambda: optimizer.minimize(square), lambda: optimizer.best_loss):
        with pytest.raises(InputError, match="no space is given; expected a Space"):
            use()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": {}}, "space: found {}; expected a mapping of param names"),
        ({"space": {"x": {"type": "flot"}}}, r"space\.x\.type: found 'flot'"),
        ({"space": {"x": [1, 2]}}, r"space\.x: found a list; write \{type: choice"),
        ({"space": {"x": 3}}, "every param of the space is fixed"),
        ({"seed": -1}, "seed: found -1"),
        ({"seed": None}, "seed: found None"),
        ({"generation": 0}, "generation: found 0"),
        ({"trials": 0}, "trials: found 0"),
        ({"direction": "up"}, "direction: found 'up'; expected minimize or maximize"),
        ({"portfolio": ["ga"]}, r"portfolio: found \['ga'\]"),
        ({"portfolio": {"proposers": ["gaa"]}}, r"portfolio\.proposers\[0\]: found 'gaa'"),
        (
            {"portfolio": {"judge": False, "ga": {"popsize": 3}}},
            r"portfolio\.ga\.popsize: unknown key",
        ),
        ({"start_from": [{"x": 3, "n": 1, "kind": "a"}]}, r"start_from\[0\]\.x: found 3"),
        ({"start_from": {"x": 0.5}}, "start_from: found .*expected a list of params"),
        ({"name": "no name"}, "name: found 'no name'"),
    ],
)
def test_what_is_wrong_is_named_as_in_a_sweep_file(changes, said):
    with pytest.raises(InputError, match=said):
        lepton.Optimizer(**{"space": SPACE, **changes})


def test_starting_points_come_first():
    start = {"x": 0.5, "n": 1, "kind": "b"}
    asked = optimizer(start_from=[start], generation=4).ask(4)
    assert dict(asked[0]) == start
    assert all(dict(trial) != start for trial in asked[1:])


def test_a_portfolio_is_named_as_in_a_sweep_file():
    alone = optimizer(
        portfolio={"proposers": ["rl"], "judge": False, "rl": {"rate": 0.5}}, generation=4
    )
    alone.minimize(square, trials=12)
    assert list(alone.trials["proposer"]) == ["sobol"] * 4 + ["rl"] * 8
    assert alone.history[0].declaration.portfolio.settings["rl"]["rate"] == 0.5


# -- what came of it -----------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_trial_told_and_ints_stay_ints():
    found = lepton.Optimizer(CONDITIONAL, generation=4, seed=1)
    empty = found.trials
    assert len(empty) == 0

    def objective(trial):
        if trial["kind"] == "a":
            raise ValueError("a")
        return trial["m"]

    found.minimize(objective, trials=10)
    table = found.trials
    assert (
        list(table.columns)
        == list(empty.columns)
        == [
            *("number", "generation", "slot", "proposer", "value", "failure", "duration_s"),
            *(f"params.{name}" for name in CONDITIONAL),
        ]
    )
    assert list(table["number"]) == list(range(10))
    failed = table[table["params.kind"] == "a"]
    assert len(failed) not in (0, 10)
    assert set(failed["failure"]) == {"exception: ValueError: a"}
    assert failed["value"].isna().all()
    assert set(failed["params.m"]) == {None}
    usable = table[table["params.kind"] == "b"]
    assert set(usable["failure"]) == {None}
    assert list(usable["value"]) == list(usable["params.m"])
    assert {type(value) for value in usable["params.m"]} == {int}


def test_told_trials_count_before_their_generation_is_sealed():
    asked = optimizer(generation=4)
    first, second, *_ = asked.ask(4)
    asked.tell(second, 0.5)
    assert (asked.best_loss, asked.best_trial, len(asked.trials)) == (0.5, second, 1)
    asked.tell(first, 0.25)
    assert asked.best_params == dict(first)
    assert list(asked.trials["value"]) == [0.25, 0.5]
    assert (asked.state.trials_done, len(asked.history)) == (0, 1)


def test_its_history_gives_its_state():
    found = optimizer().minimize(square, trials=20)
    assert replay(found.history) == found.state


def test_it_says_what_it_is():
    assert repr(optimizer()) == "Optimizer(3 params, 0 trials, nothing usable yet)"
    assert "20 trials, best loss 1." in repr(optimizer().minimize(square, trials=20))


def test_pickled_it_goes_on_as_it_would_have():
    here = optimizer(generation=4).minimize(square, trials=10)
    (trial,) = here.ask()
    there = pickle.loads(pickle.dumps(here))
    assert there.untold == [trial]
    for one in (here, there):
        one.tell(pickle.loads(pickle.dumps(trial)), 0.0)
        one.minimize(square, trials=20)
    assert untimed(here) == untimed(there)


def test_every_error_of_ours_is_caught_as_one():
    for call in (lepton.Optimizer().ask, lambda: optimizer().best_loss):
        with pytest.raises(LeptonError):
            call()


# -- what it costs -------------------------------------------------------------------------------

LOADED = """
import sys
import lepton
lepton.Space({"x": lepton.Float(0, 1)})
heavy = ("mlflow", "prefect", "pandas", "scipy", "sklearn", "rich", "ruamel")
print(sorted(set(heavy) & set(sys.modules)))
optimizer = lepton.Optimizer({"x": lepton.Float(0, 1)}, generation=2)
print(sorted(set(heavy) & set(sys.modules)))
optimizer.minimize(lambda trial: trial["x"], trials=6)
print(sorted(set(heavy) & set(sys.modules)))
"""


def test_nothing_heavy_is_imported_before_it_is_needed():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]", "['scipy']"]
