"""examples/notebook: its cells run, in a real kernel."""

from __future__ import annotations

import warnings
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "first_steps.ipynb"


def test_its_cells_run_as_written_and_show_what_they_say(sweep_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbclient's and its dependencies' own
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(NOTEBOOK, as_version=4)
        saved = [cell.get("outputs") for cell in notebook.cells]
        there = {"metadata": {"path": str(sweep_folder.path)}}
        NotebookClient(notebook, timeout=250, kernel_name="python3", resources=there).execute()
    shown = [cell.get("outputs") for cell in notebook.cells]
    assert [out and out[-1].data.keys() for out in shown] == [
        out and out[-1].data.keys() for out in saved
    ]
    assert "32/32 trials" in shown[3][0].data["text/html"]
    assert "history in mlruns/mlflow.db" in shown[7][-1].data["text/html"]
