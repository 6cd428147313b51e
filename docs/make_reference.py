"""Write docs/reference.md from the docstrings: ``make reference``.

`CONTENTS` says what is documented and in which order; all else is read from the source, by griffe,
without importing it. A name of a module's ``__all__`` that is nowhere in it fails the tests.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe

import lepton

PAGE = Path(__file__).with_name("reference.md")
PACKAGES = ("lepton", "lepton_core", "lepton_tasks", "lepton_flows")
FOLDERS = {"lepton_tasks": "tasks", "lepton_flows": "flows"}  # in the repository
WIDTH = 88

HEAD = """\
<!-- Written by `make reference` from the docstrings. Change those. -->

# API reference

What `import lepton` gives. That loads neither MLflow nor Prefect nor scikit-learn;
what needs them imports them when it is first used. The
[guide to the Optimizer](optimizer.md), the [sweep file](sweep-file.md) and the
[commands](cli.md) have pages of their own.
"""


@dataclass(frozen=True)
class Entry:
    """A name that is documented.

    Attributes:
        name: As users import it.
        members: Of a class: those that are shown; None: all public ones.
        source: Where it is defined, if the name is not bound to a class or function there.
    """

    name: str
    members: tuple[str, ...] | None = None
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        entries: What is documented in it.
        modules: Modules all of whose ``__all__`` is documented in it; a name that ends in ``.*``
            is that package and every module of it, if there is such a package.
        text: What is said before.
    """

    title: str
    entries: tuple[Entry, ...] = ()
    modules: tuple[str, ...] = ()
    text: str = ""


ERRORS = "lepton_core.errors"
ALIASES = (
    "lepton_core.canonical.Value",
    "lepton_core.canonical.Params",
    "lepton_core.domains.Domain",
    "lepton_core.values.When",
    "lepton_core.declaration.Direction",
    "lepton.spaces.Domains",
    "lepton.optimizer.Objective",
)
"""The types that signatures name, with what they stand for."""

CONTENTS = (
    Section(
        "Searching",
        (
            Entry("lepton.Optimizer"),
            Entry("lepton.optimizer.TrainingArguments"),
            Entry("lepton.LeptonSearchCV"),
        ),
    ),
    Section("Trials", (Entry("lepton.Trial"),)),
    Section(
        "Search spaces",
        (
            Entry("lepton.Float", members=()),
            Entry("lepton.Int", members=()),
            Entry("lepton.Choice", members=()),
            Entry(
                "lepton.Space",
                members=("size", "free", "validate", "decode", "encode", "to_dict"),
            ),
        ),
    ),
    Section(
        "Ready search spaces",
        modules=("lepton.spaces",),
        text="How to use them, and what they gained: [ready spaces](spaces.md).",
    ),
    Section("Reporting while training", modules=("lepton.integrations.*",)),
    Section(
        "Recorded sweeps",
        (
            Entry("lepton.sweep", source="lepton_flows.sweep._sweep"),
            Entry("lepton.resume", source="lepton_flows.sweep._resume"),
        ),
        text="Both are Prefect flows: call them, or deploy them. An example is in the\n"
        "[README](../README.md#the-flows-in-python).",
    ),
    Section("Errors", (Entry("lepton.LeptonError", members=()),)),
)


class Reference:
    """The page, and what it was made of.

    Attributes:
        documented: Each name on the page, as users import it.
        text: The page.
    """

    def __init__(self) -> None:
        self.source = _load()
        self.sections = [(section, self._groups(section)) for section in CONTENTS]
        groups = [group for _, found in self.sections for group in found]
        self.documented = [entry.name for _, entries in groups for entry in entries]
        self.anchors = {error.name: "errors" for error in self._error_classes()}
        self.anchors |= {
            title: anchor(title) for title in map(title_of, self.documented) if "." not in title
        }
        self.text = "\n".join((HEAD, self._contents(), *self._body())).rstrip() + "\n"

    def _groups(self, section: Section) -> list[tuple[Any, list[Entry]]]:
        """What is documented in a section and is there, each with the module that it is all of."""
        there = [e for e in section.entries if self._find(e.source or e.name) is not None]
        modules = [module for name in section.modules for module in self._modules(name)]
        groups = [(m, [Entry(f"{m.path}.{name}") for name in _public(m)]) for m in modules]
        return [*([(None, there)] if there else []), *groups]

    def _modules(self, name: str) -> list[Any]:
        found = self._find(name.removesuffix(".*"))
        if found is None:
            return []
        listed = sorted(found.modules.values(), key=lambda module: module.name)
        below = [m for m in listed if not m.name.startswith("_")]
        return [found, *(below if name.endswith(".*") else [])]

    def _find(self, path: str) -> Any:
        try:
            found = self.source[path]
        except KeyError:
            return None
        return found.final_target if found.is_alias else found

    # -- the page ---------------------------------------------------------------------------

    def _contents(self) -> str:
        rows = ["| | |", "|---|---|"]
        for section, groups in self.sections:
            titles = [title_of(entry.name) for _, entries in groups for entry in entries]
            links = " · ".join(f"[`{title}`](#{anchor(title)})" for title in titles)
            if titles:
                rows.append(f"| [{section.title}](#{anchor(section.title)}) | {links} |")
        return "\n".join((*rows, ""))

    def _body(self) -> list[str]:
        parts: list[str] = []
        for section, groups in self.sections:
            if groups:
                parts += [f"## {section.title}\n", *([section.text + "\n"] if section.text else [])]
            for module, entries in groups:
                parts += [] if module is None else self._docstring(module, "")
                parts += [part for entry in entries for part in self._entry(entry)]
            if section.title == "Errors":
                parts += self._errors()
        return [*parts, *self._aliases()]

    def _entry(self, entry: Entry) -> list[str]:
        found, title = self._find(entry.source or entry.name), title_of(entry.name)
        parts = [f"### {title}\n", *self._head(found, entry.name), *self._docstring(found, title)]
        if entry.name.startswith("lepton.spaces.") and title != "spaces.to_yaml":
            space = lepton.spaces.to_yaml(getattr(lepton.spaces, found.name)())
            parts += ["The space, as in a sweep file:\n", f"```yaml\n{space}```\n"]
        if found.is_class:
            for member in _members(found, entry.members):
                whole = f"{title}.{member.name}"
                parts += [f"#### {whole}\n", *self._head(member, whole)]
                parts += self._docstring(member, title)
        return parts

    def _head(self, found: Any, name: str) -> list[str]:
        """The signature, and for what stands alone a link to its source."""
        if found.is_attribute:
            kind = f": {found.annotation}" if found.annotation else ""
            return [f"```python\n{name}{kind}\n```\n"]
        text = f"```python\n{signature(found, name)}\n```\n"
        return [text] if found.parent.is_class else [text, f"[source]({_link(found)})\n"]

    def _docstring(self, found: Any, within: str) -> list[str]:
        if found.docstring is None:
            return []
        options = {"returns_named_value": False, "warnings": False}
        sections = griffe.parse_google(found.docstring, **options)
        anchors = {title: to for title, to in self.anchors.items() if title != within}
        owner = found if found.is_class else found.parent
        if owner is not None and owner.is_class:
            anchors |= {m.name: anchor(f"{within}.{m.name}") for m in _methods(owner)}
        return [_linked(part, anchors) for s in sections for part in _rendered(s, found)]

    def _errors(self) -> list[str]:
        """All of them in a table, each below what it is a kind of."""
        rows = ["| error | exit code | meaning |", "|---|---|---|"]
        codes: dict[str, str] = {}
        for found in self._error_classes():
            own = found.members.get("exit_code")
            base = str(found.bases[0])
            codes[found.name] = str(own.value) if own is not None else codes.get(base, "1")
            parents = ", ".join(f"`{b}`" for b in found.bases)
            text = found.docstring.value.split("\n\n")[0].replace("\n", " ")
            rows.append(f"| `{found.name}` ({parents}) | {codes[found.name]} | {text} |")
        return [f"They are imported from `{ERRORS}`:\n", "\n".join(rows) + "\n"]

    def _error_classes(self) -> list[Any]:
        classes = self.source[ERRORS].classes.values()
        return [found for found in classes if not found.name.startswith("_")]

    def _aliases(self) -> list[str]:
        rows = ["| name | what it stands for |", "|---|---|"]
        for found in filter(None, map(self._find, ALIASES)):
            value = str(found.value).replace("|", "\\|")
            rows.append(f"| `{found.name}` | `{value}` |")
        return ["## Types in signatures\n", "\n".join(rows) + "\n"]


def title_of(name: str) -> str:
    """A name's heading: `Optimizer`, `spaces.xgboost`."""
    return name.removeprefix("lepton.")


def anchor(heading: str) -> str:
    """The link to a heading, as Git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def signature(found: Any, name: str) -> str:
    """A call as Python writes it, one argument a line where one line is too short."""
    given, star = [], False
    parameters = list(found.parameters)
    bound = found.is_class or (found.parent.is_class and "staticmethod" not in found.labels)
    if bound and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    for one in parameters:
        kind = one.kind
        if kind is griffe.ParameterKind.keyword_only and not star:
            given.append("*")
            star = True
        star = star or kind is griffe.ParameterKind.var_positional
        typed = one.annotation is not None and str(one.annotation) != "Any"
        text = {"variadic positional": "*", "variadic keyword": "**"}.get(kind.value, "") + one.name
        text += f": {one.annotation}" if typed else ""
        if one.default is not None and not kind.value.startswith("variadic"):
            text += f" = {one.default}" if typed else f"={one.default}"
        given.append(text)
    returns = None if found.is_class else found.returns
    end = f") -> {returns}" if returns is not None else ")"
    line = f"{name}({', '.join(given)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join((f"{name}(", *(f"    {text}," for text in given), end))


def _load() -> Any:
    loader = griffe.GriffeLoader(
        search_paths=[Path(importlib.util.find_spec(p).origin).parents[1] for p in PACKAGES],
        docstring_parser=griffe.Parser.google,
        extensions=griffe.load_extensions(),  # knows dataclasses
        allow_inspection=False,
    )
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases(implicit=True)
    return loader.modules_collection


def _public(module: Any) -> list[str]:
    """What a module says is public; if it says nothing, what it defines under such a name."""
    if module.exports is not None:
        return [str(name) for name in module.exports]
    own = {**module.classes, **module.functions}
    return [name for name, m in own.items() if not name.startswith("_") and not m.is_alias]


def _members(found: Any, chosen: tuple[str, ...] | None) -> list[Any]:
    """A class's public methods and properties, in the order of the source."""
    own = {n: m.final_target if m.is_alias else m for n, m in found.all_members.items()}
    if chosen is not None:
        return [own[name] for name in chosen]
    return [
        m
        for name, m in own.items()
        if not name.startswith("_")
        and m.docstring is not None
        and (m.is_function or "property" in m.labels)
    ]


def _methods(found: Any) -> list[Any]:
    return [m for m in _members(found, None) if m.is_function]


def _linked(part: str, anchors: Mapping[str, str]) -> str:
    """Prose with links from the names in backticks; code blocks stay as they are."""
    if part.startswith("```"):
        return part
    pieces = re.split(r"(`[^`]+`)", re.sub(r"``([^`]+)``", r"`\1`", part))
    for k, piece in enumerate(pieces):
        if k % 2 == 0:
            pieces[k] = re.sub(r"(?<=\w)\*\*(?=[\w-])", r"\*\*", piece)  # 2**3 is nothing bold
        elif piece[1:-1] in anchors:
            pieces[k] = f"[{piece}](#{anchors[piece[1:-1]]})"
    return "".join(pieces)


def _link(found: Any) -> str:
    package, *parts = found.module.path.split(".")
    path = Path("..", FOLDERS.get(package, package), *parts)
    is_package = found.module.filepath.name == "__init__.py"
    return f"{path}/__init__.py" if is_package else f"{path}.py"


def _rendered(section: Any, of: Any) -> list[str]:
    """A section of a docstring as Markdown, each code block by itself."""
    kind, value = section.kind.value, section.value
    if kind == "text":
        return _text(value)
    if kind == "examples":
        return _examples([text for _, text in value])
    if kind == "admonition" and value.kind in ("example", "examples"):
        return _examples([value.contents])
    if kind == "admonition":
        said = _one_line(value.contents)
    elif kind in ("returns", "yields"):
        said = _one_line(" ".join(_unsplit(one, of) for one in value))
    else:
        rows = [(getattr(one, "name", None) or str(one.annotation), one) for one in value]
        lines = [f"- `{name}`: {_one_line(one.description)}" for name, one in rows]
        return ["\n".join((f"**{TITLES.get(kind, kind.capitalize())}**\n", *lines, ""))]
    return [f"**{section.title or kind.capitalize()}:** {said}\n"]


def _unsplit(one: Any, of: Any) -> str:
    """What is returned, in words: what ends in a colon is only a type if the function says so."""
    known = (None, str(getattr(of, "returns", None)))
    said = None if one.annotation is None else str(one.annotation)
    return one.description if said in known else f"{said}: {one.description}"


TITLES = {"parameters": "Arguments", "other parameters": "Other arguments"}


def _text(text: str) -> list[str]:
    """Prose; what is indented after ``::`` is a code block."""
    parts = re.split(r"(?<=:):\n\n((?:(?:    .*)?\n?)+)", text)
    found = []
    for k, part in enumerate(parts):
        if k % 2:
            code = "\n".join(line[4:] for line in part.strip("\n").splitlines())
            found.append(f"```text\n{code}\n```\n")
        elif part.strip():
            found.append(part.strip() + "\n")
    return found


def _examples(texts: list[str]) -> list[str]:
    return ["**Example**\n", *(f"```pycon\n{text.strip()}\n```\n" for text in texts)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    """Write the page."""
    PAGE.write_text(Reference().text)
    sys.stdout.write(f"{PAGE}: {len(Reference().documented)} names\n")


if __name__ == "__main__":
    main()
