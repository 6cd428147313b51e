"""What scikit-learn's own test files need to be read under our strict pytest, and small pools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thread_unsafe: a mark of scikit-learn's own tests")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a few samples, threads of numeric libraries only wait for each other."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
