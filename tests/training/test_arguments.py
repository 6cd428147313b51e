import numpy as np
import pytest

import lepton
from lepton.training.arguments import check_same, declared, parse
from lepton_core.declaration import Declaration, Portfolio, Training
from lepton_core.errors import DeclarationError, IdentityError, InputError
from lepton_core.space import Choice, Float, Space

X, Y = np.zeros((10, 2)), np.arange(10)
GIVEN = {"steps": 1000, "model": object(), "data": (X, Y)}


SPACE = Space({"learning_rate": Float(1e-4, 1e-1, log=True), "batch_size": Choice([16, 32])})
START = {"learning_rate": 1e-3, "batch_size": 32}


class Learner:
    """What `declared` reads of one."""

    space = SPACE
    start = START


def begun(*, steps=1000, population=None, interval=None, **content):
    wanted = parse(None, **{**GIVEN, "steps": steps}, population=population, interval=interval)
    defaults = {"name": "demo", "space": None, "seed": 0, "generation": 8}
    return declared({**defaults, **content}, wanted, Learner())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": None}, r"steps is missing; expected minimize\(train_step, steps="),
        ({"model": None}, "model is missing"),
        ({"data": None}, "data is missing"),
        ({"steps": 0}, "steps is 0; expected a whole number from 1 to 10000000"),
        ({"steps": 10.5}, "steps is 10.5"),
        ({"steps": True}, "steps is True"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"population": 0}, "population is 0"),
        ({"interval": -1}, "interval is -1"),
        ({"data": X}, r"data is <class 'numpy.ndarray'>; expected a tuple of arrays"),
        ({"data": ()}, "data is <class 'tuple'>"),
        ({"data": (X, Y[:9])}, "data has parts of 10, 9 rows; expected as many in each"),
        ({"data": (X[:1], Y[:1])}, "parts of 1, 1 rows; expected .* 2 at least"),
        ({"data": (X, iter(Y))}, "data holds something without a length"),
        ({"validation": 0}, "validation is 0; expected the share of the data to hold out"),
        ({"validation": 1}, "validation is 1"),
        ({"validation": X}, "expected the share .* or held-out data"),
        ({"validation": (X, Y[:3])}, "validation has parts of 10, 3 rows"),
        ({"evaluate": 3}, "evaluate is 3; expected a function"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes, said):
    with pytest.raises(InputError, match=said):
        parse(None, **{**GIVEN, **changes})


def test_a_train_step_is_to_be_called():
    with pytest.raises(InputError, match="found 3; expected a train step"):
        parse(3, **GIVEN)


def test_an_argument_of_another_name_is_pythons_own_error():
    with pytest.raises(TypeError, match="epochs"):
        parse(None, **GIVEN, epochs=3)


def test_whole_numbers_of_numpy_are_numbers():
    assert parse(None, **{**GIVEN, "steps": np.int64(7)}).steps == 7


def test_it_begins_with_the_frameworks_space_and_defaults():
    found = begun()
    assert found.space == SPACE
    assert found.start_from == (START,)
    assert (found.generation, found.training) == (8, Training(steps=1000, rounds=20))
    assert found.portfolio.proposers == ("ga", "pso", "rl")
    assert not found.portfolio.judge


@pytest.mark.parametrize(
    ("steps", "interval", "rounds"),
    [(1000, None, 20), (1000, 100, 10), (1000, 300, 4), (7, None, 7), (30, None, 20), (5, 50, 1)],
)
def test_an_interval_makes_rounds_that_end_with_the_last_step(steps, interval, rounds):
    training = begun(steps=steps, interval=interval).training
    assert training.rounds == rounds
    assert training.steps_before(rounds) == steps
    taken = [training.steps_before(n + 1) - training.steps_before(n) for n in range(rounds)]
    assert min(taken) >= 1
    assert max(taken) - min(taken) <= 1


def test_a_space_of_ones_own_begins_with_what_the_defaults_say_of_all_of_it():
    mine = {"learning_rate": Float(1e-5, 1e-2, log=True)}
    assert begun(space=mine).start_from == ({"learning_rate": 1e-3},)
    assert begun(space={"learning_rate": Float(0.1, 1)}).start_from == ()
    assert begun(space={**mine, "dropout": Float(0, 0.5)}).start_from == ()
    chosen = [{"learning_rate": 1e-2}]
    assert begun(space=mine, start_from=chosen).start_from == tuple(chosen)


def test_a_judge_has_no_place():
    with pytest.raises(InputError, match="judge is true; a judge ranks whole trials"):
        begun(portfolio={"judge": True})
    assert begun(portfolio={"proposers": ["pso"]}).portfolio.proposers == ("pso",)
    with pytest.raises(DeclarationError, match=r"portfolio: found \['ga'\]"):
        begun(portfolio=["ga"])


def test_what_was_begun_otherwise_does_not_go_on():
    recorded = begun(population=4, interval=100)
    check_same(recorded, parse(None, **GIVEN))
    check_same(recorded, parse(None, **GIVEN, population=4, interval=100))
    check_same(begun(interval=300), parse(None, **GIVEN, interval=300))
    with pytest.raises(IdentityError, match="population is 5; this training was begun with 4"):
        check_same(recorded, parse(None, **GIVEN, population=5))
    with pytest.raises(IdentityError, match="interval is 50; this training was begun with 100"):
        check_same(recorded, parse(None, **GIVEN, interval=50))
    other = Declaration(name="demo", space=SPACE, portfolio=Portfolio(proposers=("ga",)))
    with pytest.raises(IdentityError, match="'demo' evaluates each trial from the beginning"):
        check_same(other, parse(None, **GIVEN))


def test_trials_and_steps_do_not_go_together():
    with pytest.raises(InputError, match="found trials=3 beside the arguments of training"):
        lepton.Optimizer().minimize(print, trials=3, **GIVEN)
