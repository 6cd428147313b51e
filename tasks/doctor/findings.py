"""What an examination finds: what is wrong, what that means, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lepton_core.canonical import shown, visible

Meaning = Literal["note", "proven", "open", "harmless", "blocked"]
MEANINGS: dict[Meaning, str] = {
    "note": "no alteration, and no harm",
    "harmless": "nothing is decided by it; the sweep goes on as it would",
    "proven": "only what people see is wrong; the seals prove the history, and the sweep goes on",
    "open": "no seal proves this yet; what is wrong here may become part of the history",
    "blocked": "the sweep cannot go on like this",
}

MAX_SHOWN = 300  # characters

Action = Literal[
    "restore run",
    "set tag",
    "remove tag",
    "set status",
    "log metric",
    "log param",
    "mark killed",
    "new parent",
    "restore experiment",
    "rename experiment",
    "point to register",
    "enter sweep",
    "replace entry",
    "reopen",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One thing to be done to the store.

    Attributes:
        target: The id of the run or experiment that is changed.
        key: Of the tag, metric or param.
        value: What it is to be; a number for a metric.
    """

    action: Action
    target: str
    key: str = ""
    value: str | float = ""

    def __str__(self) -> str:
        """What is done, in one line."""
        words: dict[Action, str] = {
            "restore run": "restore the run from MLflow's bin",
            "set tag": f"write the tag {self.key} back as {shown(self.value)}",
            "remove tag": f"take the tag {self.key} off again",
            "set status": f"set the status {self.value} again",
            "log metric": f"log the metric {self.key} again as {self.value!r}",
            "log param": f"write the missing param {self.key} again",
            "mark killed": "mark the run KILLED, so that it counts for nothing",
            "new parent": "make another parent run and nest the trials in it",
            "restore experiment": f"restore the experiment {self.key} and its runs",
            "rename experiment": f"give the experiment its name {self.value} back",
            "point to register": f"have the experiment {self.key} point to run {self.value} again",
            "enter sweep": f"enter the sweep in the register again, with ledger run {self.value}",
            "replace entry": "make another register run, with this sweep's entry put right",
            "reopen": f"open the sweep again at generation {self.value}",
        }
        return words[self.action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the record says it was.

    Attributes:
        trial: The trial's number, or None where it is about the sweep itself.
        what: Which part, such as "param lr".
        found: What is there now.
        recorded: What the record says.
        run_id: The MLflow run (or experiment) concerned; empty where that is not known.
        meaning: What it means for the sweep; see `MEANINGS`.
        remedy: What the user can do, where `repairs` are not all that can be done.
        repairs: What `lepton doctor --repair` does about it; empty where it can do nothing.
        reopens: The generation that the sweep can go on from with ``--reopen``, or None.
    """

    trial: int | None = None
    what: str
    found: str
    recorded: str
    run_id: str
    meaning: Meaning = "proven"
    remedy: str = ""
    repairs: Sequence[Repair] = ()
    reopens: int | None = None

    def __post_init__(self) -> None:
        """Keep what others wrote short."""
        for name in ("what", "found", "recorded", "run_id"):
            text = getattr(self, name)
            if len(text) > MAX_SHOWN:
                object.__setattr__(self, name, text[: MAX_SHOWN - 3] + "...")

    def __str__(self) -> str:
        """The finding in one line."""
        where = "sweep" if self.trial is None else f"trial {self.trial}"
        return printable(f"{where}: {self.what} is {self.found}; recorded: {self.recorded}")


def deleted_run(
    what: str, run_id: str, meaning: Meaning, *, trial: int | None = None, remedy: str = ""
) -> Finding:
    """The finding that a run is in the store's bin, from which it can be restored."""
    return Finding(
        trial=trial,
        what=what,
        found="deleted",
        recorded=run_id,
        run_id=run_id,
        meaning=meaning,
        remedy=remedy,
        repairs=[Repair(action="restore run", target=run_id)],
    )


def printable(text: str) -> str:
    r"""A text in one line, without anything that a terminal would obey.

    Example:
        >>> printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return visible(text.replace("\n", r"\n").replace("\t", r"\t"))
