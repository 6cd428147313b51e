"""The disks under a store that is a file: their kind, and what is free on them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lepton_tasks.installation.check import Check, State, gravest

MOUNTINFO = Path("/proc/self/mountinfo")
# SQLite's write-ahead log is shared memory, and its locks are advisory: neither holds between the
# machines of a network file system (https://www.sqlite.org/wal.html, "Disadvantages").
NETWORK = frozenset(
    {
        *("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "orangefs", "panfs", "smb2", "smb3", "smbfs", "webdav", "wekafs"),
        *("fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs"),
        *("fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
VOLATILE = frozenset({"tmpfs", "ramfs"})
WARN_BYTES, LEAST_BYTES = 1_000_000_000, 50_000_000
LEAST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system, and where it hangs in the tree."""

    point: str
    kind: str


def mounts_of_linux(mountinfo: str) -> list[Mount]:
    r"""The file systems that Linux lists (man 5 proc_pid_mountinfo).

    Example:
        >>> mounts_of_linux("35 1 0:3 / /home rw - nfs4 server:/home rw")
        [Mount(point='/home', kind='nfs4')]
    """
    found = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:  # noqa: PLR2004  (the fifth field is the place)
            point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found.append(Mount(point, after.split(" ")[0]))
    return found


def mounts_of_bsd(mount: str) -> list[Mount]:
    """The file systems that ``mount`` prints on macOS.

    Example:
        >>> mounts_of_bsd("/dev/disk1s1 on / (apfs, local, journaled)")
        [Mount(point='/', kind='apfs')]
    """
    lines = re.findall(r"^.+? on (.+) \((\w+)", mount, re.MULTILINE)
    return [Mount(point, kind) for point, kind in lines]


def kind_of(place: Path, mounts: Sequence[Mount]) -> str:
    """The kind of file system that a path is on; empty where that cannot be told.

    Example:
        >>> kind_of(Path("/home/me/mlruns"), [Mount("/", "ext4"), Mount("/home", "nfs4")])
        'nfs4'
    """
    under = [one for one in mounts if place.is_relative_to(one.point)]
    # Of two at one place the later one hides the other.
    longest = max(((len(one.point), number) for number, one in enumerate(under)), default=None)
    return "" if longest is None else under[longest[1]].kind


def mounts_here() -> list[Mount]:
    """The file systems of this machine; none where they cannot be listed."""
    try:
        if MOUNTINFO.exists():
            return mounts_of_linux(MOUNTINFO.read_text(errors="replace"))
        told = subprocess.run(["mount"], capture_output=True, text=True, check=False, timeout=5)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return []
    return mounts_of_bsd(told.stdout)


def nearest(place: Path) -> Path:
    """The path itself, links resolved, or the folder above it that is there.

    Example:
        >>> nearest(Path("/no/such/folder"))
        PosixPath('/')
    """
    place = Path(os.path.realpath(place))
    return next(one for one in (place, *place.parents) if one.exists())


def check_kind(places: dict[str, Path], mounts: Sequence[Mount]) -> Check:
    """Whether SQLite can rely on the file systems that its databases are on.

    Args:
        places: What is kept there, to where.
        mounts: The machine's file systems.
    """
    found: list[str] = []
    states: list[State] = []
    advice: list[str] = []
    for what, place in places.items():
        kind = kind_of(nearest(place), mounts)
        found.append(f"{what}: {kind or 'unknown'}")
        if kind in NETWORK:
            states.append("problem")
            advice.append(
                f"SQLite's locks do not hold over {kind}: put {what} on a local disk, or use a "
                "server on PostgreSQL (docs/shared-store.md)"
            )
        elif kind in VOLATILE:
            states.append("warning")
            advice.append(f"{what} is in memory, and gone with the machine: move it to a disk")
    return Check(
        "file system",
        gravest(states),
        "; ".join(found),
        "a local disk under every SQLite database",
        "; ".join(advice),
    )


def check_room(places: dict[str, Path]) -> Check:
    """What is free where files are written, each disk once."""
    disks: dict[int, tuple[list[str], Path]] = {}
    for what, place in places.items():
        there = nearest(place)
        disks.setdefault(there.stat().st_dev, ([], there))[0].append(what)
    told = [_room(", ".join(what), there) for what, there in disks.values()]
    return Check(
        "disk",
        gravest(state for state, _, _ in told),
        "; ".join(found for _, found, _ in told),
        f"{size_text(WARN_BYTES)} free; below {size_text(LEAST_BYTES)} a sweep soon fails",
        "; ".join(_advice(told)),
    )


def _advice(told: Sequence[tuple[State, str, str]]) -> Iterator[str]:
    return (advice for state, _, advice in told if state != "ok")


def _room(what: str, there: Path) -> tuple[State, str, str]:
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    text = f"{size_text(free)} free for {what}"
    no_files_left = found.f_files > 0 and found.f_favail < LEAST_FILES
    if no_files_left:
        text += f", and room for {found.f_favail} more files"
    state: State = "ok"
    if free < LEAST_BYTES or (no_files_left and found.f_favail == 0):
        state = "problem"
    elif free < WARN_BYTES or no_files_left:
        state = "warning"
    return state, text, f"free some space below {there}"


def size_text(size: float) -> str:
    """A number of bytes for people, to two digits or the whole number.

    Example:
        >>> size_text(1_000_000_000), size_text(52_300_000), size_text(999)
        ('1.0 GB', '52 MB', '999 bytes')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            number = size / factor
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"  # noqa: PLR2004
    return f"{size:.0f} bytes"
