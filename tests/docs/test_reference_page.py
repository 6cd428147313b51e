"""docs/reference.md is what the docstrings say, complete, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lepton

DOCS = Path(__file__).parents[2] / "docs"
NO_EXAMPLE = {"lepton.sweep", "lepton.resume"}  # flows: the README has one, which its test runs


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def reference(maker):
    return maker.Reference()


def test_the_page_is_up_to_date(maker, reference):
    assert maker.PAGE.read_text() == reference.text, "run: make reference"


def test_every_public_name_is_documented(reference):
    """One that is missing belongs into CONTENTS of docs/make_reference.py."""
    for name in lepton.__all__:
        found = getattr(lepton, name)
        if isinstance(found, ModuleType):
            assert f"lepton.{name}." in " ".join(reference.documented), name
        elif name != "__version__":
            assert f"lepton.{name}" in reference.documented


def test_nothing_private_and_nothing_twice_is_on_the_page(reference):
    headings = re.findall(r"^#+ (.+)$", reference.text, re.MULTILINE)
    assert not [h for h in headings if any(part.startswith("_") for part in h.split("."))]
    assert len(set(headings)) == len(headings)


def test_each_name_has_an_example(reference):
    parts = re.split(r"^### (.+)\n", reference.text, flags=re.MULTILINE)[1:]
    without = {
        f"lepton.{title}"
        for title, text in zip(parts[::2], parts[1::2], strict=True)
        if "```pycon\n>>> " not in text
    }
    assert without == NO_EXAMPLE


def test_the_links_lead_somewhere(maker, reference):
    anchors = {maker.anchor(h) for h in re.findall(r"^#+ (.+)$", reference.text, re.MULTILINE)}
    links = set(re.findall(r"\]\(([^)]+)\)", reference.text))
    assert len(links) > 30
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    files = {link.partition("#")[0] for link in links if not link.startswith("#")}
    assert [link for link in files if not (DOCS / link).is_file()] == []


SHOWN = '''
class Thing:
    """A thing.

    Below ``2**3`` of `Thing` and 2**10 of `make`::

        a tree

    Args:
        size: In metres, as `make` says.
    """

    def __init__(self, size: int = 2, *, name: str | None = None, **rest: int) -> None: ...

    def make(self, how_it_is_made: str, what_it_is_made_of_after_all: str, by: str) -> list[int]:
        """Make it.

        Returns:
            An empty list, if there is none: it is not made.
        """

    def _hidden(self) -> None:
        """Nobody's business."""

    @property
    def size(self) -> int:
        """The size.

        Raises:
            ValueError: There is none.
        """
'''


def test_what_a_docstring_says_becomes_markdown(maker, reference, tmp_path):
    import griffe

    (tmp_path / "shown.py").write_text(SHOWN)
    reference.source["shown"] = griffe.load("shown", search_paths=[tmp_path])
    page = "\n".join(reference._entry(maker.Entry("shown.Thing")))
    assert page == THING


THING = """\
### shown.Thing

```python
shown.Thing(size: int = 2, *, name: str | None = None, **rest: int)
```

[source](../shown.py)

A thing.

Below `2**3` of `Thing` and 2\\*\\*10 of [`make`](#shownthingmake):

```text
a tree
```

**Arguments**

- `size`: In metres, as [`make`](#shownthingmake) says.

#### shown.Thing.make

```python
shown.Thing.make(
    how_it_is_made: str,
    what_it_is_made_of_after_all: str,
    by: str,
) -> list[int]
```

Make it.

**Returns:** An empty list, if there is none: it is not made.

#### shown.Thing.size

```python
shown.Thing.size: int
```

The size.

**Raises**

- `ValueError`: There is none.
"""
