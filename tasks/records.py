"""The ledger's records as text: tags of runs, and the claims of drivers.

Everything here is data (JSON), with digests where it matters. The schema is described in
``docs/schema.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard, get_args

from lepton_core.canonical import Params, canonical_json, digest, shown
from lepton_core.declaration import SCHEMA, Declaration, Settings
from lepton_core.errors import RecordError
from lepton_core.events import Failure, FailureKind, Proposal, TrialRecord
from lepton_core.recorded import MAX_COUNT, Fields, is_plain_json, is_short_text
from lepton_core.verification import proposal_text
from lepton_tasks.host import Process
from lepton_tasks.untrusted import MAX_JSON, is_number, is_whole, read_object

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
MAX_EPOCH = 999_999  # six digits
MAX_PID = 2**31 - 1
LEAST_TTL_S, MAX_TTL_S = 0.01, 86_400.0
MAX_PROPOSAL_SEED = 2**31 - 1
MAX_REASON = 8000  # characters of a failure's reason
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,255}")  # no folder's name, no quote, no slash


def long_tag(key: str, text: str) -> dict[str, str]:
    """A text as tags: pieces that stores accept, and its digest, all for one `create_run`."""
    pieces = [text[i : i + MAX_TAG] for i in range(0, len(text), MAX_TAG)]
    tags = {key if i == 0 else f"{key}.{i}": piece for i, piece in enumerate(pieces)}
    return {**tags, key + DIGEST: digest(text)}


def read_long_tag(tags: Mapping[str, str], key: str) -> str | None:
    """The text that `long_tag` wrote, or None if it is missing, in part or altered."""
    text, i = tags.get(key, ""), 1
    while f"{key}.{i}" in tags and len(text) <= MAX_JSON:
        text += tags[f"{key}.{i}"]
        i += 1
    whole = len(text) <= MAX_JSON and digest(text) == tags.get(key + DIGEST)
    return text if whole else None


def is_run_id(value: object) -> TypeGuard[str]:
    """Whether a value can be a run's id: it stands in searches, URLs and paths."""
    return isinstance(value, str) and RUN_ID.fullmatch(value) is not None


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
    """The register that claims an epoch.

    Raises:
        RecordError: There is no such epoch.
    """
    if epoch > MAX_EPOCH:
        raise RecordError(
            f"epoch {MAX_EPOCH} of the sweep is claimed, which no driver of ours got to; "
            "declare a new sweep",
            epoch=epoch,
        )
    return f"epoch/{epoch:06d}"


def settings_key(epoch: int) -> str:
    """The register of the settings that an epoch's driver works with."""
    return f"settings/{epoch:06d}"


def released_key(epoch: int) -> str:
    """The register by which an epoch's driver leaves cleanly."""
    return f"released/{epoch:06d}"


def reopened_key(epoch: int) -> str:
    """The register by which a doctor says that its epoch begins at an earlier seal on purpose."""
    return f"reopened/{epoch:06d}"


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
        try:
            return cls._parse(Fields(read_object(text), "it"))
        except RecordError as error:
            raise ValueError(f"not a claim: {error.message}") from None

    @classmethod
    def _parse(cls, fields: Fields) -> Claim:
        process, environment = fields.below("process"), fields.below("environment")
        return cls(
            epoch=fields.whole("epoch", 1, MAX_EPOCH),
            owner=fields.text("owner"),
            process=Process(
                host=process.text("host"),
                boot=process.text("boot"),
                pid=process.whole("pid", 0, MAX_PID),
                started=process.text("started"),
            ),
            ttl_s=fields.number("ttl_s", LEAST_TTL_S, MAX_TTL_S),
            from_generation=fields.whole("from_generation"),
            claimed_at=fields.text("claimed_at"),
            environment={name: environment.text(name) for name in fields.map("environment")},
        )


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
        return Settings.from_record(read_object(text))
    except (ValueError, RecordError):
        return None


def trial_tags(
    proposal: Proposal, attempt: int, *, sweep: str, parent: str | None, epoch: int, base: str
) -> dict[str, str]:
    """What the tags of a trial's run say of its place, beside the exact proposal.

    Args:
        proposal: The trial.
        attempt: Which attempt at it the run is.
        sweep: The sweep's name.
        parent: The sweep's parent run; None leaves it out.
        epoch: The driver that made the run.
        base: The hash of the seal that the proposal was made from.
    """
    return {
        KIND: "trial",
        SWEEP: sweep,
        GENERATION: str(proposal.generation),
        SLOT: str(proposal.slot),
        ATTEMPT: str(attempt),
        PROPOSER: proposal.proposer,
        NUMBER: str(proposal.number),
        SEED: str(proposal.seed),
        BASE: base,
        EPOCH: str(epoch),
        **({PARENT_RUN: parent} if parent else {}),
    }


def proposal_tags(proposal: Proposal) -> dict[str, str]:
    """The exact proposal as tags, for the one call that makes the run."""
    return long_tag(PROPOSAL, proposal_text(proposal))


def read_proposal(tags: Mapping[str, str], declaration: Declaration) -> Proposal | None:
    """The proposal in a run's tags, or None if it is torn, altered or impossible."""
    text = read_long_tag(tags, PROPOSAL)
    if text is None:
        return None
    try:
        fields = Fields(read_object(text), "a proposal")
        slot = fields.whole("slot")
        return checked_proposal(
            generation=fields.whole("generation"),
            slot=slot,
            slots=fields.whole("slots", slot + 1, declaration.generation),
            number=fields.whole("number", slot),
            # JSON sorted the names; the space knows their order and types.
            params=declaration.space.validate(fields.map("params")),
            proposer=fields.content.get("proposer"),
            origin=fields.content.get("origin"),
            seed=fields.content.get("seed"),
        )
    except (ValueError, RecordError):  # a SpaceError is a ValueError
        return None


def checked_proposal(
    *, params: Params, proposer: Any, origin: Any, seed: Any, **place: int
) -> Proposal:
    """A proposal of params that were checked, and of what else was recorded of it.

    Raises:
        ValueError: Its proposer, origin or seed is nothing that Lepton writes.
    """
    if not is_short_text(proposer):
        raise ValueError(f"the proposer {shown(proposer)}")
    if not isinstance(origin, Mapping) or not is_plain_json(origin):
        raise ValueError(f"the origin {shown(origin)}")
    if not is_whole(seed, below=MAX_PROPOSAL_SEED + 1):
        raise ValueError(f"the seed {shown(seed)}")
    return Proposal(params=params, proposer=proposer, origin=origin, seed=seed, **place)


def checked_trial(
    proposal: Proposal, *, attempt: Any, value: Any, failure: Any, duration_s: Any
) -> TrialRecord:
    """A trial's record as it was written: `failure` is a pair of its kind and reason, or None.

    Raises:
        ValueError: A part of it is nothing that Lepton writes.
    """
    if failure is not None:
        kind, reason = failure
        if kind not in get_args(FailureKind) or not (
            isinstance(reason, str) and len(reason) <= MAX_REASON
        ):
            raise ValueError(f"the failure {shown(failure)}")
        failure = Failure(kind=kind, reason=reason)
    if not (is_number(value) if failure is None else value is None):
        raise ValueError(f"the value {shown(value)}")
    if not is_whole(attempt, below=MAX_COUNT) or not is_number(duration_s):
        raise ValueError(f"the attempt {shown(attempt)}, the duration {shown(duration_s)}")
    return TrialRecord(
        proposal=proposal, attempt=attempt, value=value, failure=failure, duration_s=duration_s
    )


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
        return checked_trial(
            proposal,
            attempt=content["attempt"],
            value=content["value"],
            failure=(failure["kind"], failure["reason"]) if failure else None,
            duration_s=content["duration_s"],
        )
    except (ValueError, LookupError, TypeError):
        return None
