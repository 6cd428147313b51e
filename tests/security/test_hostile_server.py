"""A tracking server that answers whatever it likes is a store that fails, in words."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest
from http_servers import served

EXPERIMENT = {"experiment_id": "1", "name": "lepton", "lifecycle_stage": "active"}
ESCAPES = "\x1b[31m\x1b]52;c;ZXZpbA==\x07\u202e\r"


def _run(**changes: object) -> dict[str, object]:
    info = {"run_id": "0" * 32, "status": "FINISHED", "experiment_id": "1", **changes}
    return {"experiment": EXPERIMENT, "experiment_id": "1", "run": {"info": info, "data": {}}}


ANSWERS: dict[str, tuple[int, str]] = {
    "nothing": (200, ""),
    "no JSON": (200, "<html>\x1b[31m</html>"),
    "a list": (200, "[]"),
    "null": (200, "null"),
    "deep nesting": (200, "[" * 100_000),
    "other types": (200, json.dumps({"experiment": 3, "run": "x", "runs": {}})),
    "an experiment of other types": (200, json.dumps({"experiment": {"experiment_id": [1]}})),
    "an unknown stage": (
        200,
        json.dumps({"experiment": {**EXPERIMENT, "lifecycle_stage": ESCAPES}}),
    ),
    "an unknown status": (200, json.dumps(_run(status="EVIL"))),
    "escapes in an id": (200, json.dumps(_run(run_id=ESCAPES, experiment_id=ESCAPES))),
    "half a surrogate": (200, '{"experiment": {"experiment_id": "\\ud800", "tags": []}}'),
    "an error with escapes": (400, json.dumps({"error_code": "X", "message": ESCAPES})),
    "an error of five million characters": (
        400,
        json.dumps({"error_code": "BAD_REQUEST", "message": "x" * 5_000_000}),
    ),
    "an error that is none": (404, "not found \x1b]0;evil\x07"),
    "a redirection": (302, "file:///etc/passwd"),
    "a code of its own": (599, "{}"),
}


@pytest.fixture
def server():
    """A server on loopback that answers every request with what `answer` holds."""

    class Handler(BaseHTTPRequestHandler):
        answer = (200, "")

        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, text = Handler.answer
            self.send_response(code)
            if code == 302:
                self.send_header("Location", text)
            body = text.encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _reply  # noqa: N815  (the names that http.server looks for)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        yield Handler, address


@pytest.mark.parametrize("kind", ANSWERS)
def test_any_answer_of_a_server_is_an_error_in_words(
    sweep_folder, server, civil, monkeypatch, kind
):
    handler, url = server
    handler.answer = ANSWERS[kind]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("LEPTON_STORE_PATIENCE_SECONDS", "0")
    monkeypatch.setattr("lepton_tasks.store_client.READING_PATIENCE_S", 0.2)
    for command in (["run", "sweep.yaml"], ["status", "demo"], ["list", "--json"]):
        assert civil(*command) in (2, 5, 7), command
