"""What is missing from a ledger run, as the keys that are still there tell."""

from __future__ import annotations

import pytest
from sealing import claim

from lepton_core.errors import RecordError
from lepton_tasks.gaps import check_whole, gap
from lepton_tasks.seals import seal_key


def ledger(claims, sealed):
    """A ledger run: claims as epoch to first generation, seals as (generation, epoch)."""
    params = {seal_key(*one): "{}" for one in sealed}
    for epoch, from_generation in claims.items():
        params |= claim(epoch, from_generation)
    return params


@pytest.mark.parametrize(
    ("claims", "sealed", "valid"),
    [
        ({}, [], 0),
        ({1: 0}, [], 0),
        ({1: 0}, [(0, 1), (1, 1)], 2),
        ({1: 0, 2: 2}, [(0, 1), (1, 1), (2, 2)], 3),
        ({1: 0, 2: 1}, [(0, 1), (1, 1), (2, 1)], 1),  # by a driver that had lost its lease
        ({1: 0, 2: 1, 3: 1}, [(0, 1), (1, 1), (1, 2)], 1),
        ({1: 0, 2: 5, 3: 1}, [(0, 1), (4, 1), (5, 2)], 1),  # opened again at generation 1
    ],
)
def test_a_whole_ledger_run_has_no_gap(claims, sealed, valid):
    assert gap(ledger(claims, sealed), valid) is None


@pytest.mark.parametrize(
    ("claims", "sealed", "valid", "missing"),
    [
        ({2: 0}, [], 0, "epoch/000001"),
        ({1: 0, 3: 0}, [], 0, "epoch/000002"),
        ({}, [(0, 1)], 0, "epoch/000001"),
        ({1: 0}, [(0, 1), (1, 2)], 1, "epoch/000002"),
        ({1: 0}, [(0, 1), (2, 1)], 1, "seal/00000001/000001"),
        ({1: 0, 2: 2}, [(0, 1), (2, 2)], 1, "seal/00000001/000001"),
        ({1: 0, 2: 2}, [(0, 1)], 1, "seal/00000001/000001"),
    ],
)
def test_a_record_taken_out_from_among_others_is_named(claims, sealed, valid, missing):
    params = ledger(claims, sealed)
    assert gap(params, valid).key == missing
    with pytest.raises(RecordError, match=missing):
        check_whole("demo", params, valid)


@pytest.mark.parametrize("kind", ["settings", "released"])
def test_what_a_driver_wrote_shows_that_it_claimed(kind):
    params = {**ledger({1: 0}, []), f"{kind}/000002": "x"}
    assert gap(params, 0).key == "epoch/000002"
