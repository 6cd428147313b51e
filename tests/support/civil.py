"""What every command keeps to, whatever it reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODES = {0, 2, 3, 4, 5, 6, 7}
MOST_SHOWN = 60_000  # characters


def check_civil(shown: str) -> None:
    """Fail if a text holds a traceback, or anything that a terminal would obey."""
    assert "Traceback" not in shown, shown
    assert len(shown) < MOST_SHOWN, f"{len(shown)} characters: {shown[:500]}"
    bad = {c for c in shown if not c.isprintable() and c != "\n"}
    assert not bad, f"{bad!r} in {shown!r}"


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


_seen: list[str] | None = None
_DANGEROUS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is None:
        return
    opened = event == "open" and any(x in str(arguments[0]) for x in ("evil", "/etc/passwd"))
    compiled = event == "compile" and any(x in str(arguments[0]) for x in ("evil", "__class__}"))
    if opened or compiled or event in _DANGEROUS:
        _seen.append(f"{event} {arguments}")


sys.addaudithook(_hook)  # there is no taking it away again


@contextmanager
def watching() -> Iterator[list[str]]:
    """What only the store speaks of and is opened or compiled, and all that is unpickled or run."""
    global _seen  # noqa: PLW0603  (an audit hook is global too)
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def outside(folder: Path) -> set[str]:
    """The files around a sweep's folder, and in it beside the store."""
    top = folder.parents[1]
    return {
        str(file.relative_to(top))
        for file in top.rglob("*")
        if not file.is_relative_to(folder / "mlruns") and "__pycache__" not in file.parts
    }
