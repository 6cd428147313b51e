"""Checkpoints of models that train, as folders of files by the number of their trial.

A checkpoint comes into being whole: it is written beside its place and moved there. Where the sweep
is not recorded the folders are all there is.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from lepton_core.errors import CheckpointError

START = "start"  # the model as it was handed over


def folder_of(owner: object) -> Path:
    """A new folder of this machine that goes when its owner does, or this process ends."""
    folder = Path(mkdtemp(prefix="lepton-"))
    weakref.finalize(owner, _remove, folder, os.getpid())
    return folder


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)


class Checkpoints:
    """Checkpoints in a folder of this machine.

    Args:
        folder: Exists; nobody else writes there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, number: int | None) -> Path:
        """Where a trial's checkpoint is, or is to be; None is the model as it was handed over."""
        return self.folder / (START if number is None else str(number))

    @contextmanager
    def writing(self, number: int | None) -> Iterator[Path]:
        """An empty folder to write a checkpoint into, which is there once the block has ended."""
        place = self.place(number)
        beside = place.with_name(f"{place.name}.part")
        shutil.rmtree(beside, ignore_errors=True)  # of an attempt that was interrupted
        beside.mkdir()
        yield beside
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)

    def bring(self, number: int | None) -> Path:
        """A checkpoint's folder, fetched if need be.

        Raises:
            CheckpointError: It is not there.
        """
        place = self.place(number)
        if not place.is_dir():
            raise missing(number)
        return place

    def has_start(self) -> bool:
        """Whether the model as it was handed over is kept."""
        return self.place(None).is_dir()

    def keep_start(self) -> None:
        """Keep the model as it was handed over, which was written, for other processes."""

    def keep(self, number: int, run_id: str) -> None:
        """Keep a trial's checkpoint, which was written, for other processes.

        Args:
            number: The trial's.
            run_id: The run of the attempt that wrote it.
        """
        del number, run_id

    def retain(self, numbers: Collection[int]) -> None:
        """Remove all checkpoints but these and the start."""
        for place in self.folder.iterdir():
            if place.is_dir() and place.name.isdecimal() and int(place.name) not in numbers:
                shutil.rmtree(place, ignore_errors=True)


def missing(number: int | None) -> CheckpointError:
    """The error that a checkpoint is not there."""
    what = "the model as it was handed over" if number is None else f"trial {number}'s checkpoint"
    return CheckpointError(
        f"{what} is not there; training cannot go on from it. Was it removed, or is this a copy of "
        "an optimizer in memory, which has none? Begin with another optimizer, or under another "
        "name.",
        number=number,
    )
