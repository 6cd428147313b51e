"""An Optimizer in a notebook: a real kernel runs the cells, as Jupyter would."""

from __future__ import annotations

import re
import warnings

import pytest

CELLS = [
    "import lepton",
    "optimizer = lepton.Optimizer({'x': lepton.Float(-1, 1), 'kind': lepton.Choice(['<a>', 'b'])})",
    "optimizer",
    "optimizer.minimize(lambda trial: trial['x'] ** 2 + 1, trials=24)",
    "optimizer.minimize(lambda trial: trial['x'] ** 2 + 1, trials=26, progress=False)\nNone",
]


@pytest.fixture(scope="module")
def outputs():
    """The outputs of each cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbclient's and its dependencies' own
        from nbclient import NotebookClient
        from nbformat.v4 import new_code_cell, new_notebook

        notebook = new_notebook(cells=[new_code_cell(cell) for cell in CELLS])
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


def html(output):
    return output["data"]["text/html"]


def test_the_bar_moves_in_one_place_and_ends_full(outputs):
    bar, shown = outputs[3]
    assert bar.output_type == "display_data"
    assert '<progress value="24" max="24"' in html(bar)
    assert re.search(r"24/24 trials  best 1\S* \(\w+\)$", html(bar))
    assert shown.output_type == "execute_result"


def test_an_optimizer_shows_its_best_params_and_a_picture_of_the_losses(outputs):
    (before,) = outputs[2]
    assert "nothing usable yet" in html(before)
    shown = html(outputs[3][1])
    assert "minimize loss, 24 trials" in shown
    assert shown.count("<circle ") == 24
    assert "<polyline " in shown
    assert re.search(r"<tr><td>x</td><td>-?\d\S*</td></tr>", shown)
    assert "<a>" not in shown
    assert "&lt;a&gt;" in shown or "<td>b</td>" in shown


def test_without_progress_nothing_is_shown(outputs):
    assert outputs[4] == []
