"""Snapshots: the fold's state in the ledger, so that a long sweep goes on at once.

A snapshot is derived and can be lost: it is the text of `lepton_core.snapshot` in write-once params
of the ledger run, beside the seals, its header written last. The header says which seal it follows
and in which environment it was made. One that is torn, altered, of another environment or version,
or that does not go on, is passed over without a word, and the seals are folded from the beginning.
`verify` trusts none of them.

What was tried is read from the seals' rows in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lepton_core.canonical import canonical_json, digest
from lepton_core.declaration import Declaration
from lepton_core.errors import RecordError
from lepton_core.events import SweepDeclared
from lepton_core.fold import SweepState, evolve, replay
from lepton_core.plan import plan
from lepton_core.proposers.base import Seen
from lepton_core.snapshot import MAX_TEXT, decode, encode
from lepton_tasks.environment import environment
from lepton_tasks.seals import Seals
from lepton_tasks.untrusted import read_object
from lepton_tasks.write_once import MAX_VALUE

EVERY = 50  # generations, at least, from one snapshot to the next
SHARE = 8  # a snapshot is kept when the seals since the last one are so many times as long
PREFIX = "snapshot/"
MAX_PARTS = MAX_TEXT // MAX_VALUE + 1


def snapshot_key(generations: int, epoch: int) -> str:
    """The register of a snapshot's header; its parts are below it."""
    return f"{PREFIX}{generations:08d}/{epoch:06d}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state's text, as read from the ledger.

    Attributes:
        generations: How many generations it is the state after.
        text: What is there; of no use unless it `holds`.
        holds: Whether its text has the digest that was recorded.
        here: Whether it was made in this environment, where alone it can be compared.
    """

    key: str
    generations: int
    text: str
    holds: bool
    here: bool


def snapshot_texts(state: SweepState, head: str) -> tuple[list[str], str] | None:
    """A snapshot as the texts of its parts and of its header; None for one that is too long.

    Args:
        state: The state after a seal.
        head: That seal's hash.
    """
    text = encode(state)
    if len(text) > MAX_TEXT:
        return None
    parts = [text[i : i + MAX_VALUE] for i in range(0, len(text), MAX_VALUE)]
    header = {"digest": digest(text), "head": head, "count": len(parts), "environment": made_here()}
    return parts, canonical_json(header)


def snapshots(params: Mapping[str, str], seals: Seals) -> Iterator[Snapshot]:
    """The snapshots of this history, newest first; those of another are passed over."""
    here, length = made_here(), len(snapshot_key(0, 0))
    keys = (key for key in params if key.startswith(PREFIX) and len(key) == length)
    for key in sorted(keys, reverse=True):
        try:
            header = read_object(params[key])
            generations = int(key.split("/")[1])
            if not 0 < generations <= len(seals) or header["head"] != seals.head(generations):
                continue
            count = header["count"]
            if type(count) is not int or not 0 < count <= MAX_PARTS:
                continue
            text = "".join(params.get(f"{key}/{part:04d}", "") for part in range(count))
            holds = digest(text) == header["digest"]
            yield Snapshot(key, generations, text, holds, header["environment"] == here)
        except (ValueError, KeyError, TypeError):
            continue


def fold(params: Mapping[str, str], declaration: Declaration, seals: Seals) -> SweepState:
    """The state after the last seal: that of the newest snapshot, and the seals after it.

    Raises:
        RecordError: There is no snapshot that holds, and the seals do not follow one another.
    """
    for snapshot in snapshots(params, seals):
        if not (snapshot.holds and snapshot.here):
            continue
        try:
            return _from(snapshot, declaration, seals)
        except Exception:  # noqa: BLE001, S112  (whatever a stranger wrote: there are the seals)
            continue
    return _after(replay([SweepDeclared(declaration=declaration)]), seals)


def _from(snapshot: Snapshot, declaration: Declaration, seals: Seals) -> SweepState:
    """The state by a snapshot, which has shown that it can propose.

    Raises:
        RecordError: It does not belong here.
    """
    done = snapshot.generations
    seen, trials = Seen(), 0
    for generation in range(done):
        keys = seals.keys(generation)
        seen, trials = seen.and_also(keys), trials + len(keys)
    state = decode(snapshot.text, declaration, seen)
    if (state.generations_done, state.trials_done) != (done, trials):
        raise RecordError(f"{snapshot.key} is not the state after {done} generations", key=done)
    state = _after(state, seals)
    plan(state, declaration.generation)
    return state


def _after(state: SweepState, seals: Seals) -> SweepState:
    for seal in seals.after(state.generations_done, state.trials_done):
        state = evolve(state, seal.event)
    return state


def differing(
    params: Mapping[str, str], seals: Seals
) -> Callable[[SweepState], Iterator[Snapshot]]:
    """What holds the snapshots against the states of a replay, one after the other.

    Returns:
        A function that gives, for a state, those of its snapshots that hold another, or are torn.
    """
    known: dict[int, list[Snapshot]] = {}
    for snapshot in snapshots(params, seals):
        known.setdefault(snapshot.generations, []).append(snapshot)

    def compare(state: SweepState) -> Iterator[Snapshot]:
        for snapshot in known.get(state.generations_done, ()):
            if not snapshot.holds or (snapshot.here and snapshot.text != encode(state)):
                yield snapshot

    return compare


def made_here() -> str:
    """The environment of here, in short: elsewhere the same seals may give other last digits."""
    return digest(canonical_json(environment()))


class Keeper:
    """Decides when a driver keeps a snapshot.

    Often enough that few seals are left to be folded, seldom enough to be a small part of the
    ledger.

    Args:
        params: The ledger run's params as the driver found them.
        seals: The seals among them.
    """

    def __init__(self, params: Mapping[str, str], seals: Seals) -> None:
        usable = (s for s in snapshots(params, seals) if s.holds and s.here)
        newest = next(usable, None)
        self._last = newest.generations if newest else 0
        self._size = len(newest.text) if newest else 0
        self._sealed = sum(len(seals.text(g)) for g in range(self._last, len(seals)))

    def sealed(self, state: SweepState, head: str, characters: int) -> tuple[list[str], str] | None:
        """The snapshot to keep now, after a generation of so many characters; or None."""
        self._sealed += characters
        if state.generations_done - self._last < EVERY or self._sealed < SHARE * self._size:
            return None
        texts = snapshot_texts(state, head)
        self._last, self._sealed = state.generations_done, 0
        self._size = sum(map(len, texts[0])) if texts else MAX_TEXT
        return texts
