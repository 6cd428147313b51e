"""Seals: a generation in compact form, chained by hashes, in write-once params of the ledger run.

All params of a run come back in one call, so a sweep is read from its seals; the trials' runs are
what people see, and what `verify` holds the seals against.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, count
from typing import Any, overload

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


class Seals(Sequence[Seal]):
    """The valid seals in the order of generations, up to the first generation that has none.

    The valid seal of a generation is that of the highest epoch that had claimed it: a driver that
    slept through its lease may have written seals too, which count for nothing.

    The chain of hashes is checked over all text at once, which is cheap. Trials are made of the
    text when they are asked for, and not kept: a history of 100,000 trials is read in passing.

    Args:
        params: The ledger run's params.
        declaration: The sweep's.
        start: What the first seal is chained to: the declaration's digest.

    Raises:
        RecordError: A seal was altered: its parts do not give its hash, or the chain is broken.
    """

    def __init__(self, params: Mapping[str, str], declaration: Declaration, start: str) -> None:
        self.declaration, self.start = declaration, start
        self._links = list(_links(params, start))

    def __len__(self) -> int:
        """How many generations are sealed."""
        return len(self._links)

    @overload
    def __getitem__(self, index: int) -> Seal: ...
    @overload
    def __getitem__(self, index: slice) -> list[Seal]: ...
    def __getitem__(self, index: int | slice) -> Seal | list[Seal]:
        """The seal of a generation."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        generation = range(len(self))[index]
        return self._seal(generation, self._first_numbers[generation])

    def __iter__(self) -> Iterator[Seal]:
        """One seal after the other."""
        return self.after(0, 0)

    def after(self, generation: int, trials: int) -> Iterator[Seal]:
        """The seals from a generation on, which so many trials precede."""
        for later in range(generation, len(self)):
            seal = self._seal(later, trials)
            yield seal
            trials += len(seal.runs)

    def head(self, generations: int | None = None) -> str:
        """The hash that the next seal is chained to, after all generations or so many."""
        done = len(self) if generations is None else generations
        return self._links[done - 1].hash if done else self.start

    def text(self, generation: int) -> str:
        """A generation's seal as it is recorded, all parts of it."""
        return self._links[generation].text

    def rows(self, generation: int) -> list[list[Any]]:
        """A generation's slots as they are recorded: see ``docs/schema.md``.

        Raises:
            RecordError: The text is no seal's, though its hash fits.
        """
        rows = self._content(generation).get("trials")
        if not isinstance(rows, list) or not all(isinstance(row, list) and row for row in rows):
            raise _altered(self._links[generation].key)
        return rows

    def runs(self, generation: int) -> tuple[str, ...]:
        """The run ids of a generation's counted attempts, in the order of slots.

        Raises:
            RecordError: One is no run id, though the hash fits.
        """
        found = tuple(row[0] for row in self.rows(generation))
        if not all(map(is_run_id, found)):
            raise _altered(self._links[generation].key)
        return found

    def run_of(self, number: int) -> str | None:
        """The run id of a trial's counted attempt, or None if the trial is not sealed."""
        if not 0 <= number < self.trials:
            return None
        generation = self.generation_of(number)
        return self.runs(generation)[number - self._first_numbers[generation]]

    def counted(self) -> Iterator[str]:
        """The run ids of all counted attempts, in the order of trials."""
        return chain.from_iterable(map(self.runs, range(len(self))))

    def headers(self) -> frozenset[str]:
        """The keys of the valid seals' headers."""
        return frozenset(link.key for link in self._links)

    @property
    def trials(self) -> int:
        """How many trials are sealed."""
        return self._first_numbers[-1]

    def keys(self, generation: int) -> list[str]:
        """The keys (`Space.key`) of a generation's configurations, without making trials of them.

        Raises:
            RecordError: A row is no trial's, though the hash fits.
        """
        names = list(self.declaration.space)
        try:
            return [
                canonical_json({n: s for n, s in zip(names, row[4], strict=True) if s is not None})
                for row in self.rows(generation)
            ]
        except (ValueError, TypeError, IndexError) as error:
            raise _altered(self._links[generation].key) from error

    def generation_of(self, number: int) -> int:
        """The generation that a trial belongs to."""
        return bisect_right(self._first_numbers, number) - 1

    @cached_property
    def _first_numbers(self) -> list[int]:
        """For each generation the number of its first trial; at the end, how many there are."""
        counts = (len(self.rows(generation)) for generation in range(len(self)))
        return [0, *accumulate(counts)]

    def _content(self, generation: int) -> dict[str, Any]:
        link = self._links[generation]
        try:
            return read_object(link.text, MAX_SEAL)
        except ValueError as error:
            raise _altered(link.key) from error

    def _seal(self, generation: int, number: int) -> Seal:
        return _seal_of(self._links[generation], self.declaration, number)


def seals(params: Mapping[str, str], declaration: Declaration, start: str) -> Iterator[Seal]:
    """The seals of `Seals`, each read before the next is looked at: as far as the chain holds.

    Raises:
        RecordError: The next one was altered.
    """
    number = 0
    for link in _links(params, start):
        seal = _seal_of(link, declaration, number)
        yield seal
        number += len(seal.runs)


@dataclass(frozen=True, slots=True)
class _Link:
    """A seal's place in the chain."""

    key: str
    text: str
    hash: str


def _links(params: Mapping[str, str], start: str) -> Iterator[_Link]:
    """The valid seals' texts, each checked against its hash."""
    claimed = claims(params)
    starts = sorted(claimed, key=lambda claim: claim.from_generation, reverse=True)
    previous, epoch = start, 0
    for generation in count():
        while starts and starts[-1].from_generation <= generation:
            epoch = max(epoch, starts.pop().epoch)
        key = seal_key(generation, epoch)
        if key not in params:
            return
        try:
            header = read_object(params[key])
            refuse_newer(header, f"the record {key} of the ledger run")
            text = "".join(params[f"{key}/{part:04d}"] for part in range(header["count"]))
            fits = header["previous"] == previous and digest(previous + text) == header["hash"]
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise _altered(key) from error
        if not fits:
            raise _altered(key)
        previous = header["hash"]
        yield _Link(key, text, previous)


def _seal_of(link: _Link, declaration: Declaration, number: int) -> Seal:
    try:
        seal = read_seal(link.text, declaration, number, link.hash)
        if link.key != seal_key(seal.event.generation, seal.epoch):
            raise ValueError(link.key)  # noqa: TRY301
    # Whatever it is that a stranger made fit: a SpaceError is a ValueError.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise _altered(link.key) from error
    return seal


def _altered(key: str) -> RecordError:
    return RecordError(
        f"the record {key} of the ledger run was altered: its text does not give the hash "
        "that was recorded, or does not follow the seal before it; 'lepton doctor NAME' says "
        "what still stands",
        key=key,
        generation=int(key.split("/")[1]),
    )


def uncounted(params: Mapping[str, str], counted: Seals) -> set[tuple[int, str]]:
    """Generation and hash of seals that do not count: a later claim superseded their driver."""
    known = counted.headers()
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
