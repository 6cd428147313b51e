"""A tracking URI that names no store is refused in own words, before MLflow sees it."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from lepton_core.errors import StoreUnreachableError
from lepton_tasks import store, tracking_uri
from lepton_tasks.redaction import without_secrets
from lepton_tasks.tracking_uri import named_by


def refusal(uri):
    with pytest.raises(StoreUnreachableError) as caught:
        named_by(uri, without_secrets(uri))
    return caught.value.message


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("htp://host", "htp://host, whose scheme MLflow does not know (did you mean http?)"),
        ("postgres://host/db", "(did you mean postgresql?)"),
        ("nothing://host", "whose scheme MLflow does not know\n"),
        ("http//me:hunter2@host:5000", "http//me:***@host:5000, which lacks '://'"),
        ("127.0.0.1:5000", "lacks a scheme\nFor a server write http://127.0.0.1:5000."),
        ("localhost:5000/api", "lacks a scheme\nFor a server write http://localhost:5000/api."),
        ("http://", "names no host"),
        ("http:host", "names no host"),
        ("postgresql:host/db", "lacks '://'"),
        ("sqlite://mlflow.db", "a file's path follows sqlite:///"),
        ("sqlite:mlflow.db", "lacks '://'"),
        (" ", "' ', which is blank"),
        ("mlruns", "lacks '://'"),
        ("./mlruns", "a path: MLflow keeps no runs in plain files"),
        ("/srv/mlruns", "a path: MLflow keeps no runs in plain files"),
        ("file:/srv/mlruns", "a path: MLflow keeps no runs in plain files"),
    ],
)
def test_what_was_found_is_said_and_which_forms_work(uri, said):
    told = refusal(uri)
    assert told.startswith("MLFLOW_TRACKING_URI is ")
    assert said in told
    assert all(form in told for form in ("http://HOST", "sqlite:///FILE", "postgresql+psycopg2://"))


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:S3k#ret@host/db",
        "http://me:S3k/ret@host",
        "http://me:S3k?ret@host",
        "http://me:x@[S3k",
        "http://me:x@S3k\u2100",
        "http://me:x@host:S3k",
    ],
)
def test_no_part_that_may_be_of_a_password_is_quoted_from_the_parser(uri):
    told = refusal(uri)
    assert "which is no URI" in told
    assert "%40" in told
    assert told.count("S3k") == without_secrets(uri).count("S3k")


@pytest.mark.parametrize(
    ("uri", "kind", "host", "port"),
    [
        ("http://host", "http", "host", 80),
        ("HTTPS://host:8443/mlflow", "https", "host", 8443),
        ("sqlite:///mlflow.db", "sqlite", None, None),
        ("sqlite+pysqlite:////srv/mlflow.db", "sqlite", None, None),
        ("sqlite:///:memory:", "sqlite", None, None),
        ("sqlite://", "sqlite", None, None),
        ("postgresql+psycopg2://me@host/db", "postgresql", "host", 5432),
        ("postgresql:///db?host=/run/postgresql", "postgresql", None, 5432),
        ("mysql+pymysql://me@host/db", "mysql", "host", 3306),
        ("mssql+pyodbc://me@host/db", "mssql", "host", None),
        ("databricks", "", None, None),
        ("databricks://profile", "databricks", "profile", None),
    ],
)
def test_what_mlflow_opens_is_let_through(uri, kind, host, port):
    named = named_by(uri, uri)
    assert (named.kind, named.host, named.port) == (kind, host, port)


def test_a_scheme_of_an_installed_plugin_is_let_through(monkeypatch):
    def installed(*, group):
        return [EntryPoint("arn", "a.plugin:Store", group)] if "tracking_store" in group else []

    monkeypatch.setattr(tracking_uri, "entry_points", installed)
    assert named_by("arn:aws:sagemaker:eu:1:server", "").kind == "arn"
    assert "does not know" in refusal("arm://x")


def test_plain_files_are_let_through_where_mlflow_was_told_to_keep_them(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert named_by("./mlruns", "").kind == ""
    assert named_by("file:/srv/mlruns", "").kind == "file"


@pytest.mark.parametrize("uri", ["htp://me:hunter2@host", "postgresql+none://me:hunter2@host/db"])
def test_opening_a_store_says_it_too(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreUnreachableError, match="not know") as caught:
        store.connect()
    assert "hunter2" not in str(caught.value)
    assert "postgresql+psycopg2://" in str(caught.value)
