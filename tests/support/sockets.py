"""Which addresses the processes of a test listen on, as Linux tells."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

LISTENING = "0A"


def listening(pids: list[int]) -> set[str]:
    """The addresses, such as ``127.0.0.1``, that any of these processes accepts connections at."""
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                found.add(_address(fields[1].partition(":")[0]))
    return found


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found


def _address(digits: str) -> str:
    """The kernel writes an address as words of four bytes, each in the machine's own order."""
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    return str(ip_address(b"".join(words)))
