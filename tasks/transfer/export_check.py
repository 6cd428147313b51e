"""Whether the lines of an export hang together: order, hash chain, runs and their seals, the fold.

The same check stands at both ends: what is exported passed it, and nothing is imported that did
not. So nothing reaches a store that a driver could not have written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lepton_core.canonical import canonical_json, digest, shown
from lepton_core.declaration import MAX_GENERATION, SCHEMA, Declaration, Settings
from lepton_core.errors import ExportFileError, LeptonError
from lepton_core.events import SettingsAmended, SweepDeclared, TrialRecord
from lepton_core.export_format import Driver, End, Header, Line, Parent, Run, Sealed
from lepton_core.fold import SweepState, evolve
from lepton_core.sweep_file import parse_sweep
from lepton_tasks import records
from lepton_tasks.attempts import read_attempt
from lepton_tasks.doctor.sealed_trial import SealedTrial, differences
from lepton_tasks.seals import Seal, read_seal
from lepton_tasks.transfer.export_file import at_line, read_lines
from lepton_tasks.untrusted import whole_number


class ExportCheck:
    """Takes an export's lines in their order, and refuses the first that does not fit.

    Attributes:
        state: The fold of what was sealed so far.
        sealed: How many generations that are.
        head: The hash of the last seal.
        seal: The last seal, as read.
    """

    def __init__(self) -> None:
        self.state: SweepState | None = None
        self.sealed = 0
        self.head = ""
        self.seal: Seal | None = None
        self._header: Header | None = None
        self._epoch = 0
        self._lines = 0
        self._parent: str | None = None
        self._has_settings = False
        self._generation = 0  # of the latest run
        self._runs: dict[str, Run] = {}  # of that generation

    @property
    def declaration(self) -> Declaration:
        """The sweep's."""
        return self._folded.declaration

    @property
    def _folded(self) -> SweepState:
        if self.state is None:
            raise ExportFileError("expected the header first")
        return self.state

    def take(self, line: Line) -> None:
        """Take the next line.

        Raises:
            ExportFileError: It does not fit those before it; says what was found and expected.
        """
        self._lines += 1
        try:
            match line:
                case Header():
                    self._take_header(line)
                case Driver():
                    self._take_driver(line)
                case Parent():
                    self._take_parent(line)
                case Run():
                    self._take_run(line)
                case Sealed():
                    self._take_seal(line)
                case End():
                    _expect(self._header is not None, "expected the header first")
                    found = self._header.head if self._header else ""
                    _expect(
                        found == self.head,
                        f"the header names the last seal {found}; the last one is {self.head}",
                    )
        except ExportFileError:
            raise
        except LeptonError as error:
            raise ExportFileError(error.message) from None
        except Exception as error:  # noqa: BLE001  (whatever it is: nobody's driver wrote this)
            raise ExportFileError(
                f"the {line.kind} holds what no driver records: {type(error).__name__}: "
                f"{shown(str(error))}"
            ) from None

    def _take_header(self, header: Header) -> None:
        _expect(self._lines == 1, "a second header")
        text = canonical_json(header.declaration)
        _expect(digest(text) == header.digest, "the declaration's digest does not fit it")
        schema = header.declaration.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise ExportFileError(
                f"the sweep has schema {schema}, written by Lepton {shown(header.lepton)}; this "
                f"Lepton reads up to {SCHEMA}. Upgrade Lepton to read it.",
                schema=schema,
            )
        _parse(header.declaration, {})
        declaration = Declaration.from_record(header.declaration)
        self._header, self.head = header, header.digest
        self.state = evolve(None, SweepDeclared(declaration=declaration))

    def _take_driver(self, driver: Driver) -> None:
        state, header = self._folded, self._header
        _expect(
            driver.epoch == self._epoch + 1 and not self._runs,
            f"driver {driver.epoch}; expected driver {self._epoch + 1}, before the runs of the "
            "generation that it began with",
        )
        _expect(
            driver.from_generation == self.sealed,
            f"driver {driver.epoch} from generation {driver.from_generation}; expected "
            f"{self.sealed}, the first that is not sealed yet",
        )
        self._epoch = driver.epoch
        if driver.settings is not None and header is not None:
            _parse(header.declaration, driver.settings)
            settings = Settings.from_record(driver.settings)
            self._has_settings = True
            self.state = evolve(state, SettingsAmended(settings=settings))

    def _take_parent(self, parent: Parent) -> None:
        _expect(
            self.state is not None and self._lines == 2,  # noqa: PLR2004
            f"the {parent.kind} is not in the second line, after the header",
        )
        self._parent = parent.run

    def _take_run(self, run: Run) -> None:
        declaration = self.declaration
        _expect(
            self._parent is not None and self._has_settings,
            "a run before the sweep's parent, or before a driver with settings",
        )
        told = run.tags.get(records.GENERATION)
        generation = whole_number(told)
        if generation is None:
            raise ExportFileError(
                f"the tag {records.GENERATION} is {shown(told)}; expected a whole number"
            )
        _expect(
            generation >= self._generation,
            f"a run of generation {generation}; expected {self._generation} or a later one",
        )
        if generation > self._generation:
            self._generation, self._runs = generation, {}
        _expect(run.run not in self._runs, f"run {run.run} is there twice")
        _expect(run.tags.get(records.SWEEP) == declaration.name, "a run of another sweep")
        _expect(run.tags.get(records.KIND) == "trial", f"the tag {records.KIND} is not trial")
        attempt = read_attempt(as_mlflow(run), declaration)
        if attempt is None:
            raise ExportFileError(
                f"the tags {records.SLOT} and {records.ATTEMPT} tell of no attempt"
            )
        _expect(
            attempt.proposal is not None or run.status == "KILLED",
            f"the tag {records.PROPOSAL} of run {run.run} is torn, or no proposal of its slot",
        )
        self._runs[run.run] = run

    def _take_seal(self, sealed: Sealed) -> None:
        state = self._folded
        _expect(
            sealed.generation == self.sealed and self._generation <= self.sealed,
            f"the seal of generation {sealed.generation}; expected that of {self.sealed}, "
            "after the runs of that generation",
        )
        _expect(
            sealed.epoch == self._epoch,
            f"a seal of driver {sealed.epoch}; only driver {self._epoch} could seal it",
        )
        _expect(
            sealed.previous == self.head,
            f"the seal follows {sealed.previous}; the one before it is {self.head}",
        )
        _expect(
            sealed.hash == digest(sealed.previous + sealed.text),
            "the seal's text does not give its hash: the history was altered",
        )
        seal = read_seal(sealed.text, state.declaration, state.trials_done, sealed.hash)
        _expect(
            (seal.epoch, seal.event.generation) == (sealed.epoch, sealed.generation)
            and len(seal.event.trials) <= MAX_GENERATION,
            "the seal's text is that of another driver or generation",
        )
        for trial, run_id in zip(seal.event.trials, seal.runs, strict=True):
            self._check_counted(trial, run_id)
        for run_id in self._runs.keys() - set(seal.runs):
            status = self._runs[run_id].status
            _expect(
                status == "KILLED",
                f"run {run_id} of generation {sealed.generation} is {status} beside the attempt "
                "that counts; expected KILLED",
            )
        self.state = evolve(state, seal.event)
        self.sealed, self.head, self.seal = self.sealed + 1, sealed.hash, seal
        self._generation, self._runs = self.sealed, {}

    def _check_counted(self, trial: TrialRecord, run_id: str) -> None:
        number = trial.proposal.number
        run = self._runs.get(run_id)
        if run is None:
            raise ExportFileError(f"trial {number}: its run {shown(run_id)} is missing")
        parent = None if self.declaration.training else self._parent  # else in its member's
        sealed = SealedTrial(
            run_id=run_id, trial=trial, base=self.head, epoch=self._epoch, parent=parent
        )
        for finding in differences(as_mlflow(run), sealed, self.declaration):
            raise ExportFileError(str(finding))


def as_mlflow(run: Run) -> Any:
    """A run in the shape that MLflow gives it, for what reads runs of a store."""
    return SimpleNamespace(
        info=SimpleNamespace(run_id=run.run, status=run.status, lifecycle_stage="active"),
        data=SimpleNamespace(
            tags=run.tags, params=run.params, metrics={key: value for key, value, *_ in run.metrics}
        ),
    )


def _expect(fulfilled: bool, otherwise: str) -> None:  # noqa: FBT001
    if not fulfilled:
        raise ExportFileError(otherwise)


def _parse(declaration: Any, settings: Any) -> None:
    """Whether a sweep file could have declared this.

    Raises:
        DeclarationError: It could not; names the key.
    """
    space = declaration["space"]
    _expect(
        isinstance(space, list) and len(dict(space)) == len(space),
        "a space that names params twice",
    )
    portfolio = declaration["portfolio"]
    content = {
        **{
            key: declaration[key]
            for key in ("name", "seed", "generation", "metric", "direction", "start_from")
        },
        "space": dict(space),
        "portfolio": {
            **portfolio.get("settings", {}),
            "proposers": portfolio["proposers"],
            "judge": portfolio["judge"],
            "replicates": portfolio.get("replicates", 1),
        },
        "objective": settings.get("objective") or "objective.py:objective",
        "budget": _limits(settings.get("budget", {})) or {"trials": 1},  # for ever is no other
        "workers": settings.get("workers", 1),
    }
    if settings.get("timeout") is not None:
        content["timeout"] = settings["timeout"]
    if settings.get("nightly") is not None:
        content["nightly"] = _limits(settings["nightly"])
    parse_sweep(content)


def _limits(budget: Any) -> dict[str, Any]:
    return {key: limit for key, limit in budget.items() if limit is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A file that was checked to its end.

    Attributes:
        state: The fold of its history.
    """

    header: Header
    end: End
    state: SweepState


def check_file(path: Path) -> Checked:
    """Check an exported sweep to its end, holding no more of it than a generation.

    Raises:
        ExportFileError: It cannot be imported; names the line.
    """
    check = ExportCheck()
    header, end = None, None
    for number, line in read_lines(path):
        with at_line(path, number):
            check.take(line)
        header, end = header or line, line
    if not isinstance(header, Header) or not isinstance(end, End) or check.state is None:
        raise ExportFileError(f"{path} holds no sweep")
    return Checked(header=header, end=end, state=check.state)
