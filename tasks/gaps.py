"""What is missing from a ledger run, as the records that are still there tell.

Claims and seals follow one another without a gap, so one that was taken out from among the others
leaves a hole. A last seal leaves none here; what its generation's successors and the parent run
tell of it, `lepton_tasks.doctor.audit` holds against the seals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lepton_core.errors import RecordError
from lepton_tasks.records import claims, epoch_key
from lepton_tasks.seals import HEADER, entitled, seal_key

_OF_AN_EPOCH = re.compile(r"(?:epoch|settings|released|reopened|seal/[0-9]{8})/([0-9]{6})")


@dataclass(frozen=True, slots=True)
class Gap:
    """A record that was taken out.

    Attributes:
        key: The ledger run's param.
        what: The record, for people.
        known_by: What shows that it was there.
    """

    key: str
    what: str
    known_by: str


def gap(params: Mapping[str, str], sealed: int) -> Gap | None:
    """The first record that is missing from among others, or None.

    Args:
        params: The ledger run's.
        sealed: How many generations have a valid seal, from the first on without a gap.

    Raises:
        RecordError: A claim cannot be read.
    """
    return _missing_claim(params) or _missing_seal(params, sealed)


def check_whole(name: str, params: Mapping[str, str], sealed: int) -> None:
    """Do nothing if no record is missing from among others.

    Raises:
        RecordError: One is; names it, and what shows that it was there.
    """
    found = gap(params, sealed)
    if found is not None:
        raise RecordError(
            f"{found.what} of sweep {name!r} is missing, though {found.known_by}: the record "
            f"{found.key} of the ledger run was taken out, or a claim was edited; "
            f"'lepton doctor {name}' says what can be done",
            key=found.key,
            name=name,
        )


def _missing_claim(params: Mapping[str, str]) -> Gap | None:
    held = {claim.epoch for claim in claims(params)}
    named = [(int(match[1]), key) for key in params if (match := _OF_AN_EPOCH.fullmatch(key))]
    # A claim shows that there was one before it: epochs are counted from 1.
    shown = {epoch - 1: key for epoch, key in named} | dict(named)
    for epoch in sorted(shown):
        if epoch > 0 and epoch not in held:
            what = f"the claim of epoch {epoch}"
            return Gap(epoch_key(epoch), what, f"there is {shown[epoch]}")
    return None


def _missing_seal(params: Mapping[str, str], sealed: int) -> Gap | None:
    claimed = claims(params)
    if not claimed:
        return None
    key = seal_key(sealed, entitled(claimed, sealed))
    what = f"the seal of generation {sealed}"
    for other in sorted(params):
        header = HEADER.fullmatch(other)
        if (
            header
            and int(header[1]) > sealed
            and int(header[2]) == entitled(claimed, int(header[1]))
        ):
            return Gap(key, what, f"generation {int(header[1])} was sealed after it")
    last = claimed[-1]
    if last.from_generation > sealed:
        known_by = f"epoch {last.epoch} began at generation {last.from_generation}"
        return Gap(key, what, known_by)
    return None
