"""The Prefect server of our own, for where none is configured.

That a flow starts one and takes it along, even when killed, is in ``tests/flows/test_sweep.py``.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from urllib.parse import urlsplit

import pytest
from drivers import MARK, await_no_process, marked_processes
from prefect.settings import PREFECT_API_URL

from lepton_tasks import prefect_server
from lepton_tasks.prefect_server import PrefectServerError, is_configured, loopback_server


def test_the_server_listens_on_loopback_only_and_is_the_one_that_flows_use(prefect_api):
    assert is_configured()
    assert urlsplit(prefect_api).hostname == "127.0.0.1"
    with urllib.request.urlopen(f"{prefect_api}/health", timeout=10) as answer:
        assert answer.read() == b"true"


def test_where_an_api_is_configured_no_server_is_started(prefect_api, monkeypatch):
    monkeypatch.setenv(MARK, "no second server")
    with loopback_server():
        assert PREFECT_API_URL.value() == prefect_api
        assert marked_processes("no second server") == []


@pytest.fixture
def unconfigured(monkeypatch):
    monkeypatch.setattr(prefect_server, "is_configured", lambda: False)
    monkeypatch.setenv(MARK, "a server that fails")


@pytest.mark.usefixtures("unconfigured")
def test_a_server_that_cannot_start_says_why_and_leaves_nothing(monkeypatch, tmp_path):
    false = tmp_path / "python"
    false.write_text(
        '#!/bin/sh\ncase "$*" in *uvicorn*) echo "no such module" >&2; exit 1;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    false.chmod(0o755)
    monkeypatch.setattr(prefect_server.sys, "executable", str(false))
    with pytest.raises(PrefectServerError, match="no such module") as caught, loopback_server():
        pytest.fail("the body ran without a server")
    assert "PREFECT_API_URL" in str(caught.value)
    await_no_process("a server that fails")


@pytest.mark.usefixtures("unconfigured")
def test_a_server_that_never_answers_is_ended_after_a_while(monkeypatch, tmp_path):
    false = tmp_path / "python"
    false.write_text(
        f'#!/bin/sh\ncase "$*" in *uvicorn*) exec sleep 600;; esac\nexec {sys.executable} "$@"\n'
    )
    false.chmod(0o755)
    monkeypatch.setattr(prefect_server.sys, "executable", str(false))
    monkeypatch.setattr(prefect_server, "START_SECONDS", 0.5)
    with pytest.raises(PrefectServerError, match=r"within 0\.5 s"), loopback_server():
        pytest.fail("the body ran without a server")
    await_no_process("a server that fails")
    assert os.environ[MARK]
