"""What holds for every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PLACEHOLDER = re.compile(r"^[A-Z]+(_[A-Z]+)+$", re.MULTILINE)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_no_page_waits_for_something_to_be_filled_in(page):
    assert PLACEHOLDER.findall(page.read_text()) == []
