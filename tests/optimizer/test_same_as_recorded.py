"""An Optimizer in memory and a sweep on a real store propose the same, trial by trial."""

from __future__ import annotations

import importlib.util

import lepton
from lepton_core.events import sealed_trials
from lepton_core.verification import proposal_text
from lepton_tasks.sweep_record import open_record


def test_the_same_declaration_and_objective_give_the_same_trials(sweep_folder, drivers):
    start = [{"x": 0.25, "lr": 0.1, "depth": 3, "kind": "good"}]
    content = {"seed": 11, "generation": 5, "budget": {"trials": 23}, "start_from": start}
    sweep_folder.write(**content)
    drivers.run(sweep_folder.path, in_process=True)
    recorded = list(sealed_trials(open_record("demo").events))

    spec = importlib.util.spec_from_file_location("measured", sweep_folder.path / "objective.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = lepton.Optimizer(
        sweep_folder.content["space"], seed=11, generation=5, start_from=start
    ).minimize(module.objective, trials=23)

    trials = list(sealed_trials(found.history))
    assert [proposal_text(t.proposal) for t in trials] == [
        proposal_text(t.proposal) for t in recorded
    ]
    assert [(t.value, t.failure) for t in trials] == [(t.value, t.failure) for t in recorded]
    assert any(t.failure for t in trials), "no failure was learned from"
    assert found.best_params == dict(open_record("demo").state.best.proposal.params)
