"""What one scheduled run may add, from its limits alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.declaration import Budget, Settings
from lepton_core.errors import InputError
from lepton_core.night import is_over, night_of, night_text, tonight

limits = st.builds(
    Budget,
    trials=st.none() | st.integers(1, 50),
    hours=st.none() | st.floats(0.001, 100),
)


@given(st.lists(st.integers(0, 100), unique=True).map(sorted), limits, st.integers(0, 60))
def test_tonights_slots_are_the_first_ones_and_never_more_than_are_left(slots, night, added):
    share = tonight(slots, night, added)
    assert list(share) == slots[: len(share)]
    if night.trials is None:
        assert share == slots
    else:
        assert len(share) == min(len(slots), max(0, night.trials - added))


@given(limits, st.integers(0, 60), st.floats(0, 1e6))
def test_a_night_is_over_when_one_of_its_limits_is_met_and_stays_so(night, added, driven_s):
    over = is_over(night, added=added, driven_s=driven_s)
    by_trials = night.trials is not None and added >= night.trials
    by_hours = night.hours is not None and driven_s >= night.hours * 3600
    assert over == (by_trials or by_hours)
    if over:
        assert is_over(night, added=added + 1, driven_s=driven_s + 1)


@given(st.none() | limits, limits)
def test_what_is_wanted_takes_the_place_of_the_files_limits(nightly, wanted):
    settings = Settings(budget=Budget(), nightly=nightly)
    usual = nightly or Budget()
    expected = Budget(
        trials=wanted.trials or usual.trials,
        hours=wanted.hours or usual.hours,
    )
    if expected == Budget():
        with pytest.raises(InputError, match="no nightly limits"):
            night_of(settings, wanted)
    else:
        assert night_of(settings, wanted) == expected


def test_the_text_says_what_was_added_how_far_it_is_and_that_it_goes_on():
    assert night_text(40, 120, 400) == "40 trials tonight; 120 of 400; goes on with the next run"
    assert night_text(1, 7, None) == "1 trial tonight; 7 in all; goes on with the next run"
