"""The ledger's records as text: tags of runs, and the claims of drivers.

Everything here is data (JSON), with digests where it matters. The schema is described in
``docs/schema.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lepton_core.canonical import canonical_json, digest
from lepton_core.declaration import SCHEMA, Declaration, Settings
from lepton_core.errors import RecordError, SpaceError
from lepton_core.events import Failure, Proposal, TrialRecord
from lepton_core.verification import proposal_text
from lepton_tasks.host import Process

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
RESULT = "lepton.result"
KILLED = "lepton.killed"
CANCEL = "lepton.cancel"
HEARTBEAT = "lepton.heartbeat"
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
    return text if digest(text) == tags.get(key + DIGEST) else None


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
        """Read a register."""
        content = json.loads(text)
        return cls(**{**content, "process": Process(**content["process"])})


def claims(params: Mapping[str, str]) -> list[Claim]:
    """The claims among the ledger run's params, in the order of epochs."""
    keys = sorted(key for key in params if key.startswith("epoch/"))
    return [Claim.parse(params[key]) for key in keys]


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
    record = json.loads(text)
    if record["schema"] > SCHEMA:
        raise RecordError(
            f"the sweep has schema {record['schema']}; this Lepton reads up to {SCHEMA}. "
            "Upgrade Lepton to read it.",
            schema=record["schema"],
        )
    return Declaration.from_record(record)


def read_settings(text: str) -> Settings:
    """The settings in a register."""
    return Settings.from_record(json.loads(text))


def proposal_tags(proposal: Proposal) -> dict[str, str]:
    """The exact proposal as tags, for the one call that makes the run."""
    return long_tag(PROPOSAL, proposal_text(proposal))


def read_proposal(tags: Mapping[str, str], declaration: Declaration) -> Proposal | None:
    """The proposal in a run's tags, or None if it is torn, altered or impossible."""
    text = read_long_tag(tags, PROPOSAL)
    if text is None:
        return None
    content = json.loads(text)
    try:
        # JSON sorted the names; the space knows their order and types.
        content["params"] = declaration.space.validate(content["params"])
    except SpaceError:
        return None
    return Proposal(**content)


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
        content = json.loads(text)
        failure = content["failure"]
        return TrialRecord(
            proposal=proposal,
            attempt=content["attempt"],
            value=content["value"],
            failure=Failure(**failure) if failure else None,
            duration_s=content["duration_s"],
        )
    except (ValueError, KeyError, TypeError):
        return None
