"""Seals: a generation in compact form, chained by hashes, in write-once params of the ledger run.

All params of a run come back in one call, so a sweep is read from its seals; the trials' runs are
what people see, and what `verify` holds the seals against.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count
from typing import Any, overload

from lepton_core.canonical import canonical_json, digest
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError, SpaceError
from lepton_core.events import Failure, GenerationSealed, Proposal, TrialRecord
from lepton_tasks.records import Claim, claims
from lepton_tasks.write_once import MAX_VALUE

SHOWN_REASON = 200  # characters of a failure's reason in a seal; the trial's run has all of it


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

    def characters(self, generation: int) -> int:
        """How long the text of a generation is."""
        return len(self._links[generation].text)

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
        """The run ids of a generation's counted attempts, in the order of slots."""
        return tuple(str(row[0]) for row in self.rows(generation))

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
            content = json.loads(link.text)
        except (ValueError, RecursionError) as error:
            raise _altered(link.key) from error
        if not isinstance(content, dict):
            raise _altered(link.key)
        return content

    def _seal(self, generation: int, number: int) -> Seal:
        link, content = self._links[generation], self._content(generation)
        try:
            rows = content["trials"]
            trials = tuple(
                _expand(row, self.declaration, generation, slot, len(rows), number + slot)
                for slot, row in enumerate(rows)
            )
            return Seal(
                epoch=content["epoch"],
                event=GenerationSealed(
                    generation=content["generation"], trials=trials, driven_s=content["driven_s"]
                ),
                runs=tuple(row[0] for row in rows),
                hash=link.hash,
            )
        except (ValueError, KeyError, TypeError, SpaceError) as error:
            raise _altered(link.key) from error


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
            header = json.loads(params[key])
            text = "".join(params[f"{key}/{part:04d}"] for part in range(header["count"]))
            fits = header["previous"] == previous and digest(previous + text) == header["hash"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _altered(key) from error
        if not fits:
            raise _altered(key)
        previous = header["hash"]
        yield _Link(key, text, previous)


def _altered(key: str) -> RecordError:
    return RecordError(
        f"the record {key} of the ledger run was altered: its text does not give the hash "
        "that was recorded, or does not follow the seal before it",
        key=key,
    )


def entitled(claimed: Sequence[Claim], generation: int) -> int:
    """The epoch whose seal of a generation is the valid one: the highest that had claimed it."""
    return max((c.epoch for c in claimed if c.from_generation <= generation), default=0)


def _expand(
    row: list[Any], declaration: Declaration, generation: int, slot: int, slots: int, number: int
) -> TrialRecord:
    _, attempt, proposer, origin, strings, seed, value, failure, duration_s = row
    named = zip(declaration.space, strings, strict=True)
    return TrialRecord(
        proposal=Proposal(
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
        failure=Failure(kind=failure[0], reason=failure[1]) if failure else None,
        duration_s=duration_s,
    )
