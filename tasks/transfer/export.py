"""Exporting a sweep: from the ledger and the runs to the lines of a file, whatever the length.

The runs are read by pages and laid down in a temporary file, since the lines go by generation and
the store gives runs by time, which the clocks of several machines may have put in another order.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any, NamedTuple

from lepton_core.errors import ExportFileError, RecordError
from lepton_core.export_format import (
    FORMAT,
    Driver,
    End,
    Header,
    Line,
    Metric,
    Parent,
    Run,
    Sealed,
    line_text,
    read_line,
)
from lepton_core.version import __version__
from lepton_tasks import records
from lepton_tasks.attempts import find_runs, trial_condition
from lepton_tasks.lookup import is_deleted
from lepton_tasks.records import Claim, claims, settings_key
from lepton_tasks.store import reachable
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.transfer.export_check import ExportCheck
from lepton_tasks.transfer.export_file import LineWriter
from lepton_tasks.untrusted import whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export holds.

    Attributes:
        trials: In sealed generations.
        bytes: Before any compression.
    """

    end: End
    head: str
    trials: int
    bytes: int


class _Place(NamedTuple):
    """Where a run goes in the export, and where its line is laid down meanwhile."""

    generation: int
    slot: int
    attempt: int
    run_id: str
    offset: int
    length: int


def export_sweep(record: SweepRecord, stream: IO[bytes]) -> Exported:
    """Write a sweep as lines.

    Args:
        record: The sweep, as just read: what is recorded meanwhile is not exported, or is exported
            as attempts of the open generation.
        stream: Where to, in bytes.

    Raises:
        RecordError: The history was altered, so that no import could pass `verify`.
        StoreUnreachableError: The store failed.
        OSError: The stream did.
    """
    writer, check = LineWriter(stream), ExportCheck()
    try:
        with tempfile.TemporaryFile() as laid_down:
            parent = _parent(record)
            places = _lay_down(record, parent, laid_down) if parent is not None else []
            for line in _lines(record, parent, places, laid_down):
                check.take(line)
                writer.write(line)
        check.take(writer.tally.end())
        end = writer.end()
    except ExportFileError as error:
        name = record.entry.name
        raise RecordError(
            f"sweep {name!r} cannot be exported: {error.message}.\n"
            f"'lepton verify {name}' names all that was altered.",
            name=name,
        ) from None
    return Exported(
        end=end,
        head=record.head,
        trials=check.state.trials_done if check.state else 0,
        bytes=writer.tally.bytes,
    )


def _parent(record: SweepRecord) -> Any:
    """The sweep's own run, or None for a sweep that nobody has driven."""
    if record.parent is None:
        return None
    with reachable(record.store.address.place):
        record.parent_info()  # says so, if it was deleted
        return record.store.client.get_run(record.parent)


def _lines(
    record: SweepRecord, parent: Any, places: list[_Place], laid_down: IO[bytes]
) -> Iterator[Line]:
    """All lines but the last, in the order that docs/export.md describes."""
    yield Header(
        format=FORMAT,
        lepton=__version__,
        declaration=json.loads(records.read_long_tag(record.tags, records.DECLARATION) or "{}"),
        digest=record.entry.digest,
        head=record.head,
    )
    if parent is not None:
        yield _run_line(Parent, parent)
    drivers = _drivers(record.params)
    by_generation = groupby(places, key=lambda place: place.generation)
    waiting = next(by_generation, None)
    for seal in record.seals:
        generation = seal.event.generation
        while drivers and drivers[0].from_generation <= generation:
            yield drivers.pop(0)
        if waiting is not None and waiting[0] == generation:
            yield from (_read_back(laid_down, place) for place in waiting[1])
            waiting = next(by_generation, None)
        yield Sealed(
            generation=generation,
            epoch=seal.epoch,
            previous=record.seals.head(generation),
            hash=seal.hash,
            text=record.seals.text(generation),
        )
    yield from drivers
    while waiting is not None:
        yield from (_read_back(laid_down, place) for place in waiting[1])
        waiting = next(by_generation, None)


def _drivers(params: Mapping[str, str]) -> list[Driver]:
    """All drivers, each from a generation that is none of a later one's.

    Where `lepton doctor` opened a sweep again, what earlier drivers sealed from there on does not
    count: as if they had begun no later than there.
    """
    drivers: list[Driver] = []
    known = claims(params)
    earliest = known[-1].from_generation if known else 0
    for claim in reversed(known):
        earliest = min(earliest, claim.from_generation)
        drivers.append(_driver_line(params, claim, earliest))
    return drivers[::-1]


def _driver_line(params: Mapping[str, str], claim: Claim, from_generation: int) -> Driver:
    """A claim without what names the process: host names are nobody else's business."""
    settings = params.get(settings_key(claim.epoch))
    if settings is not None and records.read_settings(settings) is None:
        raise ExportFileError(f"the settings of driver {claim.epoch} cannot be read")
    return Driver(
        epoch=claim.epoch,
        from_generation=from_generation,
        claimed_at=claim.claimed_at,
        environment=claim.environment,
        settings=None if settings is None else json.loads(settings),
    )


def _attempts(record: SweepRecord, experiment: str) -> Iterator[Any]:
    """The sweep's runs; what fails elsewhere while they are used is not the store's failure."""
    with reachable(record.store.address.place):
        condition = trial_condition(record.entry.name)
        yield from find_runs(record.store.client, experiment, condition, deleted=True)


def _lay_down(record: SweepRecord, parent: Any, laid_down: IO[bytes]) -> list[_Place]:
    """All of the sweep's attempts as lines in a temporary file; where each is, in order."""
    places, offset, sealed = [], 0, len(record.seals)
    for run in _attempts(record, parent.info.experiment_id):
        where = _where(run)
        if where is None:
            continue  # it only looks like an attempt
        if is_deleted(run) and where[0] < sealed:
            continue  # in an open generation the next driver brings it back, in a sealed one nobody
        data = line_text(_run_line(Run, run)).encode()
        laid_down.write(data)
        places.append(_Place(*where, run.info.run_id, offset, len(data)))
        offset += len(data)
    return sorted(places)


def _where(run: Any) -> tuple[int, int, int] | None:
    """A run's generation, slot and attempt, if it says all three as a driver does."""
    tags = run.data.tags
    generation = whole_number(tags.get(records.GENERATION))
    slot, attempt = whole_number(tags.get(records.SLOT)), whole_number(tags.get(records.ATTEMPT))
    if generation is None or slot is None or attempt is None:
        return None
    return generation, slot, attempt


def _read_back(laid_down: IO[bytes], place: _Place) -> Line:
    laid_down.seek(place.offset)
    return read_line(laid_down.read(place.length).decode())


def _run_line(kind: type[Run], run: Any) -> Run:
    info, data = run.info, run.data
    return kind(
        run=info.run_id,
        name=info.run_name or "",
        status=info.status,
        start=info.start_time,
        end=info.end_time or None,
        tags=_without_nul(data.tags),
        params=_without_nul(data.params),
        metrics=_latest(run),
    )


def _without_nul(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts as every store takes them: SQLite keeps a NUL that an objective logs, others do not."""
    return {key: text.replace("\0", "\\0") for key, text in texts.items()}


def _latest(run: Any) -> tuple[Metric, ...]:
    """The latest value of each metric, with its time and step, by name.

    Raises:
        RecordError: One has a value that is no number.
    """
    # As a message, a run tells the times and steps that its dict of metrics leaves out.
    try:
        found = run.data.to_proto().metrics
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(
            f"run {run.info.run_id} has a metric whose value, time or step is no number: its row "
            "in the store's database was altered",
            run_id=run.info.run_id,
        ) from error
    return tuple(sorted((m.key, float(m.value), int(m.timestamp), int(m.step)) for m in found))
