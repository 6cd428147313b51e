"""Exports in the hands of tests: edited, with a last line that fits again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lepton_core.canonical import canonical_json, digest

Content = dict[str, Any]


def contents(path: Path) -> list[Content]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, lines: list[Content]) -> Path:
    """Write lines, of which the last gets the digest and the counts of those before."""
    *body, end = lines
    data = "".join(canonical_json(line) + "\n" for line in body).encode()
    kinds = [line.get("line") for line in body]
    counts = {"drivers": "driver", "runs": "run", "seals": "seal"}
    end = {**end, **{key: kinds.count(kind) for key, kind in counts.items()}}
    end["digest"] = hashlib.sha256(data).hexdigest()
    path.write_bytes(data + (canonical_json(end) + "\n").encode())
    return path


def edited(source: Path, target: Path, edit: Callable[[list[Content]], None]) -> Path:
    """An export edited by somebody who can also compute digests."""
    lines = contents(source)
    edit(lines)
    return write(target, lines)


def rechained(lines: list[Content]) -> None:
    """Make the chain of seals fit whatever the seals' texts are now."""
    header = lines[0]
    head = header["digest"] = digest(canonical_json(header["declaration"]))
    bases = {}
    for line in lines:
        if line["line"] == "seal":
            bases[line["previous"]] = head
            line["previous"] = head
            head = line["hash"] = digest(head + line["text"])
    for line in lines:
        base = line.get("tags", {}).get("lepton.base") if line["line"] == "run" else None
        if base in bases:
            line["tags"]["lepton.base"] = bases[base]
    header["head"] = head
