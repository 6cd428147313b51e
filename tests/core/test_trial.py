import pickle  # noqa: TID251  (trials cross process borders)

import pytest

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
