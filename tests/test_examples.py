"""The examples in the docstrings are true: all of them, wherever in our packages they stand.

They are looked for in the source, as `doctest.testmod` sees no example of a cached property, nor of
a function that a decorator has made something else, such as a Prefect flow.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
from pathlib import Path

import pytest

PACKAGES = ("lepton", "lepton_core", "lepton_flows", "lepton_tasks")
NOT_OURS = ("templates",)  # what a user starts from
PARSER = doctest.DocTestParser()


def modules():
    """The name and the file of each module."""
    for package in PACKAGES:
        root = Path(importlib.util.find_spec(package).origin).parent
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if not set(parts) & set(NOT_OURS):
                yield ".".join((package, *(part for part in parts if part != "__init__"))), file


def docstrings(file):
    """Each docstring of a file, with the line it begins on and what it is of."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text, node.body[0].lineno, getattr(node, "name", "module")


EXAMPLES = {
    f"{name}:{of}:{line}": (name, file, text, line)
    for name, file in modules()
    for text, line, of in docstrings(file)
    if PARSER.get_examples(text)
}


def wrong(text, names, *, of="example", file="-", line=1):
    """What is not true of a docstring's examples, as doctest tells it."""
    said = []
    doctest.DocTestRunner(verbose=False).run(
        PARSER.get_doctest(text, dict(names), of, file, line - 1), out=said.append
    )
    return "".join(said)


@pytest.mark.parametrize("where", EXAMPLES)
def test_the_examples_of_a_docstring_are_true(where):
    name, file, text, line = EXAMPLES[where]
    module = importlib.import_module(name)
    assert wrong(text, vars(module), of=where, file=str(file), line=line) == ""


def test_they_are_found_in_all_packages_and_in_what_doctest_itself_does_not_see():
    assert {name for name, _ in modules()} >= {"lepton", "lepton_core", "lepton_flows.sweep"}
    assert len({name for name, *_ in EXAMPLES.values()}) > 25
    assert any(where.startswith("lepton_core.space:size:") for where in EXAMPLES)  # cached


def test_an_example_that_is_not_true_is_told():
    assert "Expected:\n    3\nGot:\n    2\n" in wrong(">>> one + one\n3\n", {"one": 1})
    assert wrong(">>> one + one\n2\n", {"one": 1}) == ""
