"""What a tracking URI names, and in own words what is wrong with one that names no store.

MLflow takes whatever it does not know for a folder, or lists its schemes; and the errors of
Python's own parser quote what stands where the port should, which may be half a password.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import NoReturn
from urllib.parse import urlsplit

from lepton_core.errors import StoreUnreachableError

WEB = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql", "sqlite")
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
PLUGINS = "mlflow.tracking_store"
FORMS = (
    "Write http://HOST:PORT, https://HOST, sqlite:///FILE, "
    "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE, mysql+DRIVER://... or "
    "mssql+DRIVER://..., or unset it (a file in ./mlruns)."
)
ESCAPES = "In a password the characters @ : / ? # are written as %40 %3A %2F %3F %23."


@dataclass(frozen=True, slots=True)
class Named:
    """What a URI names.

    Attributes:
        kind: ``http``, ``postgresql`` and so on, without a driver.
        host: Of the server, if it names one.
        port: The server's, or the usual one.
    """

    kind: str
    host: str | None
    port: int | None


def named_by(uri: str, shown: str) -> Named:
    """What a tracking URI names.

    Args:
        uri: As MLflow takes it.
        shown: The same without its secrets.

    Raises:
        StoreUnreachableError: It is none that MLflow can open.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        _refuse(shown, "which is no URI: its host cannot be read (brackets?)", ESCAPES)
    scheme, kind = parts.scheme, parts.scheme.partition("+")[0]
    try:
        port = parts.port or PORTS.get(kind)
    except ValueError:
        wrong = "which is no URI: its port is no number up to 65535"
        _refuse(shown, wrong, ESCAPES)
    if scheme == "databricks" or scheme in _of_plugins(scheme) or uri == "databricks":
        return Named(scheme, parts.hostname, None)
    if scheme in ("", "file") and _files_are_allowed():
        return Named(scheme, None, None)
    if scheme not in WEB and kind not in DATABASES:
        _refuse_scheme(uri, scheme, shown)
    if scheme in WEB and not parts.hostname:
        _refuse(shown, "which names no host", FORMS)
    if kind in DATABASES and "://" not in uri:
        _refuse(shown, "which lacks '://'", FORMS)
    if kind == "sqlite" and parts.netloc:
        _refuse(shown, "which lacks a slash: a file's path follows sqlite:///", FORMS)
    return Named(kind, parts.hostname, port)


def _of_plugins(scheme: str) -> set[str]:
    if scheme in ("", *WEB, *DATABASES):  # looking takes a moment
        return set()
    return {one.name for one in entry_points(group=PLUGINS)}


def _files_are_allowed() -> bool:
    """Whether the user asked MLflow for its old store of plain files."""
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")


def _refuse_scheme(uri: str, scheme: str, shown: str) -> NoReturn:
    if not uri.strip():
        _refuse(repr(uri), "which is blank", FORMS)
    if scheme == "file" or uri.startswith(("/", ".", "~")):
        _refuse(shown, "a path: MLflow keeps no runs in plain files any more", FORMS)
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        _refuse(shown, "which lacks a scheme", f"For a server write http://{shown}. {FORMS}")
    if "://" not in uri:
        _refuse(shown, "which lacks '://'", FORMS)
    near = get_close_matches(scheme, (*WEB, *DATABASES), 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    _refuse(shown, f"whose scheme MLflow does not know{meant}", FORMS)


def _refuse(shown: str, wrong: str, advice: str) -> NoReturn:
    raise StoreUnreachableError(
        f"MLFLOW_TRACKING_URI is {shown}, {wrong}\n{advice}", place=shown
    ) from None
