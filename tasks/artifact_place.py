"""Where a run's artifacts may be written: what the store says is checked, not followed on trust."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lepton_core.canonical import shown
from lepton_core.errors import RecordError

if TYPE_CHECKING:
    from lepton_tasks.store import Address

OWN_HOST = ("http", "https", "mlflow-artifacts")  # these send MLflow's password along


def local_path(location: str) -> Path | None:
    """The folder that a location names on this machine, or None if it is elsewhere.

    Example:
        >>> local_path("file:///tmp/a%20b"), local_path("/tmp/a"), local_path("s3://bucket/a")
        (PosixPath('/tmp/a b'), PosixPath('/tmp/a'), None)
    """
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(location)


def own_place(location: str, run_id: str, where: Address) -> Path | None:
    """Where to write a run's artifacts instead of where the store says; None: there.

    In the embedded store they stay below its own folder: one that was moved says another place, and
    so may one that was edited. In a store that the user named the place is the store's to choose,
    but on this machine only a folder of the run's own, as MLflow makes it
    (``.../RUN_ID/artifacts``), and over HTTP only the tracking server itself.

    Raises:
        RecordError: They may not be written there, nor is there a place of Lepton's own.
    """
    try:
        path, parts = local_path(location), urlsplit(location)
        own_host = urlsplit(where.tracking_uri).hostname
        if where.folder is not None:
            allowed = path is not None and _is_below(path, where.folder / "artifacts")
        elif path is not None:
            allowed = ".." not in path.parts and path.parts[-2:] == (run_id, "artifacts")
        else:
            allowed = parts.scheme not in OWN_HOST or parts.hostname in (None, own_host)
    except ValueError:
        allowed = False
    if allowed:
        return None
    if where.folder is not None:
        return where.folder / "artifacts" / "moved" / run_id / "artifacts"
    raise RecordError(
        f"the store says that the artifacts of run {run_id} are in {shown(location)}, where "
        "Lepton writes nothing on its word; expected a folder of the run's own, or the tracking "
        "server",
        run_id=run_id,
    )


def kept_place(location: str, run_id: str, where: Address) -> Path | None:
    """Where a run's artifacts are: as `own_place`, but where a store that was moved has them still.

    Raises:
        RecordError: As of `own_place`.
    """
    place, path = own_place(location, run_id, where), local_path(location)
    if place is None or where.folder is None or path is None:
        return place
    if path.parts[-2:] != (run_id, "artifacts") or len(path.parts) < 3:  # noqa: PLR2004
        return place
    root = where.folder / "artifacts"
    usual = root.joinpath(*path.parts[-3:])
    return usual if usual.is_dir() and _is_below(usual, root) else place


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, links resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
