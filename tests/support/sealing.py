"""What the tests of claims, seals and snapshots share: a space of every kind, a driver's claim."""

from __future__ import annotations

from lepton_core.space import Choice, Float, Int, Space
from lepton_tasks.host import this_process
from lepton_tasks.records import Claim, epoch_key

MIXED = Space(
    {
        "z": Float(1e-8, 0.1, log=True),
        "a": Int(1, 9),
        "c": Choice([True, None, 1.5, "gbtree"]),
        "d": Float(0, 1, when={"a": [3, 4, 5]}),
    }
)


def claim(epoch, from_generation):
    """A driver's claim, as the ledger run's param."""
    text = Claim(
        epoch=epoch,
        owner=f"owner {epoch}",
        process=this_process(),
        ttl_s=30.0,
        from_generation=from_generation,
        claimed_at="",
        environment={},
    ).text()
    return {epoch_key(epoch): text}
