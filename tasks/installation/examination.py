"""Everything that is looked at in an installation, in the order in which it is told.

Each look is bounded in time, and none depends on a library that another one found to be broken: an
error that nobody expected is a finding as well.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lepton_core.errors import LeptonError
from lepton_tasks import store
from lepton_tasks.installation import (
    clock,
    database,
    file_system,
    prefect_api,
    requirements,
    tracking_server,
    trial_writes,
)
from lepton_tasks.installation.check import Check
from lepton_tasks.installation.deadline import within
from lepton_tasks.installation.metrics_extra import check_metrics
from lepton_tasks.installation.telemetry import check_telemetry
from lepton_tasks.redaction import without_secrets
from lepton_tasks.store_advice import advice_on
from lepton_tasks.store_client import first_line

LOOK_SECONDS, OPEN_SECONDS, WRITE_SECONDS = 20.0, 40.0, 60.0
LATER = ("writing", "limits", "artifacts")
OF_THE_STORE = ("store", "database schema", *LATER)


@dataclass(slots=True)
class Installation:
    """What was found.

    Attributes:
        store: Where the history is, for people.
        checks: What was looked at, in order.
        left: What the examination left behind, for people.
    """

    store: str
    checks: list[Check] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def problems(self, *names: str) -> list[Check]:
        """The problems among checks of these names; of all if none is given."""
        return [c for c in self.checks if c.state == "problem" and (not names or c.name in names)]


def examine_installation() -> Installation:
    """Look at Python, packages, the store and Prefect as this process's environment names them."""
    store.quieten()
    where = store.address()
    found = Installation(where.place)
    found.checks.append(_guarded("python", requirements.check_python))
    found.checks.append(_guarded("packages", requirements.check_packages))
    clocks = _look_at_store(where, found)
    told, of_prefect = _look_at_prefect()
    if told is not None and told.clock is not None:
        clocks.append(told.clock)
    if clocks:
        found.checks.append(clock.check_clocks(clocks))
    found.checks += _look_at_disks(where, prefects=None if told else _home_of_prefect())
    found.checks += of_prefect
    found.checks.append(check_telemetry(prefect_server_sends=told.sends if told else None))
    found.checks += check_metrics()
    return found


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # noqa: BLE001  (the doctor tells what it meets)
        text = f"it cannot be looked at: {type(error).__name__}: {first_line(error)}"
        advice = "see 'packages': 'pip check' may say more"
        return Check(name, "problem", text, "no error", advice)


# -- the store ----------------------------------------------------------------------------------


def _look_at_store(where: store.Address, found: Installation) -> list[clock.Reading]:
    """Look at the store, and write to it if all before was well; the clocks met on the way."""
    clocks: list[clock.Reading] = []
    try:
        checks = _first_looks(where, clocks, found.left)
    except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
        checks = [_away(where, error)]
    found.checks += checks
    if any(one.state == "problem" for one in checks):
        why = "not looked at, as the store is not well"
        found.checks += [Check(name, "skipped", why, "") for name in LATER]
    elif _is_there(where):
        _write(where, found)
    return clocks


def _first_looks(where: store.Address, clocks: list[clock.Reading], left: list[str]) -> list[Check]:
    """The checks that need nothing written; clocks, and what will be left, are told beside."""
    expected = "it answers"
    uri, file = where.tracking_uri, database.sqlite_file(where.tracking_uri)
    if file is not None:
        if not file.exists():
            return [_missing(file)]
        looked = within(LOOK_SECONDS, lambda: database.look_into_file(file))
        schema = _guarded("database schema", lambda: database.check_schema(looked, uri))
        return [Check("store", "ok", where.place, expected), schema]
    store.probe(where)
    if uri.startswith(("http://", "https://")):
        server = within(LOOK_SECONDS, lambda: tracking_server.ask(uri))
        clocks += [server.clock] if server.clock else []
        return [
            Check("store", "ok", where.place, expected),
            _guarded("server version", lambda: tracking_server.check_version(server)),
            _guarded("server workers", lambda: tracking_server.check_workers(server)),
        ]
    if uri.startswith(("postgresql", "mysql", "mssql")):
        looked = within(LOOK_SECONDS, lambda: database.look_into_server(uri))
        clocks += [looked.clock] if looked.clock else []
        left += [] if looked.tables else ["MLflow's tables, in a database that was empty"]
        schema = _guarded("database schema", lambda: database.check_schema(looked, uri))
        return [Check("store", "ok", where.place, expected), schema]
    return [Check("store", "ok", where.place, expected)]


def _is_there(where: store.Address) -> bool:
    file = database.sqlite_file(where.tracking_uri)
    return file is None or file.exists()


def _missing(file: Path) -> Check:
    """A store that the first sweep will make: whether it can."""
    folder, name = file_system.nearest(file.parent), os.path.relpath(file)
    expected = "a folder in which the first sweep can make it"
    try:
        probe = folder / f".lepton-doctor-{secrets.token_hex(4)}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        text = f"none yet at {name}, and {folder} cannot be written: {error.strerror}"
        rights = isinstance(error, PermissionError)
        mend = f"give this user the right to write in {folder}" if rights else advice_on(error)
        advice = f"{mend}, or work in another folder" if mend else "work in another folder"
        return Check("store", "problem", text, expected, advice)
    return Check("store", "ok", f"none yet; the first sweep makes {name}", expected)


def _away(where: store.Address, error: Exception) -> Check:
    text, advice = _said_by(error)
    if not isinstance(error, LeptonError):
        text = f"{where.place}: {text}"
    neutral = "see that it is well, and that MLFLOW_TRACKING_URI names the right one"
    return Check("store", "problem", text, "it answers", advice or neutral)


def _said_by(error: Exception) -> tuple[str, str]:
    """What an error says and advises, each in a line; what else it tells is for drivers."""
    if not isinstance(error, LeptonError):
        return first_line(error), advice_on(error)
    text, advice, *_ = [*error.message.splitlines(), "", ""]
    return text, advice


def _open(where: store.Address) -> tuple[store.Store, list[str]]:
    """The store, and the names of the experiments that were made for that."""
    from mlflow import MlflowClient  # noqa: PLC0415  (costs a second)

    client = MlflowClient(where.tracking_uri)
    names = dict.fromkeys((where.experiment, store.LEDGER_EXPERIMENT))
    made = [name for name in names if client.get_experiment_by_name(name) is None]
    return store.connect(where), made


def _write(where: store.Address, found: Installation) -> None:
    try:
        opened, made = within(OPEN_SECONDS, lambda: _open(where))
        found.left += [f"the experiment {name}, as any command makes it" for name in made]
        done = within(WRITE_SECONDS, lambda: trial_writes.write_and_take_back(opened))
    except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
        expected = "a run is made, a tag written, read and removed"
        text, advice = _said_by(error)
        advice = advice or trial_writes.advice_or_neutral(error, where.tracking_uri)
        done = trial_writes.TrialWrites([Check("writing", "problem", text, expected, advice)])
    found.checks += done.checks
    found.left += done.left
    known = {one.name for one in done.checks}
    why = "not looked at, as the store cannot be written"
    found.checks += [Check(name, "skipped", why, "") for name in LATER if name not in known]


# -- Prefect, and the disks -----------------------------------------------------------------------


def _look_at_prefect() -> tuple[prefect_api.PrefectApi | None, list[Check]]:
    """What the configured server told, None if there is none, and what that comes to."""
    name = "prefect server"
    try:
        api = prefect_api.configured()
    except Exception as error:  # noqa: BLE001  (a profile or a package may be broken)
        text = f"Prefect cannot be asked: {type(error).__name__}: {first_line(error)}"
        advice = "see 'packages'; prefect config validate"
        return None, [Check(name, "problem", text, "no error", advice)]
    if api is None:
        return None, [prefect_api.check_none()]
    try:
        told = within(LOOK_SECONDS, prefect_api.ask)
    except Exception as error:  # noqa: BLE001  (whatever it is, that is the finding)
        away = prefect_api.check_away(api, error)
        skipped = f"not looked at, as {without_secrets(api)} could not be asked"
        return None, [away, Check("work pools", "skipped", skipped, "")]
    return told, [
        _guarded(name, lambda: prefect_api.check_server(api, told)),
        _guarded("work pools", lambda: prefect_api.check_pools(told)),
    ]


def _home_of_prefect() -> Path | None:
    """Where a Prefect server on this machine keeps its database; None where Prefect is broken."""
    try:
        return prefect_api.home()
    except Exception:  # noqa: BLE001  (that was told already)
        return None


def _look_at_disks(where: store.Address, *, prefects: Path | None) -> list[Check]:
    databases: dict[str, Path] = {}
    file = database.sqlite_file(where.tracking_uri)
    if file is not None:
        databases["the store"] = file.parent
    if prefects is not None:
        databases["Prefect's database"] = prefects
    written = {**databases, "temporary files": Path(tempfile.gettempdir())}
    if where.folder is not None:
        written["artifacts"] = where.folder / "artifacts"
    checks = [_guarded("disk", lambda: file_system.check_room(written))]
    if databases:
        mounts = file_system.mounts_here()
        kind = _guarded("file system", lambda: file_system.check_kind(databases, mounts))
        checks.insert(0, kind)
    return checks
