"""Each module of lepton.integrations says which extra it lacks, and loads no other library."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from lepton_core.trial import Trial

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
LIBRARIES = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "keras": "keras",
    "lightning": "lightning",
    "pytorch_lightning": "lightning",
}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(("module", "extra"), LIBRARIES.items())
def test_without_its_library_a_module_names_the_extra(module, extra):
    assert extra in EXTRAS
    said = run(f"""
import sys
sys.modules["{module}"] = None  # as if it were not installed
try:
    import lepton.integrations.{module}
except ImportError as error:
    print(type(error).__name__, error)
""").stdout
    assert said.startswith(f"MissingExtraError lepton.integrations.{module} needs a library")
    assert f"pip install 'lepton-tuning[{extra}]'" in said


def test_lepton_itself_loads_none_of_the_libraries():
    names = [*LIBRARIES, "torch"]
    code = f"import sys, lepton, lepton.integrations; print({names} & sys.modules.keys())"
    assert run(code.replace("[", "{", 1).replace("]", "}", 1)).stdout.strip() == "set()"


def test_a_tensor_of_a_graph_may_be_reported(listening):
    trial, heard = listening()
    weight = torch.ones(1, requires_grad=True)
    trial.report(torch.tensor(3), (weight * 0.5).sum())
    assert heard.reports == [(3, 0.5)]


def test_a_tensor_with_dimensions_is_refused_in_words():
    with pytest.raises(ValueError, match=r"\(Tensor\); expected a number, .* of no dimensions"):
        Trial({}).report(0, torch.ones(2))
