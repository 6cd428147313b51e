"""Reading sweep files: YAML 1.2 as plain data, with the line of every key, and nothing executed.

The parser only builds a tree of nodes; this module turns it into dicts, lists and plain values, so
that no tag can make an object, no key can stand twice, and no file can grow without bound.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lepton_core.canonical import shown
from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import DeclarationError, ObjectiveError, SweepFileError
from lepton_core.sweep_file import parse_sweep

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50
SUFFIXES = (".yaml", ".yml")
TAG = "tag:yaml.org,2002:"
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SweepSource:
    """What a user gave as a sweep: its content, and where it came from.

    Attributes:
        content: Plain dicts, lists and values.
        folder: Where the objective's file is looked for.
        file: The sweep file, or None for a dict.
        lines: The line of each key, from 1.
    """

    content: Mapping[str, Any]
    folder: Path
    file: Path | None
    lines: Mapping[Path_, int]

    @property
    def name(self) -> str:
        """The name it declares, unchecked."""
        return str(self.content.get("name", ""))

    def parse(self, recorded: Declaration | None = None) -> tuple[Declaration, Settings]:
        """The sweep that it declares.

        Raises:
            DeclarationError: The first wrong key, with the file and the line.
        """
        try:
            return parse_sweep(self.content, recorded=recorded)
        except DeclarationError as error:
            if self.file is None:
                raise
            raise SweepFileError(
                f"{self._place(error.path)}{error.message}",
                file=str(self.file),
                line=self._line(error.path),
                path=error.path,
            ) from None

    @contextmanager
    def placing_objective_errors(self, path: Path_ = ("objective",)) -> Iterator[None]:
        """Have an error of importing the objective, or a hook, name the line that names it."""
        try:
            yield
        except ObjectiveError as error:
            key = ".".join(map(str, path))
            raise ObjectiveError(
                f"{self._place(path)}{key}: {error.message}", **error.values
            ) from None

    def _line(self, path: Path_) -> int:
        """The line of a key, or of the nearest one above it."""
        above = (path[:n] for n in range(len(path), 0, -1))
        return next((self.lines[key] for key in above if key in self.lines), 1)

    def _place(self, path: Path_) -> str:
        return "" if self.file is None else f"{self.file}:{self._line(path)}: "


def from_dict(content: Mapping[str, Any], folder: Path | None = None) -> SweepSource:
    """A sweep given as a dict; the objective's file is looked for in the current directory."""
    return SweepSource(content, (folder or Path.cwd()).absolute(), None, {})


def read(file: Path) -> SweepSource:
    """A sweep given as a file.

    Raises:
        SweepFileError: It is missing, too large, or not the YAML that is expected.
    """
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise SweepFileError(
                f"{file} has {size} bytes; a sweep file has at most {MAX_BYTES}", file=str(file)
            )
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)  # a device, or a file that grows, has no end
    except (OSError, ValueError) as error:  # a ValueError: the path holds a NUL
        raise _unreadable(file, getattr(error, "strerror", None) or str(error)) from None
    return parse_bytes(data, file)


def parse_bytes(data: bytes, file: Path) -> SweepSource:
    """A sweep given as the bytes of a file.

    Raises:
        SweepFileError: They are too many, or not the YAML that is expected.
    """
    if len(data) > MAX_BYTES:
        raise SweepFileError(f"{file} is too large; a sweep file has at most {MAX_BYTES} bytes")
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").read()
    except UnicodeDecodeError:
        raise _unreadable(file, "it is not UTF-8 text") from None
    reader = _Reader(file)
    content = reader.read(text)
    if not isinstance(content, dict):
        raise SweepFileError(
            f"{file}:1: found {'nothing' if content is None else type(content).__name__}; "
            "expected keys such as name, objective, space, budget",
            file=str(file),
        )
    return SweepSource(content, file.absolute().parent, file, reader.lines)


def _unreadable(file: Path, reason: str) -> SweepFileError:
    return SweepFileError(
        f"cannot read {file}: {reason}; 'lepton init' writes one to start from", file=str(file)
    )


def find(name: str, folder: Path) -> SweepSource:
    """The sweep file in a folder that declares a name.

    Raises:
        SweepFileError: There is none, or more than one.
    """
    found = []
    for file in sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file()):
        try:
            source = read(file)
        except SweepFileError:
            continue  # some other YAML file
        if source.content.get("name") == name:
            found.append(source)
    if len(found) == 1:
        return found[0]
    if found:
        files = ", ".join(source.file.name for source in found if source.file)
        raise SweepFileError(
            f"{files} all declare the name {name!r}; say which with --file", name=name
        )
    raise SweepFileError(
        f"no sweep file in {folder} has the name {name!r}; the objective is never taken from the "
        f"store on trust, so say where the file is: lepton resume {name} --file PATH\n"
        f"(A sweep recorded from Python goes on there: lepton.Optimizer(name={name!r}).)",
        name=name,
    )


def find_or_read(name: str, file: str | Path | None) -> SweepSource:
    """The sweep file of a sweep that is to go on: the one given, or the one of its name here.

    Raises:
        SweepFileError: There is none, or the file declares another name.
    """
    source = read(Path(file)) if file else find(name, Path.cwd())
    if source.name != name:
        raise SweepFileError(
            f"{file} declares the sweep {source.name!r}, not {name!r}", file=str(file)
        )
    return source


class _TooLargeError(Exception):
    """The file has more values, or deeper ones, than a sweep file may have."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _BoundedComposer(Composer):
    """Builds the tree of nodes, and stops where it grows beyond bounds."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # YAML allows an anchor's name to be used again
        self.nodes = self.level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.nodes += 1
        self.level += 1
        if self.nodes > MAX_NODES or self.level > MAX_DEPTH + 1:
            raise _TooLargeError(self.parser.peek_event().start_mark.line + 1)
        node = super().compose_node(parent, index)
        self.level -= 1
        return node


class _Reader:
    """One file's nodes as plain data, and the line of every key on the way."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self.nodes = 0

    def read(self, text: str) -> Any:
        try:
            yaml = YAML(pure=True)
            yaml.Composer = _BoundedComposer  # type: ignore[assignment]  # annotated too narrowly
            node = yaml.compose(text)
            return None if node is None else self._value(node, ())
        except SweepFileError:
            raise
        except _TooLargeError as error:
            raise self._too_large(error.line) from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise SweepFileError(
                f"{self.file}:{line}: not YAML: {error.problem or error.context}",
                file=str(self.file),
                line=line,
            ) from None
        except (YAMLError, RecursionError, ValueError) as error:
            raise SweepFileError(f"{self.file}: not YAML: {error}", file=str(self.file)) from None

    def _value(self, node: Node, path: Path_) -> Any:
        self.nodes += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise self._too_large(node.start_mark.line + 1)
        kind = str(node.tag).removeprefix(TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, kind if isinstance(node, ScalarNode) else f"tagged {kind}")

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or not isinstance(key_node.value, str):
                raise self._error(key_node, "a key must be plain text")
            key = key_node.value
            if key in content:
                first = self.lines[(*path, key)]
                raise self._error(key_node, f"the key {key!r} stands twice (first on line {first})")
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            content[key] = self._value(value_node, (*path, key))
        return content

    def _scalar(self, node: Node, kind: str) -> Any:
        text = str(node.value)
        plain = text.replace("_", "").lower()
        if kind == "str":
            return text
        if kind == "null":
            return None
        try:
            if kind == "bool":
                return {"true": True, "false": False}[plain]
            if kind == "int":
                based = plain.lstrip("+-").startswith(("0x", "0o", "0b"))
                return int(plain, 0) if based else int(plain)
            if kind == "float":
                return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
        except (ValueError, KeyError):
            pass  # a tag says what the text is not, or it has too many digits
        found = shown(node.value) if isinstance(node, ScalarNode) else "a collection"
        raise self._error(
            node,
            f"found {found} (a {kind}); expected text, a number, true, false or null; "
            "write it in quotes",
        )

    def _too_large(self, line: int) -> SweepFileError:
        return self._at(
            line, f"too large; at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep"
        )

    def _error(self, node: Node, problem: str) -> SweepFileError:
        return self._at(node.start_mark.line + 1, problem)

    def _at(self, line: int, problem: str) -> SweepFileError:
        return SweepFileError(f"{self.file}:{line}: {problem}", file=str(self.file), line=line)
