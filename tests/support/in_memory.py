"""The generation loop with a ledger in memory and nothing beneath it."""

from __future__ import annotations

from dataclasses import replace

from lepton_core.declaration import Budget, Declaration, Portfolio, Settings
from lepton_core.events import GenerationSealed, SettingsAmended, SweepDeclared, sealed_trials
from lepton_core.fold import replay
from lepton_core.space import Float, Space
from lepton_flows.loop import drive, one_after_another
from lepton_flows.observer import Observer
from lepton_tasks.attempts import OpenSlot
from lepton_tasks.objective import Outcome
from lepton_tasks.trial import StopSignal


def declared(trials=12, **changes):
    declaration = Declaration(
        name="demo",
        space=Space({"x": Float(0, 1)}),
        generation=4,
        portfolio=Portfolio(proposers=("sobol", "random")),
        **changes,
    )
    return [
        SweepDeclared(declaration=declaration),
        SettingsAmended(settings=Settings(budget=Budget(trials=trials))),
    ]


class Memory:
    """A ledger that forgets nothing."""

    def __init__(self, events):
        self.events = list(events)
        self.runs = {}  # id -> [proposal, attempt, outcome]
        self.open = {}

    @property
    def state(self):
        return replay(self.events)

    def open_slots(self, generation):
        return {slot: seen for (g, slot), seen in self.open.items() if g == generation}

    def begin(self, proposal, attempt):
        run_id = f"{proposal.number}.{attempt}"
        assert run_id not in self.runs, "an attempt was begun twice"
        self.runs[run_id] = [proposal, attempt, "running"]
        self._note(proposal, attempts=attempt + 1, proposal=proposal)
        return run_id

    def report(self, run_id, points):
        pass

    def finish(self, run_id, record, outcome):
        self.runs[run_id][2] = "finished"
        self._note(record.proposal, result=record, run_id=run_id)

    def kill(self, run_id, reason):
        self.runs[run_id][2] = reason

    def keep_output(self, run_id, output):
        pass

    def seal(self, event, state):
        self.events.append(event)
        assert replay(self.events) == state

    def _note(self, about, **changes):
        key = (about.generation, about.slot)
        self.open[key] = replace(self.open.get(key, OpenSlot()), **changes)


class Evaluates:
    """An evaluator that does what a function of the proposal says."""

    def __init__(self, function=lambda proposal: Outcome(value=proposal.params["x"])):
        self.function, self.asked = function, []

    def evaluate(self, proposal, run_id, key, reporter=None):
        self.asked.append(proposal)
        return self.function(proposal), 0.5

    def output_of(self, key):
        return None

    def cancel(self):
        pass


class Driven:
    """What a sweep has come to: the state that driving gave, and the history."""

    def __init__(self, state, events):
        self.trials_done, self.driven_s = state.trials_done, state.driven_s
        self.trials = list(sealed_trials(events))
        self.generations = [e.trials for e in events if isinstance(e, GenerationSealed)]


def go(ledger, evaluator=None, mapper=one_after_another, stop=None, **options):
    state = drive(
        ledger,
        ledger.state,
        evaluator or Evaluates(),
        mapper,
        stop=stop or StopSignal(),
        observer=Observer(),
        **options,
    )
    return Driven(state, ledger.events)


def proposals(state):
    return [trial.proposal for trial in state.trials]
