"""Sweeps to be moved: one at its target, one in the middle, with attempts that were killed."""

from __future__ import annotations

import shutil

import pytest


def export(folder, path, monkeypatch):
    from lepton_tasks.sweep_record import open_record
    from lepton_tasks.transfer.export import export_sweep
    from lepton_tasks.transfer.export_file import new_file

    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(folder)
        record = open_record("demo")
        with new_file(path) as stream:
            export_sweep(record, stream)
    return path


@pytest.fixture(scope="session")
def killed_often(tmp_path_factory, new_sweep_folder, drivers):
    """A folder with a sweep whose drivers were killed, the last one in an open generation.

    Its budget was raised on the way.
    """
    folder = new_sweep_folder(tmp_path_factory.mktemp("killed") / "sweep")
    for budget, write in ((8, 50), (8, None), (20, 35), (20, 55)):
        folder.write(budget={"trials": budget})
        point = {"signal_before_write": [write, "SIGKILL"]} if write else {}
        driver = drivers.start(folder.path, in_process=True, **point)
        assert driver.wait() == (-9 if write else 0), driver.said()
    return folder


@pytest.fixture(scope="session")
def exported(killed_often, tmp_path_factory):
    """Its export."""
    path = tmp_path_factory.mktemp("exported") / "demo.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        return export(killed_often.path, path, patch)


@pytest.fixture
def here(sweep_folder):
    """Another store, in the current directory, beside the sweep's file and objective."""
    sweep_folder.write(budget={"trials": 20})
    return sweep_folder


@pytest.fixture
def origin(killed_often, tmp_path, monkeypatch):
    """A copy of the folder that the export comes from."""
    folder = tmp_path / "origin"
    shutil.copytree(killed_often.path, folder)
    return folder
