"""One driver at a time: claims by epoch, a heartbeat, and the certainty of being replaced.

A claim is a write-once register, so of many drivers that claim an epoch one wins. The holder of the
highest epoch is the driver. It beats a counter into the store; others judge it dead when the
counter stands still for the time to live *on their own clock*: no two machines' clocks are
compared. A driver that slept through its lease finds a higher epoch and stops; what it sealed
meanwhile does not count (see `lepton_tasks.seals`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lepton_core.errors import DrivenElsewhereError, LeaseLostError, RecordError
from lepton_tasks import records, write_points
from lepton_tasks.duration import seconds_from
from lepton_tasks.environment import environment
from lepton_tasks.host import life, this_process
from lepton_tasks.records import MAX_TTL_S, Claim, claims, epoch_key, released_key
from lepton_tasks.store_client import StoreClient
from lepton_tasks.write_once import write_once

TTL_S = 30.0
TTL_VARIABLE = "LEPTON_LEASE_SECONDS"
BEATS_PER_TTL = 6
LOOKS_PER_BEAT = 4
_left: set[str] = set()
"""The owners of this process's leases that are over, whether or not the store could be told."""


def time_to_live() -> float:
    """Seconds after which a silent driver may be replaced: 30, or LEPTON_LEASE_SECONDS."""
    return min(MAX_TTL_S, seconds_from(TTL_VARIABLE, usual=TTL_S, least=1.0))


def now() -> float:
    """Seconds that go on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Holder:
    """The latest claim on a sweep and what is known of its driver."""

    claim: Claim
    released: bool
    beat: str | None


def holder(params: Mapping[str, str], tags: Mapping[str, str]) -> Holder | None:
    """Who holds a sweep, from the ledger run's params and tags; None before the first claim."""
    known = claims(params)
    if not known:
        return None
    claim = known[-1]
    return Holder(
        claim,
        params.get(released_key(claim.epoch)) == claim.owner,
        tags.get(f"{records.HEARTBEAT}.{claim.epoch:06d}"),
    )


def is_driven(params: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Whether somebody seems to drive, at a glance: its process lives, or may live elsewhere."""
    held = holder(params, tags)
    return held is not None and not held.released and life(held.claim.process) != "dead"


class Lease:
    """The right to drive one sweep, held by this process until it is released or lost.

    Args:
        client: The store's client.
        run_id: The sweep's ledger run.
        claim: The claim that was won.
        experiment_id: The ledger run's experiment.
    """

    def __init__(
        self, client: StoreClient, run_id: str, claim: Claim, *, experiment_id: str
    ) -> None:
        self.client, self.run_id, self.claim = client, run_id, claim
        self.experiment_id = experiment_id
        self._hasty = client.hasty()
        self._confirmed = now()
        self._lost: Claim | None = None
        self._beats = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop_driving: Callable[[str], None] = lambda _: None

    @property
    def epoch(self) -> int:
        """The claim's number, from 1."""
        return self.claim.epoch

    def start(self, stop_driving: Callable[[str], None]) -> None:
        """Beat in the background; call `stop_driving` with the reason when the driver must stop.

        That is when somebody asked for it, or took over.
        """
        self._stop_driving = stop_driving
        self._thread = threading.Thread(target=self._beat, name="lepton-heartbeat", daemon=True)
        self._thread.start()

    def check(self, *, certain: bool = False) -> None:
        """Do nothing while the lease is ours; look it up if that is in doubt.

        Args:
            certain: Look it up in any case.

        Raises:
            LeaseLostError: Another driver took over, or the lease was given back.
        """
        if self.claim.owner in _left:
            raise LeaseLostError(
                "this driver gave its lease back; nothing that it does now counts",
                epoch=self.epoch,
            )
        in_doubt = certain or now() - self._confirmed > self.claim.ttl_s / 2
        if self._lost is None and in_doubt:
            self._confirm(self.client)
        if self._lost is not None:
            other = self._lost
            raise LeaseLostError(
                f"this driver was away for longer than its lease ({self.claim.ttl_s:g} s), and "
                f"{who(other)} took over; nothing that this driver does now counts. "
                "Leave the sweep to the other one.",
                epoch=self.epoch,
                other=other.epoch,
            )

    def release(self) -> None:
        """Stop the heartbeat and let the next driver start at once.

        Where the store cannot be told, others wait for this process to end; it itself goes on when
        it likes.
        """
        _left.add(self.claim.owner)
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=self.claim.ttl_s)
        self._say_farewell()

    def _say_farewell(self) -> None:
        """Tell whoever drives next, or drives already, that this driver is out of the way."""
        key = released_key(self.epoch)
        write_once(self.client, write_points.RELEASED, self.run_id, key, self.claim.owner)

    def _beat(self) -> None:
        while not self._stop.wait(self.claim.ttl_s / BEATS_PER_TTL):
            try:
                self._confirm(self._hasty)
                if self._lost is not None:
                    self._stop_driving(f"{who(self._lost)} took over")
                    self._say_farewell()
                    return
                self._beats += 1
                key = f"{records.HEARTBEAT}.{self.epoch:06d}"
                self._hasty.set_tag(write_points.HEARTBEAT, self.run_id, key, str(self._beats))
            except Exception:  # noqa: BLE001, S112  (the store is away: the next beat tries again)
                continue

    def _confirm(self, client: StoreClient) -> None:
        asked = now()
        if not self._has_news(client):
            self._confirmed = asked
            return
        run = client.get_run(self.run_id)
        known = claims(run.data.params)
        if not known:
            raise RecordError("every claim on the sweep was taken out of its ledger run")
        latest = known[-1]
        if latest.epoch > self.epoch:
            self._lost = latest
            return
        self._confirmed = asked
        if run.data.tags.get(records.CANCEL) == str(self.epoch):
            self._stop_driving("cancelled by 'lepton cancel'")

    def _has_news(self, client: StoreClient) -> bool:
        """Whether there is a later claim, or a request to stop.

        The store is asked for just these: reading the whole ledger run takes a second when the
        history is long, and this is asked several times a minute.
        """
        later = f"params.`{epoch_key(self.epoch + 1)}` LIKE '%'"
        cancelled = f"tags.`{records.CANCEL}` = '{self.epoch}'"
        return any(
            client.search_runs(
                [self.experiment_id],
                f"attributes.run_id = '{self.run_id}' and {condition}",
                max_results=1,
            )
            for condition in (later, cancelled)
        )


def acquire(
    client: StoreClient,
    run_id: str,
    *,
    name: str,
    from_generation: Callable[[Mapping[str, str]], int],
    take_over: bool = False,
    say: Callable[[str], None] = lambda _: None,
    versions: Mapping[str, str] | None = None,
) -> Lease:
    """Become the driver.

    Args:
        client: The store's client.
        run_id: The sweep's ledger run.
        name: The sweep's name, for messages.
        from_generation: The first unsealed generation, from the ledger run's params.
        take_over: Do not wait for a silent driver, nor leave because of a live one.
        say: Told why this waits, once.
        versions: What the proposals of this epoch were made with, if not in this environment.

    Raises:
        DrivenElsewhereError: Another driver lives.
    """
    while True:
        run = client.get_run(run_id)
        params, tags = run.data.params, run.data.tags
        held = holder(params, tags)
        if held and not take_over:
            _wait_until_free(client, run_id, name, held, say)
        claim = Claim(
            epoch=held.claim.epoch + 1 if held else 1,
            owner=secrets.token_hex(16),
            process=this_process(),
            ttl_s=time_to_live(),
            from_generation=from_generation(params),
            claimed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=environment() if versions is None else versions,
        )
        text = claim.text()
        if write_once(client, write_points.CLAIM, run_id, epoch_key(claim.epoch), text) == text:
            lease = Lease(client, run_id, claim, experiment_id=run.info.experiment_id)
            if held and take_over:
                _await_farewell(client, run_id, held)
            return lease
        take_over = False  # somebody was faster: that one lives


def await_free(
    client: StoreClient, run_id: str, name: str, say: Callable[[str], None] = lambda _: None
) -> None:
    """Return when nobody drives the sweep.

    Raises:
        DrivenElsewhereError: A driver lives.
    """
    run = client.get_run(run_id)
    held = holder(run.data.params, run.data.tags)
    if held:
        _wait_until_free(client, run_id, name, held, say)


def _wait_until_free(
    client: StoreClient, run_id: str, name: str, held: Holder, say: Callable[[str], None]
) -> None:
    """Return when the sweep has no driver any more, or raise as soon as it shows that it has.

    A process of this machine that is gone is dead. One that runs is alive. Of one that is stopped,
    or elsewhere, the heartbeat tells. Only time in which the store answered counts as silence:
    while it was away, no driver could beat.
    """
    claim = held.claim
    look_every = claim.ttl_s / BEATS_PER_TTL / LOOKS_PER_BEAT
    silent, looked, asked = 0.0, now(), False
    while not held.released and claim.owner not in _left:
        state = life(claim.process)
        if state == "dead":
            return
        beat = held.beat
        run = client.get_run(run_id)
        silent, looked = silent + min(now() - looked, 2 * look_every), now()
        latest = holder(run.data.params, run.data.tags)
        if latest is None or latest.claim.epoch != claim.epoch or latest.beat != beat:
            state = "running"
        if state == "running":
            raise _driven_elsewhere(name, latest.claim if latest else claim)
        if (latest and latest.released) or silent > claim.ttl_s:
            return
        if not asked:
            say(f"{who(claim)} held this sweep; waiting up to {claim.ttl_s:g} s for a sign of it")
            asked = True
        time.sleep(look_every)


def leave_if_driven(params: Mapping[str, str], tags: Mapping[str, str], name: str) -> None:
    """Do nothing unless a process of this machine plainly drives: then there is nothing to try.

    Raises:
        DrivenElsewhereError: Another driver lives.
    """
    held = holder(params, tags)
    if held is not None and not held.released and life(held.claim.process) == "running":
        raise _driven_elsewhere(name, held.claim)


def _driven_elsewhere(name: str, claim: Claim) -> DrivenElsewhereError:
    return DrivenElsewhereError(
        f"sweep {name!r} is being driven by {who(claim)}, since {claim.claimed_at}.\n"
        f"Wait for it, or stop it with 'lepton cancel {name}'; 'lepton run' and 'lepton resume' "
        "may take over with --take-over.",
        name=name,
        driver=who(claim),
        since=claim.claimed_at,
    )


def _await_farewell(client: StoreClient, run_id: str, held: Holder) -> None:
    """Return when a driver whose lease was taken writes no more.

    It says so at its next heartbeat. One that says nothing looks its lease up before any write
    that is half its time to live away from the last time it did.
    """
    since, claim = now(), held.claim
    while now() - since <= claim.ttl_s / 2 and life(claim.process) != "dead":
        if released_key(claim.epoch) in client.get_run(run_id).data.params:
            return
        time.sleep(claim.ttl_s / BEATS_PER_TTL / LOOKS_PER_BEAT)


def who(claim: Claim) -> str:
    """A driver, for people."""
    return f"process {claim.process.pid} on {claim.process.host}"


def request_cancel(client: StoreClient, run_id: str, epoch: int) -> None:
    """Ask an epoch's driver to stop; it sees this at its next heartbeat."""
    client.set_tag(write_points.CANCEL, run_id, records.CANCEL, str(epoch))
