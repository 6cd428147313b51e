"""The disks under a store: their kind as the system lists it, and what is free; a full one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lepton_tasks.installation.file_system import (
    check_kind,
    check_room,
    kind_of,
    mounts_here,
    mounts_of_bsd,
    mounts_of_linux,
)

LINUX = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:20 / /proc rw,nosuid - proc proc rw
31 22 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/export/home rw,vers=4.2
32 31 0:41 / /home/me/my\040disk rw - ext4 /dev/sdb1 rw
33 22 0:42 / /tmp rw - tmpfs tmpfs rw
34 22 0:43 / /mnt/over rw - ext4 /dev/sdc rw
35 34 0:44 / /mnt/over rw - fuse.sshfs host:/x rw
"""
MACOS = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
server:/export on /Volumes/shared disk (nfs, nodev, nosuid)
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/srv/mlruns", "ext4"),
        ("/home/me/mlruns", "nfs4"),
        ("/homes", "ext4"),
        ("/home/me/my disk/mlruns", "ext4"),
        ("/mnt/over/a", "fuse.sshfs"),
    ],
)
def test_the_kind_is_that_of_the_nearest_mount_and_of_two_the_later_one(place, kind):
    assert kind_of(Path(place), mounts_of_linux(LINUX)) == kind


def test_macos_lists_its_file_systems_in_another_way():
    assert kind_of(Path("/Volumes/shared disk/a"), mounts_of_bsd(MACOS)) == "nfs"
    assert kind_of(Path("/Users/me"), mounts_of_bsd(MACOS)) == "apfs"


def test_this_machine_lists_the_file_system_of_this_file():
    assert kind_of(Path(__file__).resolve(), mounts_here())


def test_sqlite_over_a_network_is_a_problem_and_in_memory_a_warning(tmp_path):
    network = mounts_of_linux("1 0 0:1 / / rw - nfs4 server:/ rw")
    memory = mounts_of_linux("1 0 0:1 / / rw - tmpfs tmpfs rw")
    places = {"the store": tmp_path / "not" / "yet"}
    check = check_kind(places, network)
    assert (check.state, check.found) == ("problem", "the store: nfs4")
    assert "PostgreSQL" in check.advice
    assert check_kind(places, memory).state == "warning"
    assert (check_kind(places, []).state, check_kind(places, []).found) == (
        "ok",
        "the store: unknown",
    )


def test_places_on_one_disk_are_told_once(tmp_path):
    check = check_room({"a": tmp_path, "b": tmp_path / "not yet"})
    assert check.found.endswith("free for a, b")


# A file system of 4 MB in a mount namespace of its own, of which nothing is left outside.
IN_A_SMALL_ONE = """
mount -t tmpfs -o size=4m,mode=777 none "$1" && cd "$1" && mkdir mlruns && cp "$2" mlruns/mlflow.db
test -n "$3" && head -c 5000000 /dev/zero > filler 2> "$4"
exec "$5" -m lepton doctor --json
"""


def in_a_small_file_system(folder, migrated, *, full):
    """What the doctor tells of a store in a file system of 4 MB."""
    place, errors = folder / "small", folder / "errors"
    place.mkdir()
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    possible = shutil.which("unshare") and (
        subprocess.run(
            [*unshare, "mount", "-t", "tmpfs", "none", str(place)],
            check=False,
            capture_output=True,
        ).returncode
        == 0
    )
    if not possible:
        pytest.skip("no file system may be mounted here, not even in a namespace of its own")
    arguments = [place, migrated, "full" if full else "", errors, sys.executable]
    done = subprocess.run(
        [*unshare, "sh", "-c", IN_A_SMALL_ONE, "sh", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)
    return done.returncode, {one["name"]: one for one in told["checks"]}


def test_a_small_disk_is_a_problem_before_it_is_full(tmp_path, migrated):
    code, checks = in_a_small_file_system(tmp_path, migrated, full=False)
    assert (checks["writing"]["state"], checks["disk"]["state"]) == ("ok", "problem"), checks
    assert checks["file system"]["state"] == "warning"
    assert code == 1


def test_a_full_disk_is_a_problem_of_the_store(tmp_path, migrated):
    code, checks = in_a_small_file_system(tmp_path, migrated, full=True)
    assert (checks["disk"]["state"], code) == ("problem", 7), checks
    assert any(checks[name]["state"] == "problem" for name in ("writing", "limits", "artifacts")), (
        checks
    )
