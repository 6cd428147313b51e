"""What Prefect shows of a sweep: artifacts, log, hooks of its own; and the user's hooks."""

from __future__ import annotations

import json
import logging

import pytest
from scheduled import Api

from lepton_core.declaration import Settings
from lepton_flows.artifacts import artifact_key
from lepton_flows.observer import Observer, observer


@pytest.fixture
def flows(prefect_api):
    """The flows, with a Prefect server running."""
    from lepton_flows import sweep as module

    return module


def versions(prefect_api, key):
    """An artifact's versions, the latest first."""
    asked = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
    return Api(prefect_api).ask("/artifacts/filter", asked)


def test_each_artifact_has_a_stable_key_and_a_version_for_each_flow_run(
    flows, sweep_folder, prefect_api
):
    sweep_folder.write(name="Shown.Here", budget={"trials": 8})
    flows.sweep("sweep.yaml")
    sweep_folder.write(budget={"trials": 16})
    told = flows.resume("Shown.Here")
    progress = versions(prefect_api, artifact_key("Shown.Here", "progress"))
    assert [one["data"] for one in progress] == [100.0, 100.0]
    assert [one["description"] for one in progress] == [
        "Shown.Here: 16 of 16 trials",
        "Shown.Here: 8 of 8 trials",
    ]
    assert len({one["flow_run_id"] for one in progress} - {None}) == 2
    best, before = versions(prefect_api, artifact_key("Shown.Here", "best"))
    rows = json.loads(best["data"])
    assert rows[0]["trial"] == told["best"]["number"]
    assert rows[0]["loss"] == told["best"]["value"]
    assert rows[0]["proposer"] == told["best"]["proposer"]
    assert rows[0]["param lr"] == told["best"]["params"]["lr"]
    assert "param fixed" not in rows[0]
    # the second run began with what was on record
    both = [row["loss"] for row in rows]
    assert len(both) == 5
    assert both == sorted(both)
    assert min(row["loss"] for row in json.loads(before["data"])) >= both[0]
    (runs, _) = versions(prefect_api, artifact_key("Shown.Here", "runs"))
    assert str(sweep_folder.path / "mlruns") in runs["data"]
    assert told["run_id"] in runs["data"]
