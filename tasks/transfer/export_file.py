"""Reading and writing the file of an exported sweep: a line at a time, plain or compressed."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lepton_core.errors import ExportFileError
from lepton_core.export_format import (
    MAX_LINE,
    Driver,
    End,
    Line,
    Parent,
    Run,
    Sealed,
    line_text,
    read_line,
)

COMPRESSED = b"\x1f\x8b"  # how every gzip file begins


class Tally:
    """What the last line of an export says of the lines before it, kept as they come."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.drivers = self.runs = self.seals = self.bytes = 0

    def add(self, line: Line, data: bytes) -> None:
        """Count one more line, given with its bytes."""
        self._digest.update(data)
        self.bytes += len(data)
        self.drivers += isinstance(line, Driver)
        self.runs += isinstance(line, Run) and not isinstance(line, Parent)
        self.seals += isinstance(line, Sealed)

    def end(self) -> End:
        """The line that ends what was counted."""
        return End(
            drivers=self.drivers,
            runs=self.runs,
            seals=self.seals,
            digest=self._digest.hexdigest(),
        )


class LineWriter:
    """Writes an export's lines.

    Args:
        stream: Where to, in bytes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.tally = stream, Tally()

    def write(self, line: Line) -> None:
        """Write one line.

        Raises:
            ExportFileError: It is longer than readers take.
        """
        data = line_text(line).encode() + b"\n"
        if len(data) > MAX_LINE:
            raise ExportFileError(
                f"a line of type {line.kind} has {len(data)} bytes; "
                f"the lines of an export have up to {MAX_LINE}"
            )
        self._stream.write(data)
        self.tally.add(line, data)

    def end(self) -> End:
        """Write the last line."""
        end = self.tally.end()
        self.write(end)
        return end


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there once all of it is written, and not before; compressed if named so.

    Raises:
        ExportFileError: It exists, or cannot be written.
    """
    unfinished = None
    try:
        if path.exists():
            raise ExportFileError(f"{path} exists; move it, or name another file with -o")
        unfinished = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
        with unfinished.open("xb") as plain:
            if path.suffix == ".gz":
                # Neither name nor time goes into it: one history gives the same bytes each time.
                with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as compressed:
                    yield cast("IO[bytes]", compressed)
            else:
                yield plain
            plain.flush()
            os.fsync(plain.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise ExportFileError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The lines of an export with their numbers from 1, one at a time.

    The last one is given only if it fits all before it, and nothing follows.

    Raises:
        ExportFileError: The file cannot be read, or is no export; names the line.
    """
    tally, end = Tally(), None
    number = 0
    for number, data in enumerate(_raw_lines(path), start=1):
        with at_line(path, number):
            if end is not None:
                raise ExportFileError("something follows the line that ends the export")
            line = read_line(_text(data))
            if isinstance(line, End):
                end = line
                if end != tally.end():
                    raise ExportFileError(
                        "the counts and the digest do not fit the lines before: "
                        "lines were altered, added or taken out"
                    )
            tally.add(line, data)
        if end is None:
            yield number, line
    if end is None:
        raise ExportFileError(
            f"{path}: the file is cut: the line that ends an export is missing after line {number}"
        )
    yield number, end


def _text(data: bytes) -> str:
    if len(data) > MAX_LINE:
        raise ExportFileError(f"the line has more than {MAX_LINE} bytes")
    if not data.endswith(b"\n"):
        raise ExportFileError("the file is cut in this line")
    try:
        return data[:-1].decode()
    except UnicodeDecodeError:
        raise ExportFileError("the line is not UTF-8") from None


def _raw_lines(path: Path) -> Iterator[bytes]:
    """The file's lines with their ends; what is longer than a line may be comes in pieces."""
    number = 0
    try:
        if not path.is_file():  # a pipe could not be read a second time
            problem = "is no ordinary file" if path.exists() else "does not exist"
            raise ExportFileError(f"{path} {problem}; expected a file that 'lepton export' wrote")
        with path.open("rb") as plain:
            compressed = plain.read(len(COMPRESSED)) == COMPRESSED
            plain.seek(0)
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=plain) if compressed else plain)
            while data := stream.readline(MAX_LINE + 1):
                number += 1
                yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ExportFileError(
            f"{path}: the compressed file is cut or damaged after line {number}: {error}"
        ) from None
    except OSError as error:
        raise ExportFileError(f"cannot read {path}: {error.strerror or error}") from None


@contextmanager
def at_line(path: Path, number: int) -> Iterator[None]:
    """Name the file and the line in what is said of a line."""
    try:
        yield
    except ExportFileError as error:
        raise ExportFileError(
            f"{path}, line {number}: {error.message}", file=str(path), line=number
        ) from None
