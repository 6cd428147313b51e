"""``lepton.Optimizer``: a sweep in memory, to be asked and told, or to be given an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lepton_core import asking
from lepton_core.canonical import shown
from lepton_core.declaration import Budget, Direction
from lepton_core.errors import InputError, NothingUsableError, SweepError
from lepton_core.events import (
    Event,
    Failure,
    GenerationSealed,
    Proposal,
    TrialRecord,
    shared_failure,
)
from lepton_core.fold import SweepState
from lepton_core.plan import untried
from lepton_core.recorded import is_whole
from lepton_core.space import Space
from lepton_core.sweep_file import parse_declaration, parse_trials, parse_workers
from lepton_core.trial import Trial
from lepton_tasks.objective import Outcome, failed, judge, raised

if TYPE_CHECKING:
    import pandas as pd

METRIC = "loss"  # the key, where the objective returns a dict of metrics
NAME = "optimizer"  # of a sweep that nobody records
DEFAULT_TRIALS = 100
MAX_SHOWN = 6  # digits of a loss

Objective = Callable[[Trial], Any]


class Optimizer:
    """A sweep in memory.

    It proposes what a recorded sweep of the same space, seed, generation, portfolio and starting
    points proposes, given the same results. It is the only object of Lepton that changes; it is
    not to be used from several threads at once, and can be pickled.

    Args:
        space: A `Space`, or a mapping by name of `Float`, `Int`, `Choice`, plain values, which are
            fixed, or what a sweep file says, such as ``{"type": "float", "low": 0, "high": 1}``.
        seed: Same seed and same results, same proposals.
        generation: How many trials are proposed together.
        trials: How many there are to be in all; None: as many as are asked for.
        direction: "minimize" or "maximize".
        portfolio: As in a sweep file, such as ``{"proposers": ["ga", "rl"]}``.
        name: For a later release, which will record it in MLflow.
        start_from: Params to be tried first.

    Raises:
        DeclarationError: One of them is wrong; it says which, what was found and what is allowed.

    Example:
        >>> from lepton_core.space import Float, Int
        >>> optimizer = Optimizer({"x": Float(-1, 1), "n": Int(1, 9)}, seed=7)
        >>> found = optimizer.minimize(lambda trial: trial["x"] ** 2 + trial["n"], trials=64)
        >>> found.best_params["n"], found.best_loss < 1.1
        (1, True)
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        generation: int = 8,
        trials: int | None = None,
        direction: Direction = "minimize",
        portfolio: Mapping[str, Any] | None = None,
        name: str | None = None,
        start_from: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if space is None:
            raise InputError(
                "no space is given, and this release needs one; expected a Space or a mapping of "
                "params, such as {'lr': lepton.Float(0.001, 0.1, log=True)}"
            )
        if name is not None:
            raise InputError(
                f"name is {shown(name)}, but this release records no Optimizer in MLflow; leave it "
                "out, or use lepton.sweep, which records",
                name=name,
            )
        self._limit = None if trials is None else parse_trials(trials)
        declaration = parse_declaration(
            {
                "name": NAME,
                "space": space,
                "seed": seed,
                "generation": generation,
                "direction": direction,
                "portfolio": portfolio,
                "start_from": start_from,
            }
        )
        self._at = asking.begin(declaration)
        self._advised: tuple[int, TrialRecord] | None = None  # after how many trials, which

    # -- ask and tell -----------------------------------------------------------------------

    def ask(self, n: int = 1) -> list[Trial]:
        """Up to n trials of the open generation; the next one is begun when it is all told.

        Returns:
            An empty list, if no other will come: the trials asked for are done or handed out, or
            the space has no other configurations.

        Raises:
            SweepError: All of the generation is handed out and not all of it is told. It names the
                trials that are waited for.
        """
        n = parse_trials(n, ("n",))
        self._at, proposals = asking.ask(self._at, n, Budget(trials=self._limit))
        return [_trial(proposal) for proposal in proposals]

    def tell(
        self, trial: Trial, value: Any = None, *, error: str | BaseException | None = None
    ) -> None:
        """What came of a trial: its value, or why there is none. In any order, once each.

        Args:
            trial: As `ask` gave it.
            value: A number, or a dict of metrics that holds "loss", in your own sign. NaN and
                infinities make it a failure.
            error: Why there is no value, as a text or an exception: a failure, of which the search
                learns too.

        Raises:
            InputError: The value is no number, or the trial is none of `ask`.
            SweepError: The trial was told before, or is not handed out.
        """
        if not _is_trial(trial):
            raise InputError(f"found {shown(trial)}; expected a trial as ask() gave it")
        if (value is None) == (error is None):
            both = "a value and an error" if error is not None else "neither a value nor an error"
            raise InputError(
                f"trial {trial.number} was told {both}; expected tell(trial, value) or "
                "tell(trial, error='what went wrong')"
            )
        outcome = _told_error(error) if error is not None else judge(value, METRIC)
        if outcome.failure is not None and outcome.failure.kind in ("none", "type"):
            raise InputError(f"trial {trial.number}: {outcome.failure.reason}")
        slot = trial.number - self._at.state.trials_done
        if slot in self._at.out and trial != _trial(self._at.proposals[slot]):
            raise SweepError(
                f"trial {trial.number} has other params or another seed than the trial of this "
                "number that ask() gave; it was changed, or is of another optimizer",
                number=trial.number,
            )
        self._at = asking.tell(self._at, trial.number, _result(outcome))

    @property
    def untold(self) -> list[Trial]:
        """The trials handed out of which nothing was told yet."""
        return [_trial(self._at.proposals[slot]) for slot in sorted(self._at.out)]

    # -- an objective -----------------------------------------------------------------------

    def minimize(
        self, objective: Objective, trials: int | None = None, workers: int = 1
    ) -> Optimizer:
        """Evaluate trials until there are so many in all, those told before included.

        Called again with a larger number it goes on; with the same one it has nothing to do. It
        ends earlier when the number given to `Optimizer` is met, or the space has no other
        configurations.

        An exception of the objective makes its trial a failure. A KeyboardInterrupt ends it: the
        trial under way is handed out again by the next `ask`, or by `minimize` called again.

        Args:
            objective: Called with a `Trial`, which reads like a mapping of its params. Returns a
                number, or a dict of metrics that holds "loss".
            trials: The target; None: the optimizer's own `trials`, or 100 if it has none.
            workers: 1, in this release: the objective is called in this process.

        Returns:
            The optimizer itself.

        Raises:
            InputError: An argument is wrong, or the direction is "maximize".
            NothingUsableError: No trial was usable, or all of the first generation failed for the
                same reason. It is raised from the last exception.
            SweepError: Trials that `ask` gave must be told first.
        """
        if self._at.state.declaration.direction == "maximize":
            raise InputError(
                "the direction is maximize; call maximize(), or begin with another optimizer"
            )
        return self._drive(objective, trials, workers)

    def maximize(
        self, objective: Objective, trials: int | None = None, workers: int = 1
    ) -> Optimizer:
        """As `minimize`, for the highest value; the direction is set to that.

        Raises:
            SweepError: As of `minimize`; also: values were told before, to be minimized.
        """
        at = asking.directed(self._at, "maximize")
        self._target(objective, trials, workers)  # a wrong argument turns nothing
        self._at = at
        return self._drive(objective, trials, workers)

    def _drive(self, objective: Objective, trials: int | None, workers: int) -> Optimizer:
        target = self._target(objective, trials, workers)
        if self._at.out and self._at.trials_within_reach < target:
            raise asking.waited_for(self._at)  # rather now than after hours
        first, last = self._at.state.generations_done, None
        while self._at.trials_told < target:
            given: tuple[Proposal, ...] = ()
            try:
                at, given = asking.ask(self._at, 1, Budget(trials=target))
                self._at = at
                if not given:
                    break
                outcome, error = _call(objective, _trial(given[0]))
                at = asking.tell(self._at, given[0].number, _result(outcome))
            except BaseException:  # Ctrl-C above all, at whatever moment
                for proposal in given:
                    self._at = asking.take_back(self._at, proposal.number)
                raise
            self._at, last = at, error or last
            if at.state.generations_done == first + 1 and not at.proposals:
                self._stop_if_hopeless(last)
        if self._at.best is None:
            raise self._nothing_usable() from last
        return self

    def _target(self, objective: Objective, trials: int | None, workers: int) -> int:
        """How many trials there are to be, if all that `minimize` is called with is usable."""
        if not callable(objective):
            raise InputError(f"found {shown(objective)}; expected an objective that can be called")
        if parse_workers(workers) > 1:
            raise InputError(
                f"workers is {workers}, but an Optimizer of this release calls its objective in "
                "this process; leave workers at 1, or use lepton.sweep, which has worker processes",
                workers=workers,
            )
        if trials is None:
            return DEFAULT_TRIALS if self._limit is None else self._limit
        target = parse_trials(trials)
        return target if self._limit is None else min(target, self._limit)

    def _stop_if_hopeless(self, last: BaseException | None) -> None:
        """As in a recorded sweep: the objective is broken, which no further trial tells better."""
        event = self._at.events[-1]
        failure = shared_failure(event.trials) if isinstance(event, GenerationSealed) else None
        if failure is None or self._at.best is not None or untried(self._at.state) == 0:
            return
        raise NothingUsableError(
            f"all trials of generation {self._at.state.generations_done - 1} failed for the same "
            f"reason ({failure.kind}): {failure.reason}\n"
            "Mend the objective, then call this again; these trials stay told.",
            kind=failure.kind,
            reason=failure.reason,
        ) from last

    def _nothing_usable(self) -> NothingUsableError:
        told = self._at.trials()
        failures = [trial.failure for trial in told if trial.failure is not None]
        last = f"; the last: {failures[-1].reason}" if failures else ""
        return NothingUsableError(
            f"none of the {len(told)} trials told gave a usable result{last}", trials=len(told)
        )

    # -- what came of it --------------------------------------------------------------------

    @property
    def best_params(self) -> dict[str, Any]:
        """The params to use.

        Where losses are noisy the lowest one is partly luck: the judge then recommends the trial
        that it believes to be best, which may be another.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return dict(self._best.proposal.params)

    @property
    def best_loss(self) -> float:
        """The value observed there, in your own sign: the highest, of what is maximized.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return _value(self._best)

    @property
    def best_trial(self) -> Trial:
        """That trial as it was handed out, so that it can be evaluated again.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        return _trial(self._best.proposal)

    @property
    def lowest_loss(self) -> float:
        """The lowest value observed (the highest, of what is maximized), luck included.

        Raises:
            NothingUsableError: No trial gave a usable result yet.
        """
        if self._at.best is None:
            raise self._nothing_usable()
        return _value(self._at.best)

    @property
    def _best(self) -> TrialRecord:
        if self._advised is None or self._advised[0] != self._at.trials_told:
            found = self._at.advised
            if found is None:
                raise self._nothing_usable()
            self._advised = (self._at.trials_told, found)  # it takes a fit to find
        return self._advised[1]

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial told, in the order of proposal, one a row.

        The columns are ``number``, ``generation``, ``slot``, ``proposer``, ``value`` (NaN for a
        failure), ``failure`` (its kind and reason, or None) and, as in MLflow, ``params.NAME`` for
        each param; None where that is inactive.
        """
        import pandas as pd  # noqa: PLC0415  (half a second that asking and telling need not pay)

        rows = [(record.proposal, record) for record in self._at.trials()]
        columns: dict[str, Any] = {
            name: [getattr(proposal, name) for proposal, _ in rows]
            for name in ("number", "generation", "slot", "proposer")
        }
        columns["value"] = pd.Series([record.value for _, record in rows], dtype=float)
        columns["failure"] = pd.Series(
            [f and f"{f.kind}: {f.reason}" for f in (record.failure for _, record in rows)],
            dtype=object,
        )
        for name in self._at.state.declaration.space:
            values = [proposal.params.get(name) for proposal, _ in rows]
            # Else an int that is inactive at times would be shown as a float.
            kind = object if None in values else None
            columns[f"params.{name}"] = pd.Series(values, dtype=kind)
        return pd.DataFrame(columns)

    @property
    def history(self) -> tuple[Event, ...]:
        """The events of the sealed generations; `lepton_core.fold.replay` of them is `state`."""
        return self._at.events

    @property
    def state(self) -> SweepState:
        """All that decides what is proposed next, after the last sealed generation."""
        return self._at.state

    def __repr__(self) -> str:
        """What it searches and how far it is."""
        best = self._at.best
        found = "nothing usable yet" if best is None else f"best loss {best.value:.{MAX_SHOWN}g}"
        space = self._at.state.declaration.space
        return f"Optimizer({len(space)} params, {self._at.trials_told} trials, {found})"


def _call(objective: Objective, trial: Trial) -> tuple[Outcome, BaseException | None]:
    """What came of one call, and what it raised. Only what is meant to end the caller passes."""
    try:
        return judge(objective(trial), METRIC), None
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever the user's code raises)
        return raised(error), error


def _told_error(error: Any) -> Outcome:
    if isinstance(error, BaseException):
        return raised(error)
    if not isinstance(error, str) or not error.strip():
        raise InputError(f"error is {shown(error)}; expected a text, or the exception")
    return failed("told", error)


def _result(outcome: Outcome) -> float | Failure:
    if outcome.failure is not None or outcome.value is None:
        return outcome.failure or Failure(kind="none", reason="no value")
    return outcome.value


def _is_trial(found: object) -> bool:
    return isinstance(found, Trial) and is_whole(found.number)


def _value(record: TrialRecord) -> float:
    return float("nan") if record.value is None else record.value


def _trial(proposal: Proposal) -> Trial:
    """A trial of its own: what is done to it changes nothing that is recorded."""
    return Trial(dict(proposal.params), seed=proposal.seed, number=proposal.number)
