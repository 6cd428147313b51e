from dataclasses import replace
from math import log

import numpy as np
import pytest

from lepton_core.events import Failure
from lepton_core.proposers.base import Told
from lepton_core.proposers.gaussian import Axes, Gaussian, round_gaussian
from lepton_core.proposers.rl import RL
from lepton_core.rng import rng
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import Outcome, ask, finished, play
from lepton_core.testing import ProposerContract

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})
LETTERS = Space({"c": Choice(list("abcd"))})
CONDITIONAL = Space(
    {"c": Choice(["a", "b"]), "x": Float(0, 1, when={"c": ["a"]}), "y": Float(0, 1)}
)

POLICY = RL()
FAILED = Failure(kind="exception", reason="as the test asked")


class TestRL(ProposerContract):
    make = RL


def losses(*values, mine=True):
    return tuple(Outcome(mine=mine, result=float(value)) for value in values)


def taught(space, loss, generations=12, config=POLICY, slots=8, seed=0):
    """The state after generations of its own actions, each with the loss of its params."""
    played = play(config, space, ())
    for _ in range(generations):
        number = sum(map(len, played.generations))
        found = config.suggest(played.state, ask(space, played, slots=range(slots), seed=seed))
        trials = tuple(
            finished(
                candidate,
                loss(candidate.params),
                generation=len(played.generations),
                slot=slot,
                slots=slots,
                number=number + slot,
                seed=seed,
            )
            for slot, candidate in enumerate(found)
        )
        state = config.update(played.state, Told(space, trials))
        played = replace(played, state=state, generations=(*played.generations, trials))
    return played


def test_the_recorded_log_probability_is_that_of_the_action():
    """By the density of the Gaussian, written out here, and the shares of the choices."""
    space = Space({"x": Float(0, 1), "c": Choice(["a", "b", "d"])})
    config = RL(deviation=0.1)
    played = play(config, space, ())
    for candidate in config.suggest(played.state, ask(space, played, slots=range(8))):
        z = (candidate.params["x"] - 0.5) / 0.1
        expected = -0.5 * z * z - log(0.1 * np.sqrt(2 * np.pi)) + log(1 / 3)
        assert candidate.origin["log_prob"] == pytest.approx(expected, abs=1e-9)


def test_an_inactive_choice_is_no_part_of_the_log_probability():
    space = Space({"c": Choice(["a", "b"]), "d": Choice(list("wxyz"), when={"c": ["a"]})})
    played = play(RL(), space, ())
    found = RL().suggest(played.state, ask(space, played, slots=range(16)))
    logs = {c.params["c"]: c.origin["log_prob"] for c in found}
    assert logs["b"] == pytest.approx(log(1 / 2))
    assert logs["a"] == pytest.approx(log(1 / 8))


def test_an_inactive_number_is_no_part_of_the_log_probability():
    """What is left is the marginal density of the others, however they hang together."""
    gaussian = Gaussian(
        (0.5, 0.5), 0.1, ((1.0, 0.9), (0.9, 1.0)), sigma_path=(0.0, 0.0), path=(0.0, 0.0)
    )
    played = play(POLICY, CONDITIONAL, ())
    state = replace(played.state, gaussian=gaussian)
    found = POLICY.suggest(state, ask(CONDITIONAL, played, slots=range(32)))
    without = [c for c in found if c.params["c"] == "b"]
    assert without
    for candidate in without:
        z = (candidate.params["y"] - 0.5) / 0.1
        expected = -0.5 * z * z - log(0.1 * np.sqrt(2 * np.pi)) + log(1 / 2)
        assert candidate.origin["log_prob"] == pytest.approx(expected, abs=1e-9)


def test_what_lies_elsewhere_was_no_action_and_has_no_log_probability():
    """A sure policy knows of nothing new: what is proposed in its place does not pass for its."""
    letters = Space({f"c{i}": Choice(list("abcdefgh")) for i in range(3)})
    sure = ((1.0, *(0.0,) * 7),) * 3
    config = RL(floor=0.0)
    played = play(config, letters, ())
    state = replace(played.state, softmax=sure)
    found = config.suggest(state, ask(letters, played, slots=range(16)))
    assert len({letters.key(c.params) for c in found}) == 16
    assert ["log_prob" in c.origin for c in found] == [True] + [False] * 15


def test_what_was_rewarded_becomes_likelier():
    played = taught(PLANE, lambda p: (p["x"] - 0.8) ** 2 + (p["y"] - 0.3) ** 2)
    assert played.state.gaussian.mean == pytest.approx((0.8, 0.3), abs=0.05)
    assert played.state.gaussian.sigma < RL().deviation
    learned = taught(LETTERS, lambda p: float(p["c"] != "c"), slots=4).state.softmax[0]
    assert learned[2] > 0.7


def test_only_the_order_of_losses_counts():
    a = taught(PLANE, lambda p: p["x"] ** 2 + p["y"])
    b = taught(PLANE, lambda p: 1e6 * (p["x"] ** 2 + p["y"]) ** 3 - 7)
    assert a.state.gaussian == b.state.gaussian


def test_it_learns_how_params_depend_on_each_other():
    """A narrow valley along x = y: the covariance turns into it."""

    def valley(params):
        x, y = params["x"] - 0.5, params["y"] - 0.5
        return (x + y) ** 2 + 1e4 * (x - y) ** 2

    covariance = np.array(taught(PLANE, valley, generations=20).state.gaussian.covariance)
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert correlation > 0.9


def test_where_a_number_is_inactive_its_mean_is_not_moved_and_its_variance_is_kept():
    """Only y matters, and x is active in none of what was good: x stays where it was."""
    played = taught(
        CONDITIONAL, lambda p: (p["y"] - 0.9) ** 2 if p["c"] == "b" else 10 + p["x"], generations=15
    )
    gaussian = played.state.gaussian
    assert gaussian.mean[1] == pytest.approx(0.9, abs=0.1)
    assert gaussian.mean[0] == pytest.approx(0.5, abs=0.2)
    variances = np.diag(gaussian.covariance)
    assert variances[0] > variances[1]


def test_no_choice_dies_out_and_no_number_of_few_values_gets_stuck():
    config = RL(floor=0.2)
    played = taught(LETTERS, lambda p: float(p["c"] != "c"), slots=4, config=config)
    asked = replace(ask(LETTERS, played, slots=range(64)), generation=99)
    found = [c.params["c"] for c in config.suggest(played.state, asked)]
    assert set(found) == set("abcd")
    few = Space({"n": Int(0, 4), "x": Float(0, 1)})
    played = taught(few, lambda p: abs(p["n"] - 1) + (p["x"] - 0.5) ** 2, generations=25)
    found = RL().suggest(played.state, ask(few, played, slots=range(64)))
    assert len({c.params["n"] for c in found}) > 1


def test_a_low_value_of_a_log_scale_is_left_though_its_cell_is_wide():
    """Of 1 to 1000 the cell of 1 is 144 times as wide as an even share."""
    space = Space({"n": Int(1, 1000, log=True), "x": Float(0, 1), "y": Float(0, 1)})
    played = play(POLICY, space, ())
    at = float(space.encode({"n": 1, "x": 0.5, "y": 0.5})[0])
    state = replace(played.state, gaussian=round_gaussian([at, 0.5, 0.5], 1e-4))
    found = POLICY.suggest(state, ask(space, played, slots=range(64)))
    assert {1, 2} <= {candidate.params["n"] for candidate in found}


def few_and_many(seed):
    """A turned bowl over numbers of few values and of many: `(space, loss)`."""
    generator = rng(seed, "few and many")
    reals, wholes = int(generator.integers(1, 4)), int(generator.integers(1, 5))
    sizes = generator.integers(2, 12, wholes)
    space = Space(
        {
            **{f"x{i}": Float(0, 1) for i in range(reals)},
            **{f"n{i}": Int(0, int(k) - 1) for i, k in enumerate(sizes)},
        }
    )
    turn = np.linalg.qr(generator.standard_normal((len(space), len(space))))[0]
    scales, bottom = 10.0 ** generator.uniform(-2, 2, len(space)), generator.random(len(space))

    def loss(params):
        z = turn @ (space.encode(params) - bottom)
        return float(z * z @ scales)

    return space, loss


def test_steps_that_leave_a_cell_do_not_pass_for_large_ones():
    """They are drawn wider than sigma says; a step that whitens by sigma alone would blow it up."""
    most = 0.0
    for seed in range(12):
        space, loss = few_and_many(seed)
        for generations in (20, 40):
            gaussian = taught(space, loss, generations=generations, seed=seed).state.gaussian
            if gaussian is not None:
                most = max(most, gaussian.sigma, float(np.linalg.norm(gaussian.sigma_path)) / 10)
    assert most < 1


def test_it_is_spent_when_what_is_continuous_has_shrunk_to_a_point():
    mixed = Space({"n": Int(0, 4), "x": Float(0, 1)})
    config = RL(precision=0.01)

    def loss(params):
        return abs(params["n"] - 1) + (params["x"] - 0.5) ** 2

    assert taught(mixed, loss, generations=40, config=config).state.starts >= 1
    whole = Space({"n": Int(0, 99), "m": Int(0, 99)})
    played = taught(whole, lambda p: p["n"] + p["m"], generations=25, config=config)
    assert played.state.starts == 0


def tied(params):
    """A narrow valley in which, where c is b, y and z are what x is."""
    x = params["x"]
    y, z = params.get("y", x), params.get("z", x)
    return (x + y + z - 1.2) ** 2 + 1e4 * ((x - y) ** 2 + (y - z) ** 2)


@pytest.mark.parametrize(
    "loss", [tied, lambda p: 1e3 * (1 + p["x"]) if p["c"] == "b" else tied(p)], ids=["tied", "bad"]
)
@pytest.mark.parametrize("floor", [0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_params_that_are_active_at_times_and_hang_together_tear_nothing_apart(seed, floor, loss):
    when = {"c": ["a"]}
    space = Space(
        {
            "c": Choice(["a", "b"]),
            "x": Float(0, 1),
            "y": Float(0, 1, when=when),
            "z": Float(0, 1, when=when),
        }
    )
    for generations in (20, 40, 60):
        played = taught(space, loss, generations, config=RL(floor=floor), seed=seed)
        gaussian = played.state.gaussian
        assert np.linalg.eigvalsh(np.array(gaussian.covariance))[0] > 0
        assert gaussian.sigma < 0.5
        assert np.linalg.norm(gaussian.sigma_path) < 6
        assert played.state.starts == 0


def test_a_branch_without_numbers_leaves_the_gaussian_as_it_is():
    """All that is good has no number to say anything of: neither sigma nor the mean moves."""
    space = Space(
        {
            "c": Choice(["a", "b"]),
            "x": Float(0, 1, when={"c": ["a"]}),
            **{f"k{i}": Choice(list("abcdefgh")) for i in range(4)},
        }
    )
    played = taught(
        space, lambda p: (0.0 if p["c"] == "b" else 9.0) + (p["k0"] != "c"), generations=20
    )
    assert played.state.softmax[0][1] > 0.9
    # In the first generations some with a number are among the best.
    assert played.state.gaussian.sigma == pytest.approx(POLICY.deviation, rel=0.5)


def test_failures_alone_teach_nothing_and_are_no_reason_to_start_again():
    failed = (Outcome(mine=True, result=FAILED),) * 8
    state = play(RL(patience=0.1), PLANE, (failed,) * 30).state
    assert state == play(RL(), PLANE, ()).state.__class__(
        gaussian=round_gaussian([0.5, 0.5], RL().deviation), softmax=(), stale=30
    )


def test_what_others_tried_does_not_count_as_patience():
    own = (losses(*range(8)),)
    others = (losses(*range(10, 18), mine=False),) * 40
    state = play(RL(patience=0.1), PLANE, own + others).state
    assert (state.starts, state.stale) == (0, 0)


def test_a_policy_that_learns_alone_keeps_nothing_of_what_others_tried():
    begun = play(RL(), PLANE, ())
    alone = replace(begun, state=replace(begun.state, starts=1))
    state = play(RL(), PLANE, (losses(*range(8), mine=False),) * 20, start=alone).state
    assert state.batch == ()


def test_failures_count_as_the_worst():
    played = taught(PLANE, lambda p: FAILED if p["x"] < 0.5 else 1.0, generations=6)
    assert played.state.gaussian.mean[0] > 0.55


def test_anothers_good_trial_is_learned_from_a_bad_one_is_not():
    good = play(RL(), PLANE, (losses(5, 5, 5, 5), losses(1, 2, 8, 9, mine=False)))
    own = play(RL(), PLANE, (losses(5, 5, 5, 5),))
    assert good.state.gaussian == own.state.gaussian  # two are too few for a step of their own
    assert len(good.state.batch) == 4
    more = play(RL(), PLANE, (losses(5, 5, 5, 5), losses(*range(8), mine=False)))
    assert more.state.gaussian != own.state.gaussian


def test_a_policy_that_has_shrunk_to_a_point_starts_elsewhere_and_learns_alone():
    config = RL(precision=0.01)
    played = taught(
        PLANE, lambda p: (p["x"] - 0.8) ** 2 + p["y"] ** 2, generations=40, config=config
    )
    assert played.state.starts >= 1
    anew = replace(played, state=replace(played.state, gaussian=None, batch=()))
    asked = ask(PLANE, anew, slots=range(8))
    starts = {tuple(c.origin["start"]) for c in config.suggest(anew.state, asked)}
    assert len(starts) == 1
    begun = play(config, PLANE, (losses(*range(8)),), start=anew).state
    drawn = play(config, PLANE, (losses(*range(8), mine=False),), start=replace(anew, state=begun))
    assert drawn.state.gaussian == begun.gaussian


def test_many_dimensions_learn_their_variances_alone():
    wide = Space({f"x{j}": Float(0, 1) for j in range(60)})
    state = play(RL(), wide, (losses(*range(8)), losses(*range(8)))).state
    assert len(state.gaussian.covariance) == 1
    assert len(state.gaussian.covariance[0]) == 60
    assert Axes(state.gaussian).full is False


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_bottom_of_a_bowl(seed, minimised):
    assert minimised(RL(), seed=seed) < 1e-3
