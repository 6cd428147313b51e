"""The snapshots of a sweep held against what its seals give."""

from __future__ import annotations

from lepton_core.fold import SweepState, evolve
from lepton_tasks.doctor import by_hand
from lepton_tasks.doctor.findings import Finding
from lepton_tasks.snapshots import differing
from lepton_tasks.sweep_record import SweepRecord


def snapshot_findings(record: SweepRecord) -> list[Finding]:
    """The snapshots that are not what their seals give.

    Raises:
        RecordError: The seals do not follow one another.
    """
    check, state = SnapshotCheck(record), None
    for event in record.events:
        state = evolve(state, event)
        check(state)
    return check.findings


class SnapshotCheck:
    """Holds the snapshots against the states of a replay, to which it is shown each in turn.

    Attributes:
        findings: The snapshots that are not what the replay gives.
    """

    def __init__(self, record: SweepRecord) -> None:
        self.findings: list[Finding] = []
        self._ledger = record.entry.ledger
        self._differing = differing(record.params, record.seals)

    def __call__(self, state: SweepState) -> None:
        """Compare the snapshots of this state."""
        for snapshot in self._differing(state):
            # A torn one is passed over; one with a fitting digest would be gone on from.
            self.findings.append(
                Finding(
                    what=f"the record {snapshot.key}",
                    found="another state" if snapshot.holds else "torn, or not of its digest",
                    recorded="the state that its seals give",
                    run_id=self._ledger,
                    meaning="open" if snapshot.holds else "harmless",
                    remedy=f"{by_hand.WRITE_ONCE}; without it the seals are read instead: "
                    f"{by_hand.take_out_param(self._ledger, snapshot.key)}",
                )
            )
