"""Whatever the input, an error of Lepton's own is the worst that comes of it.

``make fuzz`` does the same with a hundred thousand inputs for each target.
"""

from __future__ import annotations

import pytest
from fuzz_targets import TARGETS
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_brings_a_traceback_of_ours(name):
    target = TARGETS[name]

    @settings(
        max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(target.inputs)
    def run(value):
        target.check(value)

    run()
