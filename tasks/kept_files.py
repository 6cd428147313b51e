"""A file that Lepton keeps as an artifact of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

from lepton_tasks.artifact_place import own_place
from lepton_tasks.store import Store
from lepton_tasks.write_points import WritePoint


def keep_file(store: Store, point: WritePoint, run_id: str, file: Path) -> None:
    """Keep a file under its own name.

    Raises:
        RecordError: The store says to write it where Lepton does not write.
    """
    location = store.client.get_run(run_id).info.artifact_uri
    place = own_place(location, run_id, store.address)
    if place is None:
        store.client.log_artifact(point, run_id, str(file))
        return

    def copy() -> None:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / file.name)

    store.client.on_disk(point, copy)
