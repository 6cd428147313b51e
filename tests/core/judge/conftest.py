"""Models are fitted on one thread, as a sweep does: beside other tests two take far longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lepton_core.judge.one_thread import one_thread


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
