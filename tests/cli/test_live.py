"""What the live view says while a sweep is driven."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lepton.live import LiveObserver
from lepton_core.declaration import Budget, Declaration, Portfolio, Settings
from lepton_core.events import SettingsAmended
from lepton_core.fold import evolve, replay
from lepton_core.space import Float, Int, Space
from lepton_core.strategies import sealed, sweep_events
from lepton_flows.observer import Driving


@pytest.fixture
def watched():
    """A sweep of two proposers driven for some generations: what was printed, line by line."""

    def run(loss, *, generations=4, space=None, trials=None, **console):
        declared = Declaration(
            name="demo",
            space=space or Space({"x": Float(0, 1)}),
            generation=4,
            portfolio=Portfolio(proposers=("random", "ga")),
        )
        settings = Settings(budget=Budget(trials=trials or 4 * generations))
        state = evolve(replay(sweep_events(declared, [])), SettingsAmended(settings=settings))
        shown = io.StringIO()
        view = LiveObserver(Console(file=shown, width=80, **console))
        view.began(
            Driving(
                state=state,
                settings=settings,
                resumed=False,
                place="here",
                parent="p",
                experiment_id="1",
            )
        )
        for _ in range(generations):
            event = sealed(state, [0.0] * 4)
            ends = [loss(t.proposal) for t in event.trials]
            event = sealed(state, ends)
            for trial in event.trials:
                view.trial_finished(trial)
            state = evolve(state, event)
            view.sealed(state)
        view.ended()
        return shown.getvalue().splitlines()

    return run


def better_and_better(proposer):
    return lambda p: -float(p.number) if p.proposer == proposer else 1.0


def test_it_says_who_earns_most_when_that_changes_and_not_again(watched):
    lines = [x for x in watched(better_and_better("ga")) if "earns most" in x]
    assert len(lines) == 1
    assert lines[0].startswith("ga earns most; next slots: ga ")
    assert "random earns most" in "\n".join(watched(better_and_better("random")))


def test_while_nobody_is_ahead_it_says_nothing_of_shares(watched):
    assert "earns most" not in "\n".join(watched(better_and_better("nobody"), generations=1))


def test_every_generation_is_a_line_that_fits_and_names_who_found_the_best(watched):
    lines = watched(better_and_better("ga"))
    assert all(len(line) <= 80 for line in lines)
    generations = [line for line in lines if line.startswith("generation")]
    assert len(generations) == 4
    assert "16/16 trials  best -" in generations[-1]
    assert "(ga)" in generations[-1]


def test_a_terminal_gets_a_bar_instead_of_the_lines(watched):
    lines = watched(better_and_better("ga"), force_terminal=True)
    assert not [line for line in lines if line.startswith("generation")]
    assert "16/16 trials" in "\n".join(lines)


@pytest.mark.parametrize("console", [{}, {"force_terminal": True}])
def test_what_is_aimed_at_is_no_more_than_the_space_has(watched, console):
    few = Space({"n": Int(1, 8)})
    shown = "\n".join(watched(lambda _: 1.0, generations=2, space=few, trials=64, **console))
    assert "8/8 trials" in shown
    assert "/64" not in shown
