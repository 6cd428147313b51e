"""The attempts at the trials of one generation, as their runs tell: what stands, what does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lepton_core.declaration import Declaration
from lepton_core.events import Proposal, TrialRecord
from lepton_tasks import records
from lepton_tasks.lookup import is_deleted
from lepton_tasks.store_client import StoreClient
from lepton_tasks.untrusted import whole_number

PAGE = 1000
UNFINISHED = ("RUNNING", "SCHEDULED")
FINISHED, KILLED, FAILED = "FINISHED", "KILLED", "FAILED"  # how MLflow shows what has ended
DIED = "died"  # the attempt's process died: such deaths are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One trial run.

    Attributes:
        proposal: As recorded, or None where that record is torn or was altered.
        result: The driver's result record, or None.
        killed: Why it counts for nothing, or None.
        deleted: Whether its run was deleted, by the objective perhaps.
    """

    run_id: str
    number: int
    slot: int
    status: str
    base: str
    proposal: Proposal | None
    result: TrialRecord | None
    killed: str | None
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSlot:
    """What is on record for a slot of the open generation.

    Attributes:
        proposal: The recorded proposal, which stands; None if only a superseded one is there.
        attempts: How many attempts were begun: the next one's number.
        deaths: How many of them ended because their process died.
        result: The result that counts, once there is one.
        run_id: The run of that result.
    """

    proposal: Proposal | None = None
    attempts: int = 0
    deaths: int = 0
    result: TrialRecord | None = None
    run_id: str | None = None


def status_of(result: TrialRecord) -> str:
    """The status of a run with that result."""
    return FAILED if result.failure else FINISHED


def find_runs(
    client: StoreClient,
    experiment_id: str,
    condition: str,
    *,
    deleted: bool = False,
    page_size: int = PAGE,
) -> Iterator[Any]:
    """All runs of an experiment that fulfil a condition, each once, oldest first.

    One page of them is held at a time.

    Args:
        client: The store's client.
        experiment_id: The experiment.
        condition: In MLflow's search language.
        deleted: Find deleted ones too.
        page_size: How many runs a page has. The store searches anew for each.
    """
    from mlflow.entities import ViewType  # noqa: PLC0415  (costs a second)

    token, seen = None, set()
    while True:
        page = client.search_runs(
            [experiment_id],
            condition,
            run_view_type=ViewType.ALL if deleted else ViewType.ACTIVE_ONLY,
            max_results=page_size,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        for run in page:
            if run.info.run_id not in seen:  # pages shift when runs are added meanwhile
                seen.add(run.info.run_id)
                yield run
        token = page.token
        if not token:
            return


def unfinished_trials(client: StoreClient, experiment_id: str, name: str) -> Iterator[Any]:
    """The runs of a sweep's trials that show as under way.

    They are searched by status alone, which few runs have, and told by their tags, which every
    trial has: among many runs a search by tags takes long.
    """
    for status in UNFINISHED:
        condition = f"attributes.status = '{status}'"
        for run in list(find_runs(client, experiment_id, condition)):
            tags = run.data.tags
            if (tags.get(records.KIND), tags.get(records.SWEEP)) == ("trial", name):
                yield run


def trial_condition(name: str, generation: int | None = None) -> str:
    """The search for a sweep's trials, or for those of one generation."""
    condition = f"tags.`{records.KIND}` = 'trial' and tags.`{records.SWEEP}` = '{name}'"
    if generation is not None:
        condition += f" and tags.`{records.GENERATION}` = '{generation}'"
    return condition


def find_parents(
    client: StoreClient, experiment_id: str, ledger: str, *, deleted: bool = False
) -> Iterator[Any]:
    """The runs that say they are the parent run of the sweep with that ledger run."""
    condition = f"tags.`{records.KIND}` = 'sweep' and tags.`{records.LEDGER}` = '{ledger}'"
    return find_runs(client, experiment_id, condition, deleted=deleted)


def find_ledgers(client: StoreClient, experiment_id: str, name: str) -> Iterator[Any]:
    """The ledger runs of a sweep's name: one is registered, the others lost a race."""
    condition = f"tags.`{records.KIND}` = 'ledger' and tags.`{records.SWEEP}` = '{name}'"
    return find_runs(client, experiment_id, condition)


def read_attempt(run: Any, declaration: Declaration) -> Attempt | None:
    """A trial's run as an attempt, or None for a foreign run that only looks like one.

    Raises:
        RecordError: It is of a later schema.
    """
    tags = run.data.tags
    schema = whole_number(tags.get(records.SCHEMA_TAG))
    if schema is not None and is_deleted(run):
        return None  # whoever it was that did not want it
    records.refuse_newer({"schema": schema}, f"the run {run.info.run_id}")
    slot = whole_number(tags.get(records.SLOT))
    number = whole_number(tags.get(records.ATTEMPT))
    generation = whole_number(tags.get(records.GENERATION))
    if slot is None or number is None or generation is None:
        return None
    proposal = records.read_proposal(tags, declaration)
    if proposal is not None and (proposal.generation, proposal.slot) != (generation, slot):
        proposal = None  # one of another place, copied here
    killed = tags.get(records.KILLED)
    return Attempt(
        run_id=run.info.run_id,
        number=number,
        slot=slot,
        status=run.info.status,
        base=tags.get(records.BASE, ""),
        proposal=proposal,
        result=(
            records.read_outcome(tags.get(records.RESULT), proposal)
            if proposal is not None and killed is None
            else None
        ),
        killed=killed,
        deleted=is_deleted(run),
    )


def read_attempts(
    client: StoreClient,
    experiment_id: str,
    declaration: Declaration,
    generation: int | None,
    *,
    deleted: bool = False,
) -> list[Attempt]:
    """A sweep's trial runs, or those of one generation; foreign runs are left out."""
    condition = trial_condition(declaration.name, generation)
    found = find_runs(client, experiment_id, condition, deleted=deleted)
    parsed = (read_attempt(run, declaration) for run in found)
    return [attempt for attempt in parsed if attempt is not None]


def open_slots(attempts: Iterable[Attempt], base: str) -> dict[int, OpenSlot]:
    """The slots of the open generation by their attempts.

    Only attempts proposed on this base (the hash of the last seal) tell what the slot's proposal
    is: a driver that lost its lease may have gone on from a seal that does not count.
    """
    slots: dict[int, OpenSlot] = {}
    for attempt in sorted(attempts, key=lambda a: (a.slot, a.number, a.run_id)):
        slot = slots.get(attempt.slot, OpenSlot())
        slot = replace(slot, attempts=max(slot.attempts, attempt.number + 1))
        if attempt.base == base and attempt.proposal in (slot.proposal or attempt.proposal, None):
            slot = _with(slot, attempt)
        slots[attempt.slot] = slot
    return slots


def _with(slot: OpenSlot, attempt: Attempt) -> OpenSlot:
    died = attempt.killed is not None and attempt.killed.startswith(DIED)
    slot = replace(slot, proposal=slot.proposal or attempt.proposal, deaths=slot.deaths + int(died))
    if slot.result is None and attempt.result is not None:
        slot = replace(slot, result=attempt.result, run_id=attempt.run_id)
    return slot
