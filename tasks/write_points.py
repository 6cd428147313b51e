"""Every point at which something of a sweep is written, and what a crash there comes to.

Each call of `lepton_tasks.store_client` that changes the store names one of these, and so does each
file that is written. The crash matrix (``tests/flows/test_crash_matrix.py``) kills a driver, or a
worker, before and after each of them; its table is ``docs/crashes.md``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WritePoint:
    """One kind of write.

    Attributes:
        name: Its name in tests and documents.
        writes: What it writes.
        if_last: What the next driver makes of it, if it was the last write before a crash.
    """

    name: str
    writes: str
    if_last: str


POINTS: dict[str, WritePoint] = {}


def _point(name: str, writes: str, if_last: str) -> WritePoint:
    POINTS[name] = WritePoint(name, writes, if_last)
    return POINTS[name]


# -- a store's first sweep --------------------------------------------------------------------
DATABASE = _point(
    "store.database",
    "the embedded database, whole, at one stroke",
    "used by whoever comes next; one in the making is cleared away later",
)
EXPERIMENT = _point(
    "store.experiment",
    "the experiment of trials, or of the ledger",
    "used by whoever comes next",
)
REGISTER_RUN = _point(
    "register.run",
    "the run that registers all sweeps",
    "nobody's until the pointer names it; the next driver makes another",
)
REGISTER_POINTER = _point(
    "register.pointer",
    "the experiment whose tag names the register run",
    "the store has its register",
)

# -- a sweep's declaration --------------------------------------------------------------------
LEDGER_RUN = _point(
    "sweep.ledger_run",
    "the sweep's ledger run, with the declaration",
    "not registered: nobody's; the next driver makes another",
)
LEDGER_ENDED = _point(
    "sweep.ledger_ended",
    "a ledger run's status: nothing there shows as running",
    "nothing is missing; if it was not written, the next driver writes it",
)
NAME = _point("sweep.name", "the sweep's name in the register", "the sweep exists, with no trials")

# -- taking the wheel -------------------------------------------------------------------------
CLAIM = _point(
    "driver.claim",
    "`epoch/N`: the right to drive",
    "the next driver claims N + 1; at once if this one's process is dead",
)
SETTINGS = _point("driver.settings", "`settings/N`", "recorded for nothing")
PARENT_RUN = _point(
    "driver.parent_run",
    "the sweep's parent run",
    "found by its tag `lepton.ledger` and taken up",
)
PARENT = _point("driver.parent", "`parent`: which run that is", "the sweep has its parent run")
PARENT_RUNNING = _point(
    "driver.parent_running",
    "the parent run's status: RUNNING",
    "the next driver sets it in any case",
)
HEARTBEAT = _point("driver.heartbeat", "the heartbeat", "a counter that moves no more")

# -- a trial ----------------------------------------------------------------------------------
TRIAL_RUN = _point(
    "trial.run",
    "the trial's run, with the exact proposal",
    "the proposal stands; the run is KILLED (orphaned), the slot issued again",
)
TRIAL_PARAMS = _point("trial.params", "the trial's MLflow params", "as before")
TRIAL_REPORTED = _point(
    "trial.reported", "what the trial reported on its way, as stepped metrics", "as before"
)
TRIAL_OUTPUT = _point("trial.output", "`output.txt`, an artifact", "as before")
TRIAL_RESTORED = _point(
    "trial.restored", "a run back that the objective deleted", "as before: it has no result yet"
)
TRIAL_RESULT = _point(
    "trial.result",
    "metrics, then the result record",
    "without the result record the attempt is orphaned; with it, it counts",
)
TRIAL_STATUS = _point(
    "trial.status",
    "the run's final status",
    "nothing is missing; if it was not written, the next driver writes it",
)
KILLED_REASON = _point(
    "trial.killed_reason", "why an attempt counts for nothing", "marked again, with its status"
)
KILLED_STATUS = _point("trial.killed_status", "the status KILLED", "nothing is missing")

# -- a generation, and the end ----------------------------------------------------------------
SEAL_PART = _point(
    "seal.part",
    "a part of a seal's text",
    "without its header no seal: the slots' results stand, the generation is sealed anew",
)
SEAL = _point("seal.header", "a seal's header", "the generation is closed")
SNAPSHOT_PART = _point(
    "snapshot.part",
    "a part of a snapshot of the fold's state",
    "without its header no snapshot; the seals say it all",
)
SNAPSHOT = _point(
    "snapshot.header", "a snapshot's header", "the next driver goes on from it, but need not"
)
CURVES = _point(
    "seal.curves",
    "the parent run's curves: the best, the shares",
    "for people; the next driver's first seal shows them again",
)
PARENT_ENDED = _point(
    "end.parent_status",
    "the parent run's final status",
    "the next driver finds a dead process; at the target it sets the status once more",
)
RELEASED = _point("end.released", "`released/N`: the driver left", "the next driver starts at once")

# -- a population that trains --------------------------------------------------------------------
START_CHECKPOINT = _point(
    "training.start",
    "the model as it was handed over, as artifacts of the parent run",
    "without the tag that names its files it counts for nothing, and is written anew",
)
START_KNOWN = _point(
    "training.start_known",
    "the tag that names its files",
    "training goes on from that model, whatever is handed over the next time",
)
MEMBER_RUN = _point("training.member", "a member's run", "found by its tags and taken up")
MEMBER_RUNNING = _point(
    "training.member_running", "a member's status: RUNNING", "the next driver sets it in any case"
)
CHECKPOINT = _point(
    "training.checkpoint",
    "a trial's checkpoint, as artifacts",
    "the trial has no result: it is orphaned, and its checkpoint deleted",
)
MEMBER_CURVES = _point(
    "training.curves",
    "a member's curves, after each seal",
    "the next driver shows what the seals hold beyond them",
)
CHECKPOINT_DELETED = _point(
    "training.deleted",
    "(a checkpoint that nobody can go on from any more is deleted)",
    "the next driver deletes what was left",
)
SCHEDULE = _point(
    "training.schedule",
    "`schedule.json`, an artifact of the parent run",
    "the parent run is not ended: the next driver writes it anew",
)
MEMBER_ENDED = _point(
    "training.member_ended",
    "a member's final status",
    "the parent run is not ended: the next driver sets it",
)

CANCEL = _point(
    "cancel", "`lepton.cancel`: the epoch that is asked to stop", "its driver stops at a heartbeat"
)

# -- the doctor: it drives nobody's trials, but holds the lease while it mends ------------------
DOCTOR_TOLD = _point(
    "doctor.told",
    "`lepton.repaired.N`: what a repair replaces, before it does",
    "what is wrong still is: the doctor is asked again, and tells it again",
)
DOCTOR_REPAIR = _point(
    "doctor.repair",
    "a repair: something of a run, an experiment or the register put right",
    "mended, or still wrong: the doctor is asked again",
)
DOCTOR_REOPENED = _point(
    "doctor.reopened",
    "`reopened/N`: the generation that an epoch goes on from, where seals were lost",
    "the epoch's claim tells the same; the doctor is asked again, or the next driver goes on",
)
DOCTOR_SUPERSEDED = _point(
    "doctor.superseded",
    "`KILLED` on the trials of generations that were opened again, and on the parent run",
    "the next driver marks the trials when it comes to their generation",
)

# -- an import: it writes what its file's drivers wrote, at the points above, and this ---------
IMPORT_ORIGIN = _point(
    "import.origin",
    "`origin/N`: which of the file's drivers an epoch stands for",
    "the same import, begun again, claims another epoch for that driver",
)
IMPORT_VALUES = _point(
    "import.values",
    "the params and metrics of an imported run",
    "the same import, begun again, writes them once more",
)
IMPORT_DONE = _point(
    "import.done", "`imported`: all of the file is there", "the sweep is anybody's to drive"
)
