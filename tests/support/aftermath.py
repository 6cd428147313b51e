"""What must be true after whatever befell a sweep: all is as if nothing had happened."""

from __future__ import annotations

from drivers import await_no_process
from histories import assert_sound, full_list, of_kind


def assert_as_if_nothing_had_happened(folder, undisturbed, best, **changes):
    """`undisturbed` is the fixture; `changes` are those of the sweep file."""
    assert_sound(folder.path)
    await_no_process(folder.mark)
    expected, expected_best = undisturbed(**changes)
    assert full_list(folder.path) == expected
    assert best == expected_best
    (parent,) = of_kind(folder.path, "sweep")
    assert parent.status == "FINISHED"
