"""A sweep moved into a store of each kind, and out of it again."""

from __future__ import annotations

import pytest
from backends import on_every_store
from histories import full_list

from lepton.cli import main


@pytest.fixture
def lepton(capsys):
    """Run a command that succeeds."""

    def run(*arguments):
        code = main([*arguments])
        assert code == 0, capsys.readouterr()

    return run


@on_every_store
def test_a_sweep_is_moved_into_a_store_of_any_kind_goes_on_the_same_and_is_moved_out_again(
    exported, here, origin, drivers, tmp_path, lepton
):
    lepton("import", str(exported))
    lepton("verify", "demo")
    drivers.run(here.path)
    drivers.run(origin)  # where it came from, it goes on as well
    assert [row[2:5] for row in full_list(here.path)] == [row[2:5] for row in full_list(origin)]
    lepton("export", "demo", "-o", str(tmp_path / "again.jsonl"))
    lepton("import", str(tmp_path / "again.jsonl"), "--as", "twin")
    lepton("verify", "twin")
