"""Secrets in tracking URIs and in the environment: nowhere shown, logged or recorded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import traceback
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from drivers import wait_until
from http_servers import served

from lepton.cli import main
from lepton_core.errors import StoreUnreachableError

SECRET = "hunter2s3cret"  # as nothing else is called
OTHERS = {"AWS_SECRET_ACCESS_KEY": f"{SECRET}aws", "DATABASE_PASSWORD": f"{SECRET}db"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


@pytest.fixture
def mlflow_server(tmp_path, migrated):
    """An MLflow server on loopback: its URL without credentials, and its folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        cwd=folder,
        env={**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: _answers(port), "the MLflow server")
    yield port, folder
    os.killpg(process.pid, 9)
    process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def holds_secret(folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in files if SECRET.encode() in file.read_bytes()]


def test_a_whole_sweep_leaves_no_secret_anywhere(
    sweep_folder, mlflow_server, prefect_api, tmp_path
):
    port, folder = mlflow_server
    code = (sweep_folder.path / "objective.py").read_text()
    (sweep_folder.path / "objective.py").write_text(code + "\nprint('imported')\n")
    environment = {
        **os.environ,
        **OTHERS,
        "PREFECT_API_URL": prefect_api,
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "MLFLOW_TRACKING_URI": f"http://me:{SECRET}@127.0.0.1:{port}",
        "MLFLOW_TRACKING_PASSWORD": SECRET + "env",
    }
    said = ""
    for command in (
        ["run", "sweep.yaml"],
        ["run", "sweep.yaml", "--json"],
        ["status", "demo"],
        ["status", "demo", "--json"],
        ["list", "--json"],
        ["best", "demo"],
        ["verify", "demo"],
        ["ui"],
        ["ui", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lepton", *command],
            cwd=sweep_folder.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    assert f"me:***@127.0.0.1:{port}" in said
    assert SECRET not in said
    assert holds_secret(folder) == []
    assert list((folder / "artifacts").rglob("output.txt"))
    assert holds_secret(Path(os.environ["PREFECT_HOME"])) == []
    assert holds_secret(sweep_folder.path) == []


class Refusing(BaseHTTPRequestHandler):
    """A server that says no, and says whom it refused."""

    def do_GET(self) -> None:
        said = json.dumps(
            {
                "error_code": "UNAUTHENTICATED",
                "message": f"{self.headers['Authorization']} {SECRET}",
            }
        ).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET  # noqa: N815  (the name that http.server looks for)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing():
    with served(Refusing) as address:
        yield int(address.rpartition(":")[2])


@pytest.fixture
def closed():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


URIS = [
    "http://me:{secret}@127.0.0.1:{closed}",
    "http://{secret}@127.0.0.1:{closed}/api?token={secret}",
    "http://me:pa/{secret}@127.0.0.1:{closed}",
    "http://me:{secret}@127.0.0.1:{refusing}",
    "http://{secret}@127.0.0.1:{refusing}",
    "http://127.0.0.1:{refusing}/?token={secret}",
    "http://me:{secret}@[::1",
    "http://me:{secret}@127.0.0.1:port",
    "postgresql://me:{secret}@127.0.0.1:{closed}/mlflow",
    "postgresql://127.0.0.1:{closed}/mlflow?user=me&password={secret}",
    "postgresql+nodriver://me:{secret}@127.0.0.1:{closed}/mlflow",
    "mysql+pymysql://me:{secret}@127.0.0.1:{closed}/mlflow",
    "sqlite:////dev/null/at/all/mlflow.db?password={secret}",
    "nothing://me:{secret}@host",
]


@pytest.mark.parametrize("uri", URIS)
def test_a_store_that_fails_is_named_without_its_secrets(
    sweep_folder, refusing, closed, monkeypatch, capfd, uri
):
    uri = uri.format(secret=SECRET, closed=closed, refusing=refusing)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("LEPTON_STORE_PATIENCE_SECONDS", "1")
    for command in (["run", "sweep.yaml"], ["status", "demo", "--json"], ["list"], ["ui"]):
        if command == ["ui"] and uri.startswith("http"):
            continue
        assert main(command) == 7, command
        shown = capfd.readouterr()
        assert SECRET not in shown.out + shown.err
        assert "Traceback" not in shown.err


@pytest.mark.parametrize("uri", URIS)
def test_the_error_in_python_carries_no_secret_in_any_cause(
    sweep_folder, refusing, closed, monkeypatch, uri
):
    from lepton_tasks.sweep_record import open_record

    uri = uri.format(secret=SECRET, closed=closed, refusing=refusing)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreUnreachableError) as caught:
        open_record("demo")
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert SECRET not in repr(caught.value.values)
