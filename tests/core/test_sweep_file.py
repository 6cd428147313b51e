import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_core.canonical import shown
from lepton_core.credit import Credit
from lepton_core.declaration import Budget
from lepton_core.errors import DeclarationError
from lepton_core.hooks import HookReferences
from lepton_core.pools import JUDGED_PROPOSERS
from lepton_core.proposers import PROPOSERS, UNJUDGED_PROPOSERS
from lepton_core.proposers.ga import GA
from lepton_core.proposers.settings import settings_of
from lepton_core.space_file import parse_space
from lepton_core.sweep_file import parse_sweep

FULL = {
    "name": "churn-xgb",
    "objective": "objective.py:objective",
    "metric": "val/loss",
    "direction": "maximize",
    "space": {
        "lr": {"type": "float", "low": 1e-4, "high": 0.5, "log": True},
        "depth": {"type": "int", "low": 2, "high": 12, "step": 1},
        "booster": {"type": "choice", "choices": ["gbtree", "dart"]},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"booster": ["dart"]}},
        "kind": "binary:logistic",
    },
    "budget": {"trials": 64, "hours": 1.5},
    "generation": 4,
    "workers": 2,
    "seed": 7,
    "timeout": 300,
    "start_from": [{"lr": 0.1, "depth": 6, "booster": "gbtree"}],
    "portfolio": {
        "proposers": ["ga", "random"],
        "judge": False,
        "ga": {"population": 20, "step": 0.2},
        "credit": {"floor": 0.1},
    },
    "nightly": {"trials": 40, "hours": 2},
    "hooks": {"improved": "hooks.py:tell", "ended": "package.module:tell"},
}
LEAST = {key: FULL[key] for key in ("name", "objective", "space", "budget")}
MISSING = ...


def changed(path, value, base=FULL):
    content = copy.deepcopy(base)
    at = content
    for key in path[:-1]:
        at = at[key]
    if value is MISSING:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return content


def test_a_full_file_says_everything():
    declared, driven = parse_sweep(FULL)
    assert (declared.name, declared.seed, declared.generation) == ("churn-xgb", 7, 4)
    assert (declared.metric, declared.direction) == ("val/loss", "maximize")
    assert declared.space == parse_space(FULL["space"])
    assert declared.portfolio.proposers == ("ga", "random")
    assert GA(**declared.portfolio.settings["ga"]) == GA(population=20, step=0.2)
    assert Credit(**declared.portfolio.settings["credit"]) == Credit(floor=0.1)
    assert declared.start_from == (
        {"lr": 0.1, "depth": 6, "booster": "gbtree", "kind": "binary:logistic"},
    )
    assert driven.budget == Budget(trials=64, hours=1.5)
    assert (driven.objective, driven.workers, driven.timeout) == (FULL["objective"], 2, 300.0)
    assert driven.nightly == Budget(trials=40, hours=2.0)
    assert driven.hooks == HookReferences(improved="hooks.py:tell", ended="package.module:tell")


def test_the_least_file_has_defaults():
    declared, driven = parse_sweep(LEAST)
    assert (declared.seed, declared.generation, declared.metric) == (0, 8, "loss")
    assert declared.direction == "minimize"
    assert (
        declared.portfolio.proposers == JUDGED_PROPOSERS == ("ga", "pso", "rl", "local", "random")
    )
    assert declared.portfolio.judge
    assert declared.portfolio.settings == {}
    assert declared.start_from == ()
    assert (driven.workers, driven.timeout, driven.nightly) == (1, None, None)
    assert driven.hooks == parse_sweep({**LEAST, "hooks": None})[1].hooks == HookReferences()


def test_without_a_budget_there_must_be_nightly_limits():
    file = {key: LEAST[key] for key in LEAST if key != "budget"}
    _, driven = parse_sweep({**file, "nightly": {"trials": 40}})
    assert (driven.budget, driven.nightly) == (Budget(), Budget(trials=40))
    for nothing in ({}, {"nightly": None}):
        with pytest.raises(DeclarationError, match=r"'budget' is missing; .*or else nightly"):
            parse_sweep({**file, **nothing})
    with pytest.raises(DeclarationError, match=r"^budget: found None; expected such as"):
        parse_sweep({**file, "nightly": {"trials": 40}, "budget": None})


def test_every_setting_is_written_out_so_that_a_new_default_changes_no_old_sweep():
    portfolio = parse_sweep({**LEAST, "portfolio": {"judge": False}})[0].portfolio
    assert portfolio.proposers == UNJUDGED_PROPOSERS
    assert set(portfolio.settings) == {"credit", "ga", "pso", "rl"}
    for name, settings_ in portfolio.settings.items():
        assert set(settings_) == set(settings_of({"credit": Credit, **PROPOSERS}[name]))


def test_a_recorded_sweep_keeps_of_its_portfolio_what_the_file_does_not_name():
    recorded, _ = parse_sweep(FULL)
    assert parse_sweep(LEAST, recorded=recorded)[0].portfolio == recorded.portfolio
    named = {**LEAST, "portfolio": {"ga": {"step": 0.3}}}
    after = parse_sweep(named, recorded=recorded)[0].portfolio
    assert after.proposers == recorded.portfolio.proposers
    assert after.settings["ga"] == {**recorded.portfolio.settings["ga"], "step": 0.3}
    assert after.settings["credit"] == recorded.portfolio.settings["credit"]


def test_a_recorded_sweep_without_a_judge_gets_none_by_a_new_default():
    recorded, _ = parse_sweep({**LEAST, "portfolio": {"judge": False}})
    assert parse_sweep(LEAST, recorded=recorded)[0].portfolio == recorded.portfolio
    asked = parse_sweep({**LEAST, "portfolio": {"judge": True}}, recorded=recorded)[0].portfolio
    assert asked.judge
    assert asked.proposers == JUDGED_PROPOSERS


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"rl": {"deviation": 1e-5}},
            r"^portfolio.rl.deviation: found 1e-05; expected more than precision, 1e-05",
        ),
        ({"rl": {"deviation": 0.01, "precision": 0.05}}, r"^portfolio.rl.deviation: found 0.01"),
        (
            {"pso": {"inertia": 0, "cognitive": 0, "social": 0}},
            r"^portfolio.pso.inertia: found 0, as are cognitive and social; expected one of them",
        ),
        ({"ga": {"step": 0.6}}, r"^portfolio.ga.step: found 0.6; expected .* to 0.5"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(declared, message):
    with pytest.raises(DeclarationError, match=message):
        parse_sweep({**LEAST, "portfolio": {"judge": False, **declared}})


def test_one_pull_alone_moves_a_swarm():
    declared = {"judge": False, "pso": {"inertia": 0, "cognitive": 0, "social": 0.5}}
    assert parse_sweep({**LEAST, "portfolio": declared})[0].portfolio.settings["pso"]["social"]


def test_numpy_ints_are_whole_numbers_too():
    assert type(parse_sweep({**LEAST, "seed": np.int64(3)})[0].seed) is int


BIG = 10**400
S = ("space",)
LR = ("space", "lr")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("name",), MISSING, r"^'name' is missing; needed here: name, objective, space"),
        (("objective",), MISSING, "^'objective' is missing"),
        (("name",), "a b", "^name: found 'a b'; expected 1 to 100 of A-Z a-z 0-9"),
        (("name",), "x" * 101, "^name: "),
        (("name",), "a\n", "^name: "),
        (("name",), "..", "^name: "),
        (("name",), None, "^name: found None"),
        (
            ("genration",),
            8,
            "^genration: unknown key; did you mean 'generation'. Allowed here: name",
        ),
        (("zzz",), 8, "^zzz: unknown key; Allowed here: "),
        ((None,), 8, "^None: unknown key"),
        ((True,), 8, "^True: unknown key"),
        ((BIG,), 8, "^1000.*: unknown key"),
        ((10**5000,), 8, "^<a whole number of 16610 bits>: unknown key"),
        (("objective",), "objective.py", "^objective: found .*; expected FILE.py:FUNCTION"),
        (("objective",), "o.py:a b", "^objective: "),
        (("objective",), "a\0.py:f", "^objective: "),
        (("objective",), ["a"], "^objective: found"),
        (("metric",), "../x", "^metric: found '../x'; expected a metric's name"),
        (("metric",), 3, "^metric: found 3"),
        (("metric",), "m" * 246, "^metric: .* 1 to 245 characters"),
        (("direction",), "min", "^direction: found 'min'; expected minimize or maximize"),
        (("direction",), [], r"^direction: found \[\]"),
        (("direction",), np.array([1, 2]), "^direction: found array"),
        (("generation",), 0, "^generation: found 0; expected a whole number from 1 to 10000"),
        (("generation",), True, "^generation: found True"),
        (("generation",), 8.0, "^generation: found 8.0"),
        (("generation",), BIG, "^generation: found 1000"),
        (("seed",), -1, "^seed: found -1; expected a whole number from 0"),
        (("seed",), 2**63, "^seed: found 9223372036854775808"),
        (("workers",), "2", "^workers: found '2'"),
        (("workers",), 0, "^workers: found 0"),
        (("timeout",), 0, "^timeout: found 0; expected a number of seconds above 0"),
        (("timeout",), float("inf"), "^timeout: found inf"),
        (("timeout",), float("nan"), "^timeout: found nan"),
        (("timeout",), True, "^timeout: found True"),
        (("timeout",), BIG, "^timeout: found 1000"),
        (("budget",), {}, r"^budget: found \{\}; expected such as \{trials: 64\}"),
        (("budget",), 64, "^budget: found 64"),
        (("budget",), {"trials": None}, "^budget: sets no limit; expected trials, hours or both"),
        (("budget", "trials"), 0, "^budget.trials: found 0"),
        (("budget", "trials"), 10_000_001, "^budget.trials: found"),
        (("budget", "hours"), -1, "^budget.hours: found -1; expected a number of hours above 0"),
        (("budget", "hours"), BIG, "^budget.hours: found 1000"),
        (("budget", "trails"), 3, "^budget.trails: unknown key; did you mean 'trials'"),
        (("nightly", "hours"), "2", "^nightly.hours: found '2'"),
        (("hooks",), {}, "^hooks: found {}; expected such as {improved: hooks.py:tell}"),
        (("hooks",), "hooks.py:tell", "^hooks: found 'hooks.py:tell'; expected such as"),
        (("hooks", "improve"), "hooks.py:tell", "^hooks.improve: .*did you mean 'improved'"),
        (("hooks", "failed"), "hooks.py", "^hooks.failed: found 'hooks.py'; expected FILE.py:F"),
        (("portfolio",), ["random"], r"^portfolio: found \['random'\]; expected such as"),
        (("portfolio", "proposers"), "random", "^portfolio.proposers: found 'random'; expected a"),
        (("portfolio", "proposers"), [], "^portfolio.proposers: found"),
        (
            ("portfolio", "proposers"),
            ["randm"],
            r"^portfolio.proposers\[0\]: found 'randm'; .*sobol",
        ),
        (("portfolio", "proposers"), [["random"]], r"^portfolio.proposers\[0\]: found"),
        (("portfolio", "proposers"), ["random", "random"], r"^portfolio.proposers\[1\]: .*twice"),
        (("portfolio", "judge"), 1, "^portfolio.judge: found 1; expected true or false"),
        (("portfolio", "judge"), True, "^portfolio.ga: ga has no settings under a judge; take it"),
        (("portfolio",), {"credit": {}}, "^portfolio.credit: credit has no settings under a judge"),
        (("portfolio",), {"proposers": ["sobol"]}, r"^portfolio.proposers\[0\]: .*under a judge$"),
        (
            ("portfolio",),
            {"proposers": ["local"], "judge": False},
            r"^portfolio.proposers\[0\]: found 'local'; .* random without a judge$",
        ),
        (("portfolio", "ga"), 3, "^portfolio.ga: found 3; expected a mapping of population, "),
        (("portfolio", "pso"), {}, "^portfolio.pso: pso is no proposer of this sweep"),
        (("portfolio", "random"), {}, "^portfolio.random: random has no settings; take it out"),
        (("portfolio", "ga", "step"), 0, r"^portfolio.ga.step: found 0; .* from 1e-06 to 0.5"),
        (("portfolio", "ga", "population"), 2.5, "^portfolio.ga.population: found 2.5; .* whole"),
        (("portfolio", "ga", "populatoin"), 9, "^portfolio.ga.populatoin: .*mean 'population'"),
        (("portfolio", "credit", "floor"), "x", "^portfolio.credit.floor: found 'x'; .* number"),
        (("portfolio", "judg"), True, "^portfolio.judg: unknown key; did you mean 'judge'"),
        (S, [], r"^space: found \[\]; expected a mapping of param names"),
        (S, {}, "^space: found"),
        (S, {"k": 1}, "^space: every param of the space is fixed"),
        ((*S, 1), 3, "^space.1: cannot name a param"),
        ((*S, "a\nb"), 3, r"^space.'a\\nb': cannot name a param"),
        (
            (*S, "kind"),
            ["a", "b"],
            r"^space.kind: found a list; write \{type: choice, choices: \[a, b",
        ),
        ((*S, "kind"), {}, "^space.kind: has no type; expected one of float, int, choice"),
        ((*S, "kind"), {10, 20}, r"^space.kind: found \{.*\(set\)"),
        ((*LR, "type"), "flot", "^space.lr.type: found 'flot'; expected one of float, int, choice"),
        ((*LR, "type"), ["float"], "^space.lr.type: found"),
        ((*LR, "hihg"), 1, "^space.lr.hihg: unknown key; did you mean 'high'"),
        (
            (*LR, "choices"),
            [1],
            "^space.lr.choices: unknown key; Allowed here: type, low, high, log",
        ),
        ((*LR, "low"), MISSING, "^space.lr: 'low' is missing; needed here: type, low, high"),
        ((*LR, "low"), 0, "^space.lr.low: low is 0.0; a log scale needs it above 0"),
        ((*LR, "low"), 0.6, "^space.lr.low: low 0.6 is not below high 0.5"),
        ((*LR, "low"), "1e-4", "^space.lr.low: low is '1e-4'; expected a finite number"),
        ((*LR, "high"), float("inf"), "^space.lr.high: high is inf"),
        ((*LR, "high"), BIG, "^space.lr.high: high is 1000"),
        ((*LR, "high"), 10**5000, "^space.lr.high: high is <a whole number"),
        ((*LR, "log"), "yes", "^space.lr.log: log is 'yes'; expected true or false"),
        ((*LR, "step"), 5, "^space.lr.step: step is 5.0"),
        ((*S, "depth", "low"), True, "^space.depth.low: low is True; expected a whole number"),
        ((*S, "depth", "low"), 2.5, "^space.depth.low: low is 2.5; expected a whole number"),
        ((*S, "depth", "high"), 2**60, r"^space.depth.high: .*expected at most 2\*\*53"),
        (
            (*S, "booster", "choices"),
            [1, "1"],
            "^space.booster.choices: choices holds '1' more than",
        ),
        ((*S, "booster", "choices"), [], "^space.booster.choices: "),
        ((*S, "booster", "choices"), "ab", "^space.booster.choices: "),
        ((*S, "booster", "low"), 1, "^space.booster.low: unknown key"),
        ((*S, "drop", "when"), "dart", "^space.drop.when: when is 'dart'; expected a mapping"),
        ((*S, "drop", "when"), {"boster": 1}, "^space.drop.when.boster: is not another param"),
        ((*S, "drop", "when"), {"lr": 0.1}, "^space.drop.when.lr: is a float; a condition needs"),
        (
            (*S, "drop", "when"),
            {"booster": "x"},
            "^space.drop.when.booster: found 'x'; .*gbtree, dart",
        ),
        ((*S, "drop", "when"), {"booster": []}, "^space.drop.when: when.booster is an empty list"),
        (("start_from",), {"lr": 1}, r"^start_from: found .*; expected a list of params"),
        (("start_from",), [3], r"^start_from\[0\]: found 3; expected a mapping of params"),
        (("start_from", 0, "lr"), 0.9, r"^start_from\[0\].lr: found 0.9; expected a number from"),
        (("start_from", 0, "dept"), 0.9, r"^start_from\[0\].dept: is not a param of this space"),
        (("start_from", 0, "drop"), 0.1, r"^start_from\[0\].drop: has a value but is inactive"),
        (("start_from", 0, "depth"), MISSING, r"^start_from\[0\].depth: is missing; expected"),
        (
            ("start_from",),
            FULL["start_from"] * 2,
            r"^start_from\[1\]: the same params as start_from\[0\]",
        ),
    ],
    ids=shown,
)
def test_a_wrong_key_is_named_with_what_was_found_and_what_is_allowed(path, value, message):
    content = changed(path, value)
    with pytest.raises(DeclarationError, match=message):
        parse_sweep(content)


@pytest.mark.parametrize("content", [None, [], "name: x", 3])
def test_a_file_that_is_no_mapping_is_refused(content):
    with pytest.raises(DeclarationError, match=r"expected a mapping with the keys name, objective"):
        parse_sweep(content)


def test_conditions_in_a_circle_are_refused():
    depth = {"type": "int", "low": 2, "high": 12, "when": {"booster": "dart"}}
    booster = {"type": "choice", "choices": ["gbtree", "dart"], "when": {"depth": 2}}
    content = changed(("space",), {**FULL["space"], "depth": depth, "booster": booster})
    with pytest.raises(
        DeclarationError, match=r"^space\.(depth|booster): conditions run in a circle"
    ):
        parse_sweep(content)


def test_starting_points_are_told_apart_by_type():
    space = {"x": {"type": "choice", "choices": [1, True, 1.0]}}
    points = [{"x": 1}, {"x": True}, {"x": 1.0}]
    declared, _ = parse_sweep({**LEAST, "space": space, "start_from": points})
    assert repr(declared.start_from) == repr(tuple(points))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def huge(exponent):
    return st.just(exponent).map(lambda e: 10**e)  # by `map`, as hypothesis shows what it samples


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    huge(5000),
    st.sampled_from((BIG, -BIG, 2**53 + 1, 1e308, 5e-324, -0.0, "\ud800", "\0", "x" * 3000)),
    st.just(5000).map(nested),
    st.sampled_from(((1, 2), {1, 2}, object(), 1j, range(3), parse_sweep)),
    st.sampled_from((np.float64(0.5), np.int64(3), np.array([1, 2]), np.bool_(True))),
)
KEYS = st.one_of(
    st.sampled_from(("low", "high", "type", "step", "log", "when", "choices", "booster", "trials")),
    st.text(max_size=3),
    st.integers(),
    st.none(),
    st.booleans(),
    st.floats(),
    huge(5000),
    st.sampled_from((BIG, (1, 2), frozenset({1}))),
)
JUNK = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def holders(content):
    """Every mapping and list in nested mappings and lists."""
    if isinstance(content, dict | list):
        yield content
        for value in content.values() if isinstance(content, dict) else content:
            yield from holders(value)


@st.composite
def mutations(draw):
    """A valid file, wrong in some places: values replaced, keys added, keys removed."""
    content = copy.deepcopy(FULL)
    places = list(holders(content))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places))
        known = list(place) if isinstance(place, dict) else range(len(place))
        action = draw(st.sampled_from(("replace", "add", "remove")))
        if action == "add" and isinstance(place, dict):
            place[draw(KEYS)] = draw(JUNK)
        elif known and action == "remove":
            del place[draw(st.sampled_from(known))]
        elif known:
            place[draw(st.sampled_from(known))] = draw(JUNK)
    return content


@settings(max_examples=100)
@given(mutations())
def test_whatever_a_file_holds_it_is_read_or_refused_in_words(content):
    try:
        declared, driven = parse_sweep(content)
    except DeclarationError as error:
        wrong = error
        assert wrong.problem in str(wrong)
        assert len(str(wrong)) < 2000
    else:
        again = type(declared).from_record(declared.to_record())
        assert again == declared
        assert type(driven).from_record(driven.to_record()) == driven
        declared.space.encode(declared.space.decode([0.5] * len(declared.space)))


@settings(max_examples=50)
@given(JUNK)
def test_whatever_else_is_passed_is_refused_in_words(content):
    with pytest.raises(DeclarationError):
        parse_sweep(content)
