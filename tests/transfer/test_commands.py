"""``lepton export`` and ``lepton import`` as one types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exports import contents

from lepton.cli import main


def test_a_sweep_goes_from_store_to_store_through_a_file(
    origin, here, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(origin)
    file = tmp_path / "demo.jsonl.gz"
    assert main(["export", "demo", "-o", str(file)]) == 0
    said = capsys.readouterr().out
    assert "exported demo: 16 trials in 4 sealed generations" in said
    assert "artifacts are not in it" in said
    monkeypatch.chdir(here.path)
    assert main(["import", str(file)]) == 0
    assert "imported demo: 16 trials in 4 sealed generations" in capsys.readouterr().out
    assert main(["verify", "demo"]) == 0
    assert "every proposal comes out the same" in capsys.readouterr().out
    assert main(["import", str(file)]) == 0
    assert "had been imported before" in " ".join(capsys.readouterr().out.split())
    assert main(["import", str(file), "--as", "copy", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["origin"]["name"]) == ("copy", "demo")
    for name in ("demo", "copy"):
        assert main(["best", name]) == 0


def test_standard_output_holds_the_export_and_nothing_else(origin, exported, tmp_path):
    command = [sys.executable, "-m", "lepton", "export", "demo"]
    done = subprocess.run(command, cwd=origin, capture_output=True, check=True)
    assert done.stdout == exported.read_bytes()
    piped = subprocess.run(
        f"{sys.executable} -m lepton export demo | head -c 100",
        shell=True,
        cwd=origin,
        capture_output=True,
        check=True,
    )
    assert (len(piped.stdout), piped.stderr) == (100, b"")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=origin, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"cannot write to standard output: No space left" in done.stderr


def test_json_without_a_file_is_refused(origin, monkeypatch, capsys):
    monkeypatch.chdir(origin)
    assert main(["export", "demo", "--json"]) == 2
    assert "--json needs -o FILE" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.parametrize(
    "target", ["no/such/folder/demo.jsonl", "sweep.yaml", "mlruns/mlflow.db", "x" * 300]
)
def test_an_export_that_cannot_be_written_harms_nothing(origin, monkeypatch, capsys, target):
    monkeypatch.chdir(origin)
    before = {p: p.stat().st_size for p in origin.rglob("*") if p.suffix in (".yaml", ".db")}
    assert main(["export", "demo", "-o", target]) == 2
    assert target in capsys.readouterr().err
    after = {p: p.stat().st_size for p in origin.rglob("*") if p.suffix in (".yaml", ".db")}
    assert after == before


def test_the_page_of_the_format_names_every_key(exported):
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    for line in contents(exported):
        section = "parent, run" if line["line"] in ("parent", "run") else line["line"]
        text = page.split(f"\n### {section}\n")[1].split("\n### ")[0]
        rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
        documented = {word.strip(" `") for row in rows for word in row.split(",")}
        assert set(line) == documented
