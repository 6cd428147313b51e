"""What undisturbed sweeps give, to hold disturbed ones against."""

from __future__ import annotations

import pytest
from histories import full_list


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, migrated, drivers):
    """The list and the best of sweeps that nobody disturbed, by what is changed in their file."""
    from tests.conftest import OBJECTIVE, SweepFolder

    known = {}

    def run(**changes):
        key = repr(changes)
        if key not in known:
            path = tmp_path_factory.mktemp("undisturbed") / "sweep"
            folder = SweepFolder(path, migrated, OBJECTIVE)
            folder.write(**changes)
            best = drivers.run(folder.path, in_process=True).ending()["best"]
            known[key] = full_list(folder.path), best
        return known[key]

    return run
