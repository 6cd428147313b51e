import doctest
import importlib
import pkgutil

import pytest

import lepton_core

MODULES = sorted(m.name for m in pkgutil.walk_packages(lepton_core.__path__, "lepton_core."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings_are_true(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_there_are_examples_in_the_docstrings():
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = map(importlib.import_module, MODULES)
    assert sum(bool(t.examples) for m in modules for t in finder.find(m)) > 15
