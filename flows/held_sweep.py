"""A sweep that this process drives: the lease is won, the ledger open, until it is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

from lepton_core.declaration import Declaration, Settings
from lepton_core.errors import LeaseLostError
from lepton_core.events import SettingsAmended
from lepton_core.fold import SweepState, evolve
from lepton_tasks import register
from lepton_tasks.lease import Lease, acquire
from lepton_tasks.ledger import MlflowLedger
from lepton_tasks.store import Store
from lepton_tasks.sweep_record import SweepRecord
from lepton_tasks.trial import StopSignal


class HeldSweep:
    """A sweep whose lease this process won. `start` begins to drive it, `leave` gives it back.

    Attributes:
        record: The sweep as it was read when the lease was won.
        ledger: Its record, to be written.
        state: The fold of its history, with this driver's settings.
        stop: How others ask this driver to stop.
        resumed: Whether the sweep was there before.
        left: Whether it was given back; it is once.
    """

    def __init__(
        self, record: SweepRecord, lease: Lease, settings: Settings, *, resumed: bool
    ) -> None:
        self.record, self.lease, self.settings = record, lease, settings
        self.resumed, self.left = resumed, False
        self._leaving = Lock()
        self.stop = StopSignal()
        self.ledger = MlflowLedger(record, lease)
        self.state: SweepState = evolve(record.state, SettingsAmended(settings=settings))

    @property
    def place(self) -> str:
        """The store, for people."""
        return self.record.store.address.place

    def start(self, say: Callable[[str], None]) -> None:
        """Wait for a store that is away, say so, and beat until `leave`."""
        self.record.store.client.be_patient(say, self.stop.wake)
        self.lease.start(stop_driving=self.stop.now)

    def leave(self, status: str) -> None:
        """End what is ours, and let the next driver start at once.

        A driver that lost its lease has nothing to end.
        """
        with self._leaving:
            if self.left:
                return
            self.left = True
        if self.stop.immediate:
            self.record.store.client.be_brief()
        try:
            self.ledger.end(status)
        except LeaseLostError:
            self.ledger.abandon()
        finally:
            try:
                self.lease.release()
            finally:
                self.stop.wake.set()


def hold(
    store: Store,
    declaration: Declaration,
    settings: Settings,
    *,
    found: SweepRecord | None,
    say: Callable[[str], None],
    take_over: bool = False,
) -> HeldSweep:
    """Win the lease of a sweep, which is registered first if the store does not know it.

    Args:
        store: The open store.
        declaration: The sweep.
        settings: How it is driven now.
        found: The sweep as the store has it, or None for a new one.
        say: Told what is waited for.
        take_over: Do not wait for, nor leave because of, another driver.

    Raises:
        IdentityError: A rival declared another sweep of that name a moment ago.
        DrivenElsewhereError: Another driver lives.
    """
    record = found or SweepRecord(store, register.enter(store, declaration))
    declaration.check_same_identity(record.declaration)  # a rival may have been faster
    lease = acquire(
        store.client,
        record.entry.ledger,
        name=declaration.name,
        from_generation=partial(_unsealed, record),
        take_over=take_over,
        say=say,
    )
    return HeldSweep(record, lease, settings, resumed=found is not None)


def _unsealed(record: SweepRecord, params: Mapping[str, str]) -> int:
    """The first generation without a seal; the record is then as of these params.

    From there on this driver's seals alone count, so what others write after it is nothing to read.
    """
    record.take(params, record.tags)
    return len(record.seals)
