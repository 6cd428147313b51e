"""A ledger run that cannot be read as a whole: which record is at fault, and what still stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lepton_core.canonical import canonical_json, digest, shown
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_tasks import records
from lepton_tasks.attempts import find_ledgers, find_runs
from lepton_tasks.doctor import by_hand
from lepton_tasks.doctor.findings import Finding, Repair
from lepton_tasks.gaps import Gap, gap
from lepton_tasks.host import Process
from lepton_tasks.lookup import run_or_none
from lepton_tasks.records import Claim, claims, reopened_key
from lepton_tasks.register import Entry
from lepton_tasks.seals import HEADER, Seal, entitled, seal_key, seals
from lepton_tasks.store import Store
from lepton_tasks.sweep_record import PARENTS
from lepton_tasks.untrusted import read_object

BACKUP = "restore a backup of the store, or import an export of the sweep"
RESTORED = "restored"  # the host of a driver whose claim had to be inferred


def unreadable_findings(store: Store, entry: Entry) -> Iterator[Finding]:
    """Why a sweep's ledger run cannot be read: the first thing that is in the way.

    Raises:
        RecordError: It is of a later schema: nothing is wrong with it.
    """
    run = run_or_none(store.client, entry.ledger)
    if run is None:
        yield Finding(
            what="the ledger run",
            found="gone for good",
            recorded=shown(entry.ledger),
            run_id=entry.ledger,
            meaning="blocked",
            remedy=BACKUP,
        )
        return
    declaration = _declaration(run, entry)
    if declaration is None:
        yield _torn_declaration(store, entry, run)
        return
    params = run.data.params
    altered = [*_altered_claims(entry, params)]
    yield from altered
    if not altered:
        yield from _chain(entry, declaration, params)


def _declaration(run: Any, entry: Entry) -> Declaration | None:
    if run.data.tags.get(records.DECLARATION + records.DIGEST) != entry.digest:
        return None
    try:
        return records.read_declaration(run.data.tags)
    except RecordError as error:
        if "schema" in error.values:
            raise
        return None


# -- the declaration ---------------------------------------------------------------------------


def _torn_declaration(store: Store, entry: Entry, run: Any) -> Finding:
    """The declaration is torn; whoever has a copy with the registered digest can restore it."""
    copy = next(_copies(store, entry, run.data.params), None)
    repairs = []
    if copy is not None:
        tags = records.long_tag(records.DECLARATION, copy)
        beyond = [
            key
            for key in run.data.tags
            if key.startswith(f"{records.DECLARATION}.") and key not in tags
        ]
        repairs = [
            *(
                Repair(action="set tag", target=entry.ledger, key=key, value=text)
                for key, text in tags.items()
                if run.data.tags.get(key) != text
            ),
            *(Repair(action="remove tag", target=entry.ledger, key=key) for key in beyond),
        ]
    return Finding(
        what="the declaration in the ledger run",
        found="torn, or altered",
        recorded=f"one with the registered digest {shown(entry.digest)}",
        run_id=entry.ledger,
        meaning="blocked",
        remedy="" if repairs else f"no whole copy is left on the parent run; {BACKUP}",
        repairs=repairs,
    )


def _copies(store: Store, entry: Entry, params: Mapping[str, str]) -> Iterator[str]:
    """The declaration's text as other runs hold it, where it gives the registered digest."""
    named = [params[key] for key in params if PARENTS.fullmatch(key)]
    runs = [run_or_none(store.client, run_id) for run_id in named]
    condition = f"tags.`{records.KIND}` = 'sweep' and tags.`{records.SWEEP}` = '{entry.name}'"
    runs += find_runs(store.client, store.experiment_id, condition)
    runs += find_ledgers(store.client, store.ledger_id, entry.name)
    for run in runs:
        text = records.read_long_tag(run.data.tags, records.DECLARATION) if run else None
        if text is not None and digest(text) == entry.digest:
            yield text


# -- claims ------------------------------------------------------------------------------------


def _altered_claims(entry: Entry, params: Mapping[str, str]) -> Iterator[Finding]:
    for key in sorted(params):
        try:
            claims({key: params[key]})
        except RecordError as error:
            if "schema" in error.values:
                raise
            yield Finding(
                what=f"record {key}",
                found=shown(params[key]),
                recorded="a driver's claim",
                run_id=entry.ledger,
                meaning="blocked",
                remedy="no other record has it, and MLflow writes a param once. Either "
                f"{BACKUP}; or take it out of the database with "
                f"{by_hand.take_out_param(entry.ledger, key)} and "
                f"'lepton doctor {entry.name} --repair' infers it from the seals if they prove it",
            )


def _inferred_claim(
    entry: Entry, declaration: Declaration, params: Mapping[str, str], missing: Gap
) -> list[Repair]:
    """The claim that the chain of seals proves: with it, and no other, they follow one another."""
    epoch = int(missing.key.removeprefix("epoch/"))
    released = params.get(records.released_key(epoch))
    known = claims(params)
    headers = [match for key in sorted(params) if (match := HEADER.fullmatch(key))]
    sealed = [int(match[1]) for match in headers if int(match[2]) == epoch]
    after = [claim.from_generation for claim in known if claim.epoch > epoch]
    for generation in [*sealed, *after, len(sealed_prefix(entry, declaration, params)), 0]:
        claim = Claim(
            epoch=epoch,
            owner=released or f"restored {epoch}",
            process=Process(RESTORED, RESTORED, 0, ""),
            ttl_s=1.0,
            from_generation=generation,
            claimed_at="",
            environment={},
        )
        whole = {**params, missing.key: claim.text()}
        prefix = sealed_prefix(entry, declaration, whole)
        left = gap(whole, len(prefix))
        later = left is not None and left.key.startswith("epoch/") and left.key > missing.key
        if (left is None or later) and _sound(entry, declaration, whole):
            texts = {missing.key: claim.text(), records.released_key(epoch): claim.owner}
            return [
                Repair(action="log param", target=entry.ledger, key=key, value=text)
                for key, text in texts.items()
                if key not in params
            ]
    return []


def mistaken_claim(
    entry: Entry, declaration: Declaration, params: Mapping[str, str]
) -> Finding | None:
    """The claim that hides seals, which follow one another if it began where they show.

    Whoever edits the beginning of a claim, or adds a claim, takes no seal out: all are chained.
    """
    proven = len(sealed_prefix(entry, declaration, params))
    for claim in claims(params):
        key = records.epoch_key(claim.epoch)
        begin = _beginning(entry, declaration, params, claim)
        if begin is None:
            continue
        text = replace(claim, from_generation=begin).text()
        whole = {**params, key: text}
        sealed = len(sealed_prefix(entry, declaration, whole))
        if sealed > proven and not gap(whole, sealed) and _sound(entry, declaration, whole):
            return Finding(
                what=f"record {key}",
                found=f"a claim from generation {claim.from_generation} on",
                recorded=f"one from generation {begin} on, as the chain of {sealed} seals shows",
                run_id=entry.ledger,
                meaning="blocked",
                remedy=f"{by_hand.WRITE_ONCE}: {by_hand.set_param(entry.ledger, key, text)}",
                reopens=proven,
            )
    return None


def _beginning(
    entry: Entry, declaration: Declaration, params: Mapping[str, str], claim: Claim
) -> int | None:
    """Where a claim began, by the seals: at the first of its epoch, or else after all others'."""
    headers = [match for key in params if (match := HEADER.fullmatch(key))]
    own = [int(match[1]) for match in headers if int(match[2]) == claim.epoch]
    if own:
        return min(own)
    if reopened_key(claim.epoch) in params:
        return None
    key = records.epoch_key(claim.epoch)
    others = {other: text for other, text in params.items() if other != key}
    return len(sealed_prefix(entry, declaration, others))


def sealed_prefix(entry: Entry, declaration: Declaration, params: Mapping[str, str]) -> list[Seal]:
    """The seals from the first on, as far as the chain holds."""
    found: list[Seal] = []
    try:
        for seal in seals(params, declaration, entry.digest):
            found.append(seal)  # noqa: PERF402  (what came before the broken one is kept)
    except RecordError as error:
        if "schema" in error.values:
            raise
    return found


def _sound(entry: Entry, declaration: Declaration, params: Mapping[str, str]) -> bool:
    try:
        return all(True for _ in seals(params, declaration, entry.digest))
    except RecordError:
        return False


# -- seals -------------------------------------------------------------------------------------


def _chain(entry: Entry, declaration: Declaration, params: Mapping[str, str]) -> Iterator[Finding]:
    """Where the chain of claims and seals breaks."""
    valid = sealed_prefix(entry, declaration, params)
    missing = gap(params, len(valid))
    if missing is not None and missing.key.startswith("epoch/"):
        repairs = _inferred_claim(entry, declaration, params, missing)
        yield Finding(
            what=missing.what,
            found="missing",
            recorded=f"one, as {missing.known_by}",
            run_id=entry.ledger,
            meaning="blocked",
            remedy="" if repairs else f"the seals do not prove what it was; {BACKUP}",
            repairs=repairs,
        )
        return
    mistaken = mistaken_claim(entry, declaration, params)
    if mistaken is not None:
        yield mistaken
        return
    broken = len(valid)
    key = seal_key(broken, entitled(claims(params), broken))
    previous = valid[-1].hash if valid else entry.digest
    if key in params:
        yield _broken(entry, broken, "altered: it does not give its hash, or breaks the chain")
    elif missing is not None:
        header = _proven_header(params, key, previous)
        if header is None:
            yield _broken(entry, broken, f"missing, though {missing.known_by}")
        else:
            yield Finding(
                what=f"the header of the seal of generation {broken}",
                found="missing",
                recorded="one, whose hash the next seal is chained to",
                run_id=entry.ledger,
                meaning="blocked",
                repairs=[Repair(action="log param", target=entry.ledger, key=key, value=header)],
            )


def _broken(entry: Entry, generation: int, found: str) -> Finding:
    stands = (
        f"generations 0 to {generation - 1} are proven"
        if generation > 1
        else "generation 0 is proven"
        if generation
        else "no generation is proven"
    )
    return Finding(
        what=f"the seal of generation {generation}",
        found=found,
        recorded=f"a chain of seals; {stands}, from {generation} on it is broken",
        run_id=entry.ledger,
        meaning="blocked",
        remedy=f"{BACKUP}; or go on from there with --reopen: the results of generation "
        f"{generation} stand on their runs, later ones are evaluated again, from the same "
        "proposals",
        reopens=generation,
    )


def _proven_header(params: Mapping[str, str], key: str, previous: str) -> str | None:
    """A seal's header made again from its parts, if a later seal is chained to its hash."""
    parts = sorted(other for other in params if other.startswith(f"{key}/"))
    if parts != [f"{key}/{part:04d}" for part in range(len(parts))] or not parts:
        return None
    try:
        chained = digest(previous + "".join(params[part] for part in parts))
    except UnicodeEncodeError:
        return None
    following = f"seal/{int(key.split('/')[1]) + 1:08d}/"
    for other in params:
        if other.startswith(following) and len(other) == len(key):
            try:
                if read_object(params[other]).get("previous") == chained:
                    content = {"hash": chained, "previous": previous, "count": len(parts)}
                    return canonical_json(content)
            except ValueError:
                continue
    return None
