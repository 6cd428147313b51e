"""Which store a sweep folder uses: for helpers that are given the folder and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A store.

    Attributes:
        tracking_uri: As a driver is told it; None for the folder's embedded store.
        database: The database behind it, as SQLAlchemy takes it.
    """

    tracking_uri: str | None
    database: str


_PLACES: dict[Path, Place] = {}


def embedded(folder: Path) -> Place:
    """The embedded store of a folder."""
    return Place(None, f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")


def place_of(folder: Path) -> Place:
    """The store that the folder's sweeps are in."""
    return _PLACES.get(folder) or embedded(folder)


@contextmanager
def placed(folder: Path, place: Place) -> Iterator[None]:
    """Have a folder's sweeps in another store while the body runs."""
    before = _PLACES.get(folder)
    _PLACES[folder] = place
    try:
        yield
    finally:
        if before is None:
            del _PLACES[folder]
        else:
            _PLACES[folder] = before
