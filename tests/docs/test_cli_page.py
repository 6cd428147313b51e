"""docs/cli.md is true: its commands, options, exit codes, and every key that --json prints."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scheduled import Api
from sklearn.linear_model import SGDClassifier

from lepton.cli import main
from lepton.cli.parser import build_parser
from lepton_core.errors import LeptonError
from lepton_core.proposers import PROPOSERS
from lepton_core.proposers.sobol import Sobol

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
MAPS = ("params", "proposers", "shares", "versions")  # of names that are not ours
NULLABLE = (
    "best",
    "training",
    "alterations",
    "divergence",
    "findings",
    "repaired",
)  # or empty, at times
ALTERED, DIVERGED = 5, 6


def section(heading: str) -> str:
    return re.split(r"^#", PAGE.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def first_cells(heading: str) -> list[str]:
    """The first column of a section's table, without its head."""
    rows = [line.split("|")[1].strip() for line in section(heading).splitlines() if line[:1] == "|"]
    return rows[2:]


def documented(heading: str) -> set[str]:
    return {cell.strip("`") for cell in first_cells(f"### {heading}")}


def keys(content: dict, prefix: str = "") -> set[str]:
    """All keys of an object, as the page writes them."""
    found = set()
    for key, value in content.items():
        found.add(path := prefix + key)
        if isinstance(value, dict) and key not in MAPS:
            found |= keys(value, f"{path}.")
        if isinstance(value, list) and value and isinstance(value[0], dict) and key != "sweeps":
            found |= keys(value[0], f"{path}[].")
    # The page lists an object's keys; the object itself only where it may be null.
    inner = {path.rpartition(".")[0].removesuffix("[]") for path in found}
    return found - (inner - {f"{prefix}{name}" for name in NULLABLE})


@pytest.fixture
def told(capsys, prefect_api):
    """Run a command with --json: its exit code, and the keys that it printed."""

    def run(*arguments: str) -> tuple[int, set[str]]:
        capsys.readouterr()
        code = main([*arguments, "--json"])
        return code, keys(json.loads(capsys.readouterr().out))

    return run


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


def test_every_command_is_described_and_no_other():
    page = PAGE.split("## Options")[0]
    assert set(re.findall(r"^\| `(\w+)", page, re.MULTILINE)) == set(commands())


def test_every_option_is_described_and_no_other():
    known = {
        option
        for command in commands().values()
        for action in command._actions
        for option in action.option_strings
    } - {"-h", "--help"}
    assert {cell.strip("`").split()[0] for cell in first_cells("## Options")} == known


def test_every_exit_code_is_described_and_no_other():
    def below(kind: type[LeptonError]) -> set[int]:
        return {kind.exit_code}.union(*(below(sub) for sub in kind.__subclasses__()))

    described = {int(cell) for cell in first_cells("## Exit codes")}
    assert described == {0, DIVERGED, 130, 143} | below(LeptonError)


def test_the_keys_of_commands_on_files(sweep_folder, told):
    assert told("validate", "sweep.yaml") == (0, documented("validate"))
    assert told("init", "new") == (0, documented("init"))
    assert told("validate", "none.yaml") == (2, documented("Errors"))
    assert told("status", "demo") == (2, documented("Errors"))


def test_the_keys_of_commands_on_sweeps(sweep_folder, told, store, monkeypatch, capsys):
    assert told("run", "sweep.yaml") == (0, documented("run, resume"))
    assert told("resume", "demo") == (0, documented("run, resume"))
    plain = {key for key in documented("status") if not key.startswith("training.")}
    assert told("status", "demo") == (0, plain)
    assert told("best", "demo") == (0, documented("best"))
    assert told("cancel", "demo") == (0, documented("cancel"))
    assert told("export", "demo", "-o", "demo.jsonl") == (0, documented("export"))
    assert told("import", "demo.jsonl", "--as", "copy") == (0, documented("import"))
    assert told("list") == (0, documented("list"))
    main(["list", "--json"])
    assert keys(json.loads(capsys.readouterr().out)["sweeps"][0]) == plain

    parts = {k for k in documented("verify") if k.startswith(("alterations[", "divergence."))}
    assert told("verify", "demo") == (0, documented("verify") - parts)

    class Changed(Sobol):
        def suggest(self, state, ask):
            return super().suggest(type(state)(next_index=state.next_index + 1), ask)

    with monkeypatch.context() as patched:
        patched.setitem(PROPOSERS, "sobol", Changed)
        code, diverged = told("verify", "demo")
    assert (code, {k for k in diverged if k.startswith("divergence.")}) == (
        DIVERGED,
        {k for k in parts if k.startswith("divergence.")},
    )
    its_first = "tags.`lepton.slot` = '0' and tags.`lepton.sweep` = 'demo'"
    trial = store.client.search_runs([store.experiment_id], its_first)[0]
    store.client.plain.set_tag(trial.info.run_id, "lepton.seed", "1")
    code, altered = told("verify", "demo")
    assert (code, {k for k in altered if k.startswith("alterations[")}) == (
        ALTERED,
        {k for k in parts if k.startswith("alterations[")},
    )
    repaired = {k for k in documented("doctor") if k.startswith("repaired[")}
    assert told("doctor", "demo") == (ALTERED, documented("doctor") - repaired)
    findings = {k for k in documented("doctor") if k.startswith("findings[")}
    assert told("doctor", "demo", "--repair") == (0, documented("doctor") - findings)


def test_the_keys_of_a_population_that_trains(sweep_folder, told):
    import lepton

    x, y = np.eye(40), np.arange(40) % 2
    optimizer = lepton.Optimizer(name="trained", generation=2)
    optimizer.minimize(steps=2, model=SGDClassifier(loss="log_loss"), data=(x, y), progress=False)
    assert told("status", "trained") == (0, documented("status"))
    rows = ["from_step", "to_step", "member", "trial", "proposer", "loss", "settings"]
    told_of_best = told("best", "trained")[1] - documented("best")
    assert {key.split(".")[1] for key in told_of_best} == set(rows)
    assert all(f"`{name}`" in section("### best") for name in ["schedule", *rows])


def test_the_keys_of_an_examination_of_the_installation(sweep_folder, told):
    assert told("doctor") == (0, documented("doctor without a name"))


def test_the_keys_of_deploy(sweep_folder, told, prefect_api):
    sweep_folder.write(name="deployed", nightly={"trials": 4})
    pools = Api(prefect_api)
    if "page" not in {pool["name"] for pool in pools.ask("/work_pools/filter", {})}:
        pools.ask("/work_pools/", {"name": "page", "type": "process"})
    night = ("sweep.yaml", "--cron", "0 2 * * *")
    assert told("deploy", *night, "--pool", "page") == (0, documented("deploy"))
    assert told("deploy", *night, "--pool", "none") == (2, documented("Errors"))
    assert documented("serve") == documented("deploy") - {"pool", "updated"}


def test_the_keys_of_the_ui_of_a_server(told, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert told("ui") == (0, documented("ui") - {"port"})
