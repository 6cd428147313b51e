"""Checkpoints as artifacts of MLflow runs: written whole, known by their digests, never unpickled.

What a checkpoint holds is written down with its digests in a tag of the run, in the same call as
the result that makes it count. So what is fetched is what was kept, or it is refused; and a result
without its checkpoint there is none, whenever the driver dies.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lepton_core.canonical import canonical_json, shown
from lepton_core.errors import CheckpointError
from lepton_tasks import records, write_points
from lepton_tasks.artifact_place import kept_place, local_path
from lepton_tasks.store import Store
from lepton_tasks.untrusted import is_whole, read_object
from lepton_tasks.write_points import WritePoint

CHECKPOINT = "lepton.checkpoint"  # tag: the files of the run's checkpoint, with their digests
FOLDER = "checkpoint"  # among the run's artifacts
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,8}")
SHA256 = re.compile(r"[0-9a-f]{64}")

Files = Mapping[str, tuple[int, str]]
"""Of a checkpoint: size in bytes and SHA-256, by name below its folder."""


class CheckpointArtifacts:
    """Where the checkpoints of a store's runs are.

    Args:
        store: The open store.
    """

    def __init__(self, store: Store) -> None:
        self.client, self.address = store.client, store.address
        self._cannot_delete = False
        self._places: dict[str, Path | None] = {}  # of runs to be looked at again

    def put(self, point: WritePoint, run_id: str, folder: Path) -> dict[str, str]:
        """Keep a folder's files as artifacts of a run.

        Args:
            point: Which write this is.
            run_id: The run.
            folder: The checkpoint, which nobody changes meanwhile.

        Returns:
            The tags that say what the checkpoint holds, to be written next.

        Raises:
            RecordError: The store says to write it where Lepton does not write.
        """
        files = {name: digests(folder / name) for name in _names(folder)}
        place = self._places[run_id] = self._local(run_id)
        if place is None:
            self.client.log_artifacts(point, run_id, str(folder), FOLDER)
        else:
            self.client.on_disk(point, lambda: _write_through(folder, files, place))
        return records.long_tag(CHECKPOINT, canonical_json({"files": files}))

    def get(self, run: Any, folder: Path) -> bool:
        """Fetch a run's checkpoint.

        Args:
            run: MLflow's.
            folder: An empty one.

        Returns:
            Whether the run has one.

        Raises:
            CheckpointError: A file is missing, or is not what was kept.
        """
        run_id = str(run.info.run_id)
        if CHECKPOINT not in run.data.tags:
            return False
        files = _read(records.read_long_tag(run.data.tags, CHECKPOINT), run_id)
        place = self._local(run_id, str(run.info.artifact_uri))
        with TemporaryDirectory(prefix="lepton-") as downloads:
            for name, (size, digest) in files.items():
                if place is None:
                    found = self._download(run_id, name, Path(downloads))
                else:
                    found = place / name
                _take(found, folder / name, size, digest, run_id)
        return True

    def delete(self, run_id: str) -> None:
        """Delete a run's checkpoint, where the store can; of one that has none, nothing."""
        place = self._places.pop(run_id) if run_id in self._places else self._local(run_id)
        point = write_points.CHECKPOINT_DELETED
        if place is not None:
            if place.is_symlink() or place.exists():
                self.client.on_disk(point, lambda: _remove(place))
        elif not self._cannot_delete:
            try:
                self.client.delete_artifacts(point, run_id, FOLDER)
            except NotImplementedError:  # a store that keeps for ever what it was given
                self._cannot_delete = True

    def _local(self, run_id: str, location: str = "") -> Path | None:
        """The folder of a run's checkpoint, where that is on this machine."""
        location = location or str(self.client.get_run(run_id).info.artifact_uri)
        place = kept_place(location, run_id, self.address) or local_path(location)
        return None if place is None else place / FOLDER

    def _download(self, run_id: str, name: str, into: Path) -> Path:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  (costs a second)

        try:
            return Path(self.client.download_artifacts(run_id, f"{FOLDER}/{name}", str(into)))
        except (FileNotFoundError, MlflowException) as error:
            raise _not_as_kept(run_id, f"{name} cannot be fetched: {error}") from None


def digests(file: Path) -> tuple[int, str]:
    """A file's size in bytes and its SHA-256."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return file.stat().st_size, digest


def _names(folder: Path) -> Iterator[str]:
    """The files of a checkpoint, below its folder, in order.

    Raises:
        CheckpointError: One has a name that not every store would keep.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(folder).as_posix()
        if not NAME.fullmatch(name):
            raise CheckpointError(
                f"a checkpoint has the file {shown(name)}; expected a name of letters, digits, "
                "'_', '.' and '-'"
            )
        yield name


def _read(text: str | None, run_id: str) -> Files:
    """The files that a tag names.

    Raises:
        CheckpointError: It is torn or altered.
    """
    try:
        content = read_object(text or "")["files"]
        files = {name: (size, digest) for name, (size, digest) in content.items()}
        for name, (size, digest) in files.items():
            if not (NAME.fullmatch(name) and is_whole(size) and SHA256.fullmatch(digest)):
                raise ValueError(name)  # noqa: TRY301
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _not_as_kept(run_id, f"the tag {CHECKPOINT} is torn or was altered") from None
    return files


def _take(found: Path, place: Path, size: int, digest: str, run_id: str) -> None:
    """Copy a file that is what it was when it was kept.

    Raises:
        CheckpointError: It is missing, or something else.
    """
    name = place.name
    # Nothing but a file is opened: reading a pipe would wait for ever.
    if found.is_symlink() or not found.is_file():
        raise _not_as_kept(run_id, f"{name} is missing")
    place.parent.mkdir(parents=True, exist_ok=True)
    if found.stat().st_size == size:
        shutil.copyfile(found, place)
    if not place.exists() or digests(place) != (size, digest):
        raise _not_as_kept(run_id, f"{name} was altered, or is not whole")


def _not_as_kept(run_id: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint of run {run_id} is not what was kept: {why}. Training cannot go on from "
        "it; restore the run's artifacts from a backup, or begin under another name",
        run_id=run_id,
    )


def _write_through(folder: Path, files: Files, place: Path) -> None:
    """Write files so that they are there after a pulled plug too, as what names them will be."""
    _remove(place)  # of a call that failed halfway
    place.mkdir(parents=True)
    for name in files:
        copy = place / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copy)
        _sync(copy)
    _sync(place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(place: Path) -> None:
    if place.is_symlink():
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)
