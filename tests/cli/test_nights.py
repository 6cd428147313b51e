"""``lepton run --nightly``: one night at a terminal."""

from __future__ import annotations

from histories import assert_sound, full_list


def test_a_night_says_what_it_added_and_the_nights_add_up_to_the_sweep(
    sweep_folder, lepton, lepton_json, undisturbed
):
    sweep_folder.write(nightly={"trials": 5})
    code, shown = lepton("run", "sweep.yaml", "--nightly")
    assert code == 0
    assert "5 trials tonight; 5 of 12; goes on with the next run" in shown
    assert "go on:    lepton resume demo" in shown.replace("python -m lepton", "lepton")
    code, second = lepton_json("resume", "demo", "--nightly")
    assert (code, second["ending"]) == (0, "night over")
    assert (second["added"], second["trials"], second["open"]) == (5, 8, 2)
    assert lepton_json("run", "sweep.yaml", "--nightly")[1]["ending"] == "finished"
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]


def test_without_a_budget_a_run_says_what_to_do(sweep_folder, lepton):
    sweep_folder.write(budget=None, nightly={"hours": 1})
    code, shown = lepton("run", "sweep.yaml")
    assert (code, "would never end" in shown, "--nightly" in shown) == (2, True, True)
    assert "lepton deploy" in shown
    code, shown = lepton("validate", "sweep.yaml")
    assert (code, "night by night, for ever" in shown.replace("\n", " ")) == (0, True)


def test_a_night_needs_limits(sweep_folder, lepton):
    code, shown = lepton("run", "sweep.yaml", "--nightly")
    assert (code, "no nightly limits" in shown) == (2, True)
