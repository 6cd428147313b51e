"""What is seen of a sweep from outside: Prefect's artifacts and hooks, the log, metrics sent."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ports import free_port
from scheduled import Api

from lepton_core.declaration import Budget, Declaration, Portfolio, Settings
from lepton_core.errors import ObjectiveError
from lepton_core.events import SettingsAmended
from lepton_core.fold import evolve, replay
from lepton_core.space import Float, Space
from lepton_core.strategies import sweep_events
from lepton_flows.artifacts import ArtifactObserver, artifact_key, runs_text
from lepton_flows.observer import Driving, Observer, Observers
from lepton_tasks.store import Address

PAGE = (Path(__file__).parents[2] / "docs" / "deployments.md").read_text()
HOOKS = """
from pathlib import Path


def tell(told):
    Path("told").write_text(told["error"])
"""


def versions(prefect_api, name, kind):
    """An artifact's versions, the latest first."""
    asked = {"artifacts": {"key": {"any_": [artifact_key(name, kind)]}}, "sort": "CREATED_DESC"}
    return Api(prefect_api).ask("/artifacts/filter", asked)


@pytest.fixture
def driving():
    """What an observer is told of a sweep that begins."""
    declared = Declaration(
        name="demo", space=Space({"x": Float(0, 1)}), portfolio=Portfolio(proposers=("random",))
    )
    settings = Settings(budget=Budget(trials=8))
    state = evolve(replay(sweep_events(declared, [])), SettingsAmended(settings=settings))
    return Driving(
        state=state,
        settings=settings,
        resumed=False,
        place="mlruns/mlflow.db",
        parent="abc",
        experiment_id="7",
    )


def test_each_artifact_has_a_stable_key_and_a_version_for_each_flow_run(prefect_api, sweep_folder):
    from lepton_flows import sweep as flows

    name = "Shown.Here"
    sweep_folder.write(name=name, budget={"trials": 8})
    flows.sweep("sweep.yaml")
    sweep_folder.write(budget={"trials": 16})
    told = flows.resume(name)
    progress = versions(prefect_api, name, "progress")
    assert [(one["type"], one["data"]) for one in progress] == [("progress", 100.0)] * 2
    assert [one["description"] for one in progress] == [
        "Shown.Here: 16 of 16 trials",
        "Shown.Here: 8 of 8 trials",
    ]
    assert len({one["flow_run_id"] for one in progress} - {None}) == 2
    best, before = versions(prefect_api, name, "best")
    latest = Api(prefect_api).ask(f"/artifacts/{artifact_key(name, 'best')}/latest")
    assert (latest["type"], latest["data"]) == ("table", best["data"])
    rows = json.loads(best["data"])
    found = told["best"]
    assert (rows[0]["trial"], rows[0]["loss"], rows[0]["proposer"]) == (
        *(found["number"], found["value"]),
        found["proposer"],
    )
    assert rows[0]["param lr"] == found["params"]["lr"]
    assert "param fixed" not in rows[0]
    losses = [row["loss"] for row in rows]
    assert (len(losses), losses) == (5, sorted(losses))
    # the second run began with what was on record
    assert json.loads(before["data"])[0]["loss"] >= losses[0]
    assert {row["trial"] for row in rows} & set(range(8))
    (runs, _) = versions(prefect_api, name, "runs")
    assert str(sweep_folder.path / "mlruns" / "mlflow.db") in runs["data"]
    assert told["run_id"] in runs["data"]


def test_the_runs_are_linked_where_the_store_has_pages(driving):
    store = Address("https://me:secret@mlflow.example:5000/at/?token=1", "trials", None)
    assert runs_text(driving, store) == (
        "[The runs of sweep demo in MLflow]"
        "(https://mlflow.example:5000/at/#/experiments/7/runs/abc)"
    )


def test_two_names_never_share_a_key():
    keys = [artifact_key(name, "best") for name in ("a-b", "a.b", "A-B", "a_b", "...", "._.")]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)


def test_progress_is_towards_the_target_or_else_tonights(driving):
    from lepton_flows.artifacts import _Page

    def percent(results, budget, night):
        settings = replace(driving.settings, budget=budget)
        page = _Page(replace(driving, settings=settings, night=night), None)
        return page._percent(results, budget.trials)

    assert percent(2, Budget(trials=8), Budget(trials=4)) == 25.0
    assert percent(2, Budget(), Budget(trials=4)) == 50.0
    assert percent(5, Budget(), Budget(trials=4)) == 100.0
    assert percent(5, Budget(hours=1.0), Budget()) == 0.0
    assert percent(5, Budget(), Budget(hours=1.0)) is None


def test_a_prefect_server_that_is_away_costs_a_warning(driving, sweep_folder):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    said = []
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        observer = ArtifactObserver(said.append)
        observer.began(driving)
        observer.sealed(driving.state)
        observer.ended()
        observer.close()
    (warning,) = said
    assert "artifacts cannot be written to Prefect" in warning
    assert "the sweep goes on" in warning


def test_who_watches_beside_the_first_cannot_harm_the_sweep(driving):
    class Breaks(Observer):
        def began(self, driving):
            raise ValueError("no")

        def ended(self):
            raise ValueError("no")

    class Says(Observer):
        def __init__(self):
            self.said = []

        def say(self, message):
            self.said.append(message)

    first = Says()
    both = Observers(first, Breaks())
    both.began(driving)
    both.ended()
    assert first.said == ["warning: Breaks failed: ValueError('no')"]


def test_prefects_own_hooks_may_be_given_to_the_flow_and_ours_in_a_dict(prefect_api, sweep_folder):
    from lepton_flows.sweep import SweepFlow, sweep

    failed = []
    watched = sweep.with_options(on_failure=[lambda flow, run, state: failed.append(state)])
    assert isinstance(watched, SweepFlow)
    (sweep_folder.path / "hooks.py").write_text(HOOKS)
    hooks = {"failed": "hooks.py:tell"}
    with pytest.raises(ObjectiveError):
        watched({**sweep_folder.content, "objective": "objective.py:gone", "hooks": hooks})
    (state,) = failed
    assert "has no function 'gone'" in state.message
    assert (sweep_folder.path / "told").read_text() == "ObjectiveError"


@contextmanager
def collector():
    """An OTLP endpoint: its address, and the names of the metrics that came."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    names: set[str] = set()

    class Receive(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = ExportMetricsServiceRequest.FromString(body)
            names.update(
                metric.name
                for resource in asked.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", names
        server.shutdown()


def test_a_night_logs_json_and_sends_metrics_as_the_page_says(prefect_api, sweep_folder):
    (block,) = re.findall(r"```sh\n(export PREFECT_LOGGING.*?)```", PAGE, re.DOTALL)
    settings = dict(re.findall(r"export (\w+)=(\S+)", block))
    sweep_folder.write(nightly={"trials": 5}, workers=1)
    code = "from lepton_flows.nightly import nightly; nightly('sweep.yaml')"
    with collector() as (endpoint, names):
        env = {
            **os.environ,
            "PREFECT_API_URL": prefect_api,
            "PREFECT_LOGGING_LEVEL": "INFO",
            **settings,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    ours = [record for record in records if record.get("sweep") == "demo"]
    trials = [record for record in ours if record["trial"] is not None]
    assert sorted((one["generation"], one["trial"]) for one in trials) == [
        *((0, number) for number in range(4)),
        (1, 4),
    ]
    for one in trials:
        assert one["message"].startswith(f"trial {one['trial']} (generation {one['generation']}, ")
        failed = " failed after " in one["message"]
        assert one["levelname"] == ("WARNING" if failed else "INFO")
        assert one["task_run_name"].startswith(f"gen{one['generation']:02d}-")
    told = [one["message"] for one in ours if one["trial"] is None]
    assert told[0].startswith("began sweep demo: 0 trials done, history in ")
    assert told[1].startswith("generation 0 sealed: 4 trials, best ")
    assert told[-1].startswith("5 trials tonight; 5 of 12")
    assert names == {
        "lepton.trials",
        "lepton.trial.duration",
        "lepton.generation.duration",
        "lepton.best",
        "lepton.driver.up",
    }
