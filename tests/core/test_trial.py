import copy
import math
import pickle  # noqa: TID251  (trials cross process borders)
from decimal import Decimal

import numpy as np
import pytest

from lepton_core.errors import InputError
from lepton_core.trial import Trial

TRIAL = Trial({"lr": 0.1, "depth": 3}, seed=7, number=2)


def test_a_trial_reads_like_a_mapping_of_its_params():
    assert dict(TRIAL) == {"lr": 0.1, "depth": 3}
    assert list(TRIAL) == ["lr", "depth"]
    assert len(TRIAL) == 2
    assert "lr" in TRIAL
    assert TRIAL.get("drop", 0.0) == 0.0
    assert {**TRIAL} == {"lr": 0.1, "depth": 3}


def test_an_inactive_param_is_named_with_those_that_there_are():
    with pytest.raises(KeyError, match=r"'drop' is not active in this trial.*\['lr', 'depth'\]"):
        TRIAL["drop"]


def test_a_trial_crosses_process_borders_whole():
    assert pickle.loads(pickle.dumps(TRIAL)) == TRIAL


def test_trials_differ_by_seed_and_number_too():
    assert Trial({"lr": 0.1}, seed=1) != Trial({"lr": 0.1}, seed=2)
    assert Trial({"lr": 0.1}, number=1) != Trial({"lr": 0.1}, number=2)


class Heard:
    """A reporter that lists what it hears."""

    def __init__(self, *, stop=False):
        self.reports, self.stop = [], stop

    def report(self, step, value):
        self.reports.append((step, value))

    def should_stop(self):
        return self.stop


def test_a_report_reaches_the_reporter_as_an_int_and_a_float():
    heard = Heard()
    trial = Trial({"lr": 0.1}, _reporter=heard)
    trial.report(np.int32(0), np.float32(0.5))
    trial.report(1, 2)
    trial.report(1, np.array(0.25))
    trial.report(2, Decimal("0.125"))
    trial.report(3, 10**400)
    trial.report(4, -(10**400))
    assert heard.reports == [
        (0, 0.5),
        (1, 2.0),
        (1, 0.25),
        (2, 0.125),
        (3, math.inf),
        (4, -math.inf),
    ]
    assert {(type(step), type(value)) for step, value in heard.reports} == {(int, float)}


def test_nan_and_infinities_may_be_reported():
    heard = Heard()
    trial = Trial({}, _reporter=heard)
    for step, value in enumerate((math.nan, math.inf, -math.inf)):
        trial.report(step, value)
    assert [str(value) for _, value in heard.reports] == ["nan", "inf", "-inf"]


@pytest.mark.parametrize("step", [-1, 0.0, 1.5, True, np.True_, "0", None, 2**53 + 1, [0]])
@pytest.mark.parametrize("reporter", [None, Heard()])
def test_a_step_that_is_no_whole_number_is_refused_in_words(step, reporter):
    with pytest.raises(InputError, match=r"step is .*; expected a whole number from 0 on"):
        Trial({}, _reporter=reporter).report(step, 0.5)


@pytest.mark.parametrize(
    "loss",
    [None, "0.5", b"1", True, np.True_, 1j, [0.5], {"loss": 0.5}, np.array([0.5]), np.zeros(2)],
)
@pytest.mark.parametrize("reporter", [None, Heard()])
def test_a_loss_that_is_no_number_is_refused_in_words(loss, reporter):
    with pytest.raises(InputError, match=r"loss is .*; expected a number"):
        Trial({}, _reporter=reporter).report(0, loss)


def test_an_objective_can_be_called_by_hand():
    TRIAL.report(0, 0.5)
    assert TRIAL.should_stop() is False


def test_whether_to_stop_is_for_the_reporter_to_say():
    assert Trial({}, _reporter=Heard(stop=True)).should_stop() is True
    assert Trial({}, _reporter=Heard()).should_stop() is False


def test_a_reporter_is_not_compared_nor_shown_nor_pickled_and_copies_keep_it():
    heard = Heard(stop=True)
    trial = Trial({"lr": [0.1]}, seed=7, number=2, _reporter=heard)
    assert trial == Trial({"lr": [0.1]}, seed=7, number=2)
    assert repr(trial) == repr(Trial({"lr": [0.1]}, seed=7, number=2))
    other = pickle.loads(pickle.dumps(trial))
    assert other == trial
    assert not other.should_stop()
    assert copy.copy(trial) == copy.deepcopy(trial) == trial
    assert copy.copy(trial).should_stop()
    assert copy.deepcopy(trial).should_stop()
    assert copy.deepcopy(trial).params["lr"] is not trial.params["lr"]
