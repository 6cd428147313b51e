"""Secrets are kept out of whatever is shown."""

from __future__ import annotations

import doctest
import time

import pytest

from lepton_tasks import artifact_place, redaction
from lepton_tasks.redaction import redacted, without_secrets

SECRET = "hunter2s3cret"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        (f"http://me:{SECRET}@host:5000/path", "http://me:***@host:5000/path"),
        (f"http://{SECRET}@host", "http://***@host"),
        (f"http://:{SECRET}@host", "http://:***@host"),
        (f"https://me:pa@ss/{SECRET}?#@host", "https://me:***@host"),
        (f"postgresql://host/db?user=me&password={SECRET}", "postgresql://host/db?***"),
        (f"postgresql://host/db?user=me@corp&password={SECRET}", "postgresql://***@corp?***"),
        (
            f"postgresql+psycopg2://me:{SECRET}@/db?host=/var/run",
            "postgresql+psycopg2://me:***@/db?***",
        ),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_a_uri_is_shown_without_its_secrets(uri, shown):
    assert without_secrets(uri) == shown
    assert SECRET not in redacted(f"cannot open '{uri}': refused")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"http//me:{SECRET}@host:5000", "http//me:***@host:5000"),
        (f"http:/me:{SECRET}@host", "http:***@host"),
        (f"me:{SECRET}@host:5000", "me:***@host:5000"),
        (f"me:pa@ss:{SECRET}@host", "me:***@host"),
        (f"http//me:{SECRET}@host?token={SECRET}", "http//me:***@host?***"),
        ("me@host:5000", "me@host:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("/home/me/mlruns", "/home/me/mlruns"),
    ],
)
def test_what_lacks_the_separator_of_a_uri_is_shown_without_its_password_too(
    monkeypatch, uri, shown
):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert without_secrets(uri) == shown
    assert SECRET not in redacted(f"cannot open '{uri}'")


def test_a_proxys_password_is_masked_where_its_variable_names_no_scheme(monkeypatch):
    monkeypatch.setenv("https_proxy", f"me:{SECRET}@proxy:3128")
    assert redacted(f"407 for {SECRET}") == "407 for ***"


def test_a_prompt_and_a_path_with_colons_before_an_at_sign_hold_no_password(monkeypatch):
    monkeypatch.setenv("PS1", r"[\w:here]\u@\h:\w\$ ")
    monkeypatch.setenv("PATH", "/usr/bin:/opt/tools@3/bin")
    said = r"/opt/tools is on the PATH, here]\u in the prompt"
    assert redacted(said) == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", SECRET),
        ("MLFLOW_TRACKING_TOKEN", SECRET),
        ("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@host"),
        ("MLFLOW_TRACKING_URI", f"http://host?token={SECRET}"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("PREFECT_API_KEY", SECRET),
        ("DB_PWD", SECRET),
        ("OPENAI_APIKEY", SECRET),
        ("AUTH_DATABASE_URL", f"postgresql://me:{SECRET}@db/users"),
        ("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=me;AccountKey={SECRET};Suffix=net"),
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://p:{SECRET}@db/prefect"),
    ],
)
def test_a_secret_of_the_environment_is_masked_wherever_it_stands(monkeypatch, name, value):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # it holds this test's arguments, the secret too
    monkeypatch.setenv(name, value)
    assert redacted(f"login failed for me ({SECRET})") == "login failed for me (***)"


def test_a_password_is_masked_as_it_is_meant_too(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:p%40ss%2Fword@db/mlflow")
    assert redacted("FATAL: p@ss/word or p%40ss%2Fword") == "FATAL: *** or ***"


def test_what_is_no_secret_stays_readable(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("SORT_KEY", "name")
    monkeypatch.setenv("OLDPWD", "/home/me/work")
    assert redacted("name is false in /home/me/work") == "name is false in /home/me/work"


@pytest.mark.parametrize("module", [redaction, artifact_place])
def test_the_examples_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_a_long_text_is_read_in_no_time():
    started = time.monotonic()
    assert len(redacted("x" * 1_000_000 + "://")) > 1_000_000
    assert time.monotonic() - started < 10
