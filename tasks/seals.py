"""Seals: a generation in compact form, chained by hashes, in write-once params of the ledger run.

All params of a run come back in one call, so a sweep is read from its seals; the trials' runs are
what people see, and what `verify` holds the seals against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lepton_core.canonical import canonical_json, digest, shown
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import GenerationSealed, TrialRecord
from lepton_tasks.records import (
    Claim,
    checked_proposal,
    checked_trial,
    claims,
    is_run_id,
    refuse_newer,
)
from lepton_tasks.untrusted import MAX_SEAL, is_number, read_object
from lepton_tasks.write_once import MAX_VALUE

SHOWN_REASON = 200  # characters of a failure's reason in a seal; the trial's run has all of it

HEADER = re.compile(r"seal/([0-9]{8})/([0-9]{6})")


def seal_key(generation: int, epoch: int) -> str:
    """The register of a seal's header; its parts are below it."""
    return f"seal/{generation:08d}/{epoch:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A generation's seal as read back.

    Attributes:
        event: The fact for the fold.
        runs: The counted attempts' run ids, in the order of slots.
        hash: What the next seal chains to.
    """

    epoch: int
    event: GenerationSealed
    runs: tuple[str, ...]
    hash: str


def seal_texts(
    event: GenerationSealed,
    declaration: Declaration,
    runs: Mapping[int, str],
    *,
    epoch: int,
    previous: str,
) -> tuple[list[str], str, str]:
    """A seal as the texts of its parts, the text of its header, and its hash."""
    body = canonical_json(
        {
            "generation": event.generation,
            "epoch": epoch,
            "driven_s": event.driven_s,
            "trials": [
                _compact(trial, declaration, runs[trial.proposal.slot]) for trial in event.trials
            ],
        }
    )
    parts = [body[i : i + MAX_VALUE] for i in range(0, len(body), MAX_VALUE)]
    chained = digest(previous + body)
    header = canonical_json({"hash": chained, "previous": previous, "count": len(parts)})
    return parts, header, chained


def _compact(trial: TrialRecord, declaration: Declaration, run_id: str) -> list[Any]:
    proposal, failure = trial.proposal, trial.failure
    strings = declaration.space.to_strings(proposal.params)
    return [
        run_id,
        trial.attempt,
        proposal.proposer,
        dict(proposal.origin),
        [strings.get(name) for name in declaration.space],
        proposal.seed,
        trial.value,
        [failure.kind, failure.reason[:SHOWN_REASON]] if failure else None,
        trial.duration_s,
    ]


def seals(params: Mapping[str, str], declaration: Declaration, start: str) -> Iterator[Seal]:
    """The valid seals in the order of generations, up to the first generation that has none.

    The valid seal of a generation is that of the highest epoch that had claimed it: a driver that
    slept through its lease may have written seals too, which count for nothing.

    Args:
        params: The ledger run's params.
        declaration: The sweep's.
        start: What the first seal is chained to: the declaration's digest.

    Raises:
        RecordError: A seal was altered: its parts do not give its hash, or the chain is broken.
    """
    claimed = claims(params)
    generation, number, previous = 0, 0, start
    while True:
        key = seal_key(generation, entitled(claimed, generation))
        if key not in params:
            return
        seal = _read_seal(params, key, declaration, previous, number)
        yield seal
        generation, previous = generation + 1, seal.hash
        number += len(seal.event.trials)


def uncounted(params: Mapping[str, str], counted: Iterable[Seal]) -> set[tuple[int, str]]:
    """Generation and hash of seals that do not count: a later claim superseded their driver."""
    known = {seal_key(seal.event.generation, seal.epoch) for seal in counted}
    headers = [match for key in params if key not in known and (match := HEADER.fullmatch(key))]
    hashes = [(int(match[1]), _hash(params[match[0]])) for match in headers]
    return {(generation, found) for generation, found in hashes if found is not None}


def _hash(header: str) -> str | None:
    try:
        found = read_object(header).get("hash")
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def entitled(claimed: Sequence[Claim], generation: int) -> int:
    """The epoch whose seal of a generation is the valid one: the highest that had claimed it."""
    return max((c.epoch for c in claimed if c.from_generation <= generation), default=0)


def _read_seal(
    params: Mapping[str, str], key: str, declaration: Declaration, previous: str, number: int
) -> Seal:
    try:
        header = read_object(params[key])
        refuse_newer(header, f"the record {key} of the ledger run")
        body = "".join(params[f"{key}/{part:04d}"] for part in range(header["count"]))
        if header["previous"] != previous or digest(previous + body) != header["hash"]:
            raise ValueError(key)  # noqa: TRY301
        seal = read_seal(body, declaration, number, header["hash"])
        if key != seal_key(seal.event.generation, seal.epoch):
            raise ValueError(key)  # noqa: TRY301
    # Whatever it is that a stranger made fit: a SpaceError is a ValueError.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise RecordError(
            f"the record {key} of the ledger run was altered: its text does not give the hash "
            "that was recorded, or does not follow the seal before it; 'lepton doctor NAME' says "
            "what still stands",
            key=key,
            generation=int(key.split("/")[1]),
        ) from error
    return seal


def _expand(
    row: list[Any], declaration: Declaration, generation: int, slot: int, slots: int, number: int
) -> TrialRecord:
    run_id, attempt, proposer, origin, strings, seed, value, failure, duration_s = row
    if not is_run_id(run_id):
        raise ValueError(f"the run {shown(run_id)}")
    named = zip(declaration.space, strings, strict=True)
    return checked_trial(
        checked_proposal(
            generation=generation,
            slot=slot,
            slots=slots,
            number=number,
            params=declaration.space.from_strings({n: s for n, s in named if s is not None}),
            proposer=proposer,
            origin=origin,
            seed=seed,
        ),
        attempt=attempt,
        value=value,
        failure=failure,
        duration_s=duration_s,
    )


def read_seal(text: str, declaration: Declaration, number: int, chained: str) -> Seal:
    """The seal that a text is, wherever it comes from; its hash was compared already.

    Args:
        text: All parts of it.
        declaration: The sweep's.
        number: The number of its first trial.
        chained: Its hash.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, OverflowError: The text is no seal.
    """
    content = read_object(text, MAX_SEAL)
    rows, driven_s = content["trials"], content["driven_s"]
    if not is_number(driven_s) or driven_s < 0:
        raise ValueError(f"driven for {shown(driven_s)}")
    trials = tuple(
        _expand(row, declaration, content["generation"], slot, len(rows), number + slot)
        for slot, row in enumerate(rows)
    )
    return Seal(
        epoch=content["epoch"],
        event=GenerationSealed(
            generation=content["generation"], trials=trials, driven_s=float(driven_s)
        ),
        runs=tuple(str(row[0]) for row in rows),
        hash=chained,
    )
