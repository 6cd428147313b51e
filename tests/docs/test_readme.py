"""README.md does what it says: its shell and Python blocks are run as written, in their order.

Of the block that clones the repository only the names of its `make` targets are checked: CI runs
them for real. Blocks of output are fenced as ``text``; any other fence fails.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall((ROOT / "README.md").read_text())
CLONE = """\
git clone REPOSITORY lepton
cd lepton
make demo
make test
"""
SECONDS = 120


class Reader:
    """Somebody who follows the README: blocks run one after another in the same shell."""

    def __init__(self, home: Path, checkout: Path, api: str) -> None:
        self.state = home / "state"
        self.folder = checkout
        self.environment = {**os.environ, "PREFECT_API_URL": api, "TERM": "dumb"}

    def shell(self, block: str) -> str:
        script = f'{block}\nprintf "%s\\n" "$PWD" "$PATH" > "$STATE"\n'
        environment = {**self.environment, "STATE": str(self.state)}
        shown = self._run(["bash", "-euo", "pipefail", "-c", script], environment)
        folder, self.environment["PATH"] = self.state.read_text().splitlines()
        self.folder = Path(folder)
        return shown

    def python(self, block: str) -> str:
        return self._run([sys.executable, "-c", block], self.environment)

    def _run(self, command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\nfailed:\n{done.stdout}"
        return done.stdout

    def serve(self, block: str) -> None:
        """Run a command that serves until Ctrl-C, look at the page that it names, end it."""
        process = subprocess.Popen(
            block.split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            address = process.stdout.readline().partition("MLflow UI: ")[2].strip()
            with urllib.request.urlopen(address, timeout=SECONDS) as page:
                assert b"<title>MLflow</title>" in page.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=SECONDS) == 0
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def reader(tmp_path, migrated, prefect_api):
    checkout = tmp_path / "lepton"
    for store in (checkout / "mlruns", checkout / "my-sweep" / "mlruns"):
        store.mkdir(parents=True)
        shutil.copy(migrated, store)  # making the tables takes seconds
    # In place of what `make demo` makes: the environment that runs the tests.
    scripts = checkout / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "activate").write_text(f'PATH="{scripts}:{sysconfig.get_path("scripts")}:$PATH"\n')
    program = scripts / "lepton"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom lepton.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    return Reader(tmp_path, checkout, prefect_api)


@pytest.mark.timeout(600)  # a dozen commands and two flows: a minute, on an idle machine
def test_every_block_runs_as_written(reader):
    shown = []
    for kind, block in BLOCKS:
        if kind == "text" or block == CLONE:
            continue
        if block.split() == ["lepton", "ui"]:
            reader.serve(block)
        elif kind == "sh":
            shown.append(reader.shell(block))
        elif kind == "python":
            shown.append(reader.python(block))
        else:
            pytest.fail(f"a block fenced as {kind!r}, which nothing runs:\n{block}")
    notebook, trained, first, second, third = shown
    assert re.fullmatch(r"0\.9\d+ \{'C': .*\}\n0\.9\d+\n", notebook)
    assert float(trained.split()[0]) < 0.5
    assert "from_step" in trained
    assert "finished: 40 of 40 trials" in first
    assert "nothing to do: the sweep is at its target already" in second
    assert "is not being driven" in second
    assert "40 trials in mlruns/mlflow.db" in third
    claimed = next(block for kind, block in BLOCKS if kind == "text" and "intact" in block)
    assert claimed in second


def test_the_quick_start_names_targets_that_make_knows():
    assert ("sh", CLONE) in BLOCKS
    targets = [line.removeprefix("make ") for line in CLONE.splitlines() if "make" in line]
    planned = subprocess.run(
        ["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "run examples/breast_cancer/sweep.yaml" in planned
    assert "-m pytest" in planned


def test_sample_output_fits_a_terminal():
    lines = [line for kind, block in BLOCKS if kind == "text" for line in block.splitlines()]
    assert [line for line in lines if len(line) > 80] == []


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 175
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"
