"""One sealed trial's run held against its seal: what was edited, and what to write back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lepton_core.canonical import shown
from lepton_core.declaration import Declaration
from lepton_core.events import TrialRecord
from lepton_tasks import records
from lepton_tasks.attempts import status_of
from lepton_tasks.doctor import by_hand
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.seals import SHOWN_REASON, Seal, Seals
from lepton_tasks.untrusted import read_object, whole_number

KEPT_SEALS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTrial:
    """What a seal says of one trial.

    Attributes:
        base: The hash of the seal before, which the proposal was made from.
        epoch: The epoch that sealed it; the attempt is of this epoch or an earlier one.
        parent: The sweep's parent run, if it is there.
    """

    run_id: str
    trial: TrialRecord
    base: str
    epoch: int
    parent: str | None


class SealedTrials:
    """Gives sealed trials by their numbers; runs come about in that order, so few seals are kept.

    Args:
        seals: The sweep's.
        parent: Its parent run.
    """

    def __init__(self, seals: Seals, parent: str | None) -> None:
        self._seals, self._parent = seals, parent
        self._seal = lru_cache(maxsize=KEPT_SEALS)(seals.__getitem__)

    def __getitem__(self, number: int) -> SealedTrial:
        """The trial of that number."""
        generation = self._seals.generation_of(number)
        seal: Seal = self._seal(generation)
        slot = number - seal.event.trials[0].proposal.number
        return SealedTrial(
            run_id=seal.runs[slot],
            trial=seal.event.trials[slot],
            base=self._seals.head(generation),
            epoch=seal.epoch,
            parent=self._parent,
        )


def differences(run: Any, sealed: SealedTrial, declaration: Declaration) -> Iterator[Finding]:
    """All in a run that is not as its seal says. What other code logs beside ours is left alone."""
    tags = run.data.tags
    yield from _tags(tags, sealed, declaration)
    yield from _proposal(tags, sealed, declaration)
    yield from _params(run.data.params, sealed, declaration)
    status = status_of(sealed.trial)
    if run.info.status != status:
        repair = Repair(action="set status", target=sealed.run_id, value=status)
        yield _finding(sealed, "status", str(run.info.status), status, repair)
    yield from _result(tags, sealed)
    value, found = sealed.trial.value, run.data.metrics.get(declaration.metric)
    if value is not None and found != value:
        key = declaration.metric
        repair = Repair(action="log metric", target=sealed.run_id, key=key, value=value)
        yield _finding(sealed, f"metric {key}", repr(found), repr(value), repair)


def _finding(
    sealed: SealedTrial, what: str, found: str, recorded: str, *repairs: Repair
) -> Finding:
    return Finding(
        trial=sealed.trial.proposal.number,
        what=what,
        found=found,
        recorded=recorded,
        run_id=sealed.run_id,
        repairs=repairs,
    )


def _tags(
    tags: Mapping[str, str], sealed: SealedTrial, declaration: Declaration
) -> Iterator[Finding]:
    expected = records.trial_tags(
        sealed.trial.proposal,
        sealed.trial.attempt,
        sweep=declaration.name,
        parent=sealed.parent,
        epoch=_epoch(tags, sealed),
        base=sealed.base,
    )
    for key, text in expected.items():
        if tags.get(key) != text:
            repair = Repair(action="set tag", target=sealed.run_id, key=key, value=text)
            yield _finding(sealed, f"tag {key}", _text(tags.get(key)), repr(text), repair)
    for key in (records.KILLED, records.SCHEMA_TAG):
        if key in tags:
            repair = Repair(action="remove tag", target=sealed.run_id, key=key)
            yield _finding(sealed, f"tag {key}", shown(tags[key]), "none", repair)


def _epoch(tags: Mapping[str, str], sealed: SealedTrial) -> int:
    """The driver that made the attempt; the same one recorded its result."""
    told = whole_number(tags.get(records.EPOCH))
    if told is not None and 1 <= told <= sealed.epoch:
        return told
    try:
        told = read_object(tags.get(records.RESULT, ""))["epoch"]
    except (ValueError, KeyError):
        return sealed.epoch
    return told if isinstance(told, int) and 1 <= told <= sealed.epoch else sealed.epoch


def _proposal(
    tags: Mapping[str, str], sealed: SealedTrial, declaration: Declaration
) -> Iterator[Finding]:
    if records.read_proposal(tags, declaration) == sealed.trial.proposal:
        return
    right = records.proposal_tags(sealed.trial.proposal)
    repairs = [
        Repair(action="set tag", target=sealed.run_id, key=key, value=text)
        for key, text in right.items()
        if tags.get(key) != text
    ]
    repairs += [
        Repair(action="remove tag", target=sealed.run_id, key=key)
        for key in tags
        if key.startswith(f"{records.PROPOSAL}.") and key not in right
    ]
    found = "another, or its digest does not fit"
    yield _finding(sealed, f"tag {records.PROPOSAL}", found, "the sealed one", *repairs)


def _params(
    params: Mapping[str, str], sealed: SealedTrial, declaration: Declaration
) -> Iterator[Finding]:
    strings = declaration.space.to_strings(sealed.trial.proposal.params)
    for name, text in strings.items():
        found = params.get(name)
        if found == text:
            continue
        if found is None:
            repair = Repair(action="log param", target=sealed.run_id, key=name, value=text)
            yield _finding(sealed, f"param {name}", "None", repr(text), repair)
            continue
        yield Finding(
            trial=sealed.trial.proposal.number,
            what=f"param {name}",
            found=shown(found),
            recorded=repr(text),
            run_id=sealed.run_id,
            remedy=f"{by_hand.WRITE_ONCE}: {by_hand.set_param(sealed.run_id, name, text)}",
        )


def _result(tags: Mapping[str, str], sealed: SealedTrial) -> Iterator[Finding]:
    trial = sealed.trial
    result = records.read_outcome(tags.get(records.RESULT), trial.proposal)
    if result is not None and _told(result) == _told(trial):
        return
    if records.RESULT not in tags:
        found = "missing"
    elif result is None:
        found = "unreadable"
    elif result.value != trial.value:
        found = repr(result.value)
    else:
        found = shown(tags[records.RESULT])
    text = records.outcome_text(trial, _epoch(tags, sealed))
    repair = Repair(action="set tag", target=sealed.run_id, key=records.RESULT, value=text)
    recorded = repr(trial.value) if found != shown(tags.get(records.RESULT)) else shown(text)
    yield _finding(sealed, f"tag {records.RESULT}", found, recorded, repair)


def _told(trial: TrialRecord) -> tuple[Any, ...]:
    """What a result record and a seal both hold; a seal cuts the reason."""
    failure = trial.failure
    why = (failure.kind, failure.reason[:SHOWN_REASON]) if failure else None
    return trial.attempt, trial.value, why, trial.duration_s


def _text(tag: str | None) -> str:
    return "None" if tag is None else shown(tag)
