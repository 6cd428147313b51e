"""The ledger's records as text: tags of runs, and the claims of drivers.

Everything here is data (JSON), with digests where it matters. The schema is described in
``docs/schema.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from lepton_core.canonical import canonical_json, digest, shown
from lepton_core.declaration import SCHEMA, Declaration, Settings
from lepton_core.errors import RecordError
from lepton_core.events import Failure, FailureKind, Proposal, TrialRecord
from lepton_core.verification import proposal_text
from lepton_tasks.host import Process
from lepton_tasks.untrusted import is_number, is_whole, read_object

# Tags, on sweep, trial and ledger runs.
KIND = "lepton.kind"
SWEEP = "lepton.sweep"
GENERATION = "lepton.generation"
SLOT = "lepton.slot"
ATTEMPT = "lepton.attempt"
PROPOSER = "lepton.proposer"
NUMBER = "lepton.number"
SEED = "lepton.seed"
EPOCH = "lepton.epoch"
LEDGER = "lepton.ledger"
DECLARATION = "lepton.declaration"
PROPOSAL = "lepton.proposal"
DIGEST = ".digest"
BASE = "lepton.base"
SCHEMA_TAG = "lepton.schema"  # on runs of a later schema; schema 1 has none
RESULT = "lepton.result"
KILLED = "lepton.killed"
CANCEL = "lepton.cancel"
HEARTBEAT = "lepton.heartbeat"
REPAIRED = "lepton.repaired"
PARENT_RUN = "mlflow.parentRunId"

MAX_TAG = 5000  # characters; MLflow's own limit is 8,000


def long_tag(key: str, text: str) -> dict[str, str]:
    """A text as tags: pieces that stores accept, and its digest, all for one `create_run`."""
    pieces = [text[i : i + MAX_TAG] for i in range(0, len(text), MAX_TAG)]
    tags = {key if i == 0 else f"{key}.{i}": piece for i, piece in enumerate(pieces)}
    return {**tags, key + DIGEST: digest(text)}


def read_long_tag(tags: Mapping[str, str], key: str) -> str | None:
    """The text that `long_tag` wrote, or None if it is missing, in part or altered."""
    text, i = tags.get(key, ""), 1
    while f"{key}.{i}" in tags:
        text += tags[f"{key}.{i}"]
        i += 1
    try:
        return text if digest(text) == tags.get(key + DIGEST) else None
    except UnicodeEncodeError:  # half a surrogate pair, which no text of ours has
        return None


def refuse_newer(content: Mapping[str, Any], what: str) -> None:
    """Do nothing unless a record says that it is of a schema after this version's.

    Raises:
        RecordError: It does; it is not altered, but this version cannot know what it means.
    """
    schema = content.get("schema", SCHEMA)
    if is_whole(schema) and schema > SCHEMA:
        raise RecordError(
            f"{what} has schema {schema}; this Lepton reads up to {SCHEMA}. "
            "Upgrade Lepton to read it.",
            schema=schema,
        )


def epoch_key(epoch: int) -> str:
    """The register that claims an epoch."""
    return f"epoch/{epoch:06d}"


def settings_key(epoch: int) -> str:
    """The register of the settings that an epoch's driver works with."""
    return f"settings/{epoch:06d}"


def released_key(epoch: int) -> str:
    """The register by which an epoch's driver leaves cleanly."""
    return f"released/{epoch:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A driver's claim on a sweep: from which generation it drives, and who it is.

    Attributes:
        owner: A unique text of the driver's own: a rewrite of the same value succeeds, so two
            drivers must never write the same one.
        ttl_s: Seconds without a heartbeat after which others may take over.
        from_generation: The first generation that this epoch seals.
        environment: Versions that proposals may depend on.
    """

    epoch: int
    owner: str
    process: Process
    ttl_s: float
    from_generation: int
    claimed_at: str
    environment: Mapping[str, str]

    def text(self) -> str:
        """As the register holds it."""
        return canonical_json(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Read a register; keys of a newer version are passed over.

        Raises:
            ValueError: It is not a claim.
        """
        content = read_object(text)
        try:
            process, environment = content["process"], content["environment"]
            claim = cls(
                **{f.name: content[f.name] for f in fields(cls) if f.name != "process"},
                process=Process(**{f.name: process[f.name] for f in fields(Process)}),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a claim: {error}") from None
        texts = (claim.owner, claim.claimed_at, *(process[k] for k in ("host", "boot", "started")))
        if not (
            is_whole(claim.epoch)
            and is_whole(claim.from_generation)
            and is_whole(process["pid"], below=2**31)
            and is_number(claim.ttl_s)
            and claim.ttl_s > 0
            and all(isinstance(text, str) for text in texts)
            and isinstance(environment, dict)
        ):
            raise ValueError("not a claim: a value is not of its type, or out of range")
        return claim


_EPOCH = re.compile(r"epoch/[0-9]{6}")


def claims(params: Mapping[str, str]) -> list[Claim]:
    """The claims among the ledger run's params, in the order of epochs.

    Raises:
        RecordError: One of them cannot be read.
    """
    return [_claim(key, params[key]) for key in sorted(params) if _EPOCH.fullmatch(key)]


def _claim(key: str, text: str) -> Claim:
    try:
        refuse_newer(read_object(text), f"the record {key} of the ledger run")
        claim = Claim.parse(text)
    except ValueError as error:
        raise RecordError(
            f"the record {key} of the ledger run was altered: expected a driver's claim, "
            f"found {shown(text)} ({error})",
            key=key,
        ) from None
    if epoch_key(claim.epoch) != key:
        raise RecordError(
            f"the record {key} of the ledger run was altered: it claims epoch {claim.epoch}",
            key=key,
        )
    return claim


def declaration_tags(declaration: Declaration) -> dict[str, str]:
    """The declaration as tags, for the one call that makes the run."""
    return long_tag(DECLARATION, canonical_json(declaration.to_record()))


def read_declaration(tags: Mapping[str, str]) -> Declaration:
    """The declaration in a run's tags.

    Raises:
        RecordError: It is torn or altered, or of a schema that this version cannot read.
    """
    text = read_long_tag(tags, DECLARATION)
    if text is None:
        raise RecordError(
            "the sweep's declaration is torn or was altered (its digest does not fit); "
            "restore the tags lepton.declaration* of its ledger run",
            tags=[key for key in tags if key.startswith(DECLARATION)],
        )
    try:
        record = read_object(text)
        refuse_newer(record, "the sweep")
        return Declaration.from_record(record)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(
            f"the sweep's declaration is not one: {shown(str(error))}; its digest fits, so it was "
            "not Lepton that wrote it",
            found=shown(text),
        ) from error


def read_settings(text: str) -> Settings | None:
    """The settings in a register, or None where it holds something else."""
    try:
        settings = Settings.from_record(read_object(text))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return settings if _are_settings(settings) else None


def _are_settings(settings: Settings) -> bool:
    texts: tuple[Any, ...] = (settings.objective, settings.code_digest, settings.file)
    budgets = [settings.budget, *([settings.nightly] if settings.nightly else [])]
    return (
        all(text is None or isinstance(text, str) for text in texts)
        and all(b.trials is None or is_whole(b.trials) for b in budgets)
        and all(b.hours is None or is_number(b.hours) for b in budgets)
        and is_whole(settings.workers)
        and (settings.timeout is None or is_number(settings.timeout))
    )


def proposal_tags(proposal: Proposal) -> dict[str, str]:
    """The exact proposal as tags, for the one call that makes the run."""
    return long_tag(PROPOSAL, proposal_text(proposal))


def read_proposal(tags: Mapping[str, str], declaration: Declaration) -> Proposal | None:
    """The proposal in a run's tags, or None if it is torn, altered or impossible."""
    text = read_long_tag(tags, PROPOSAL)
    if text is None:
        return None
    try:
        content = read_object(text)
        # JSON sorted the names; the space knows their order and types.
        content["params"] = declaration.space.validate(content["params"])
        proposal = Proposal(**content)
    except (ValueError, LookupError, TypeError, AttributeError):  # a SpaceError is a ValueError
        return None
    numbers = (proposal.generation, proposal.slot, proposal.slots, proposal.number)
    proposer: Any = proposal.proposer
    origin: Any = proposal.origin
    sound = (
        all(map(is_whole, numbers))
        and proposal.slot < proposal.slots
        and is_whole(proposal.seed, below=2**31)
        and isinstance(proposer, str)
        and isinstance(origin, dict)
    )
    return proposal if sound else None


def outcome_text(record: TrialRecord, epoch: int) -> str:
    """The driver's own result record, without which a trial does not count."""
    return canonical_json(
        {
            "attempt": record.attempt,
            "value": record.value,
            "failure": asdict(record.failure) if record.failure else None,
            "duration_s": record.duration_s,
            "epoch": epoch,
        }
    )


def read_outcome(text: str | None, proposal: Proposal) -> TrialRecord | None:
    """The result record of a run, or None if the driver made none."""
    if text is None:
        return None
    try:
        content = read_object(text)
        failure = content["failure"]
        record = TrialRecord(
            proposal=proposal,
            attempt=content["attempt"],
            value=content["value"],
            failure=Failure(kind=failure["kind"], reason=failure["reason"]) if failure else None,
            duration_s=content["duration_s"],
        )
    except (ValueError, LookupError, TypeError):
        return None
    return record if _is_result(record) else None


def _is_result(record: TrialRecord) -> bool:
    failure: Any = record.failure
    return (
        is_whole(record.attempt)
        and is_number(record.duration_s)
        and (is_number(record.value) if failure is None else record.value is None)
        and (
            failure is None
            or (failure.kind in get_args(FailureKind) and isinstance(failure.reason, str))
        )
    )
