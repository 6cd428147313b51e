"""The tracking store is untrusted: whatever stands in it, nothing happens but an error in words."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from civil import CODES, check_civil, outside
from hostile import (
    FIELDS,
    LEAVES,
    PLANTED,
    RECORDS,
    TEXTS,
    connect,
    paths,
    pristine,
    rechain,
    replaced,
)

from lepton_tasks import records

THOROUGH = bool(os.environ.get("LEPTON_TEST_THOROUGH"))  # every text and value, not a sample
SHARE = 1 if THOROUGH else 8

COMMANDS = (
    ["status", "demo"],
    ["verify", "demo", "--json"],
    ["best", "demo"],
    ["status", "demo", "--json"],
    ["verify", "demo"],
    ["list"],
    ["doctor", "demo"],
    ["best", "demo", "--json"],
    ["list", "--json"],
    ["doctor", "demo", "--json"],
)
EXPORTED = Path("mlruns/demo.jsonl")
ALL = (
    *COMMANDS,
    ["doctor", "demo", "--repair"],
    ["doctor", "demo", "--repair", "--reopen", "--json"],
    ["export", "demo", "-o", str(EXPORTED)],
)


def test_every_tag_that_lepton_reads_has_hostile_texts_planted_in_it():
    tags = {
        value
        for value in vars(records).values()
        if isinstance(value, str) and value.startswith(("lepton.", "mlflow."))
    }
    assert len(tags) > 15
    planted = {re.sub(r"\.0*1$", "", key) for key in PLANTED}
    assert tags - planted == set()


@pytest.mark.parametrize("field", FIELDS)
def test_a_hostile_text_in_any_field_is_an_error_or_is_shown_harmlessly(planted, civil, field):
    before, turn = outside(planted), list(FIELDS).index(field)
    with pristine() as restore:
        for text in list(TEXTS.values())[turn % SHARE :: SHARE]:  # others in the next field
            with closing(connect()) as db, db:
                FIELDS[field](db, text)
            civil(*ALL[turn % len(ALL)])
            turn += 1
            EXPORTED.unlink(missing_ok=True)
            restore()
    assert outside(planted) == before


def test_a_text_that_is_not_utf_8_is_a_store_that_fails(planted, civil):
    with closing(connect()) as db, db:
        db.execute("update tags set value = cast(x'fffe' as text) where key = 'lepton.sweep'")
    assert civil("status", "demo") == 7
    assert civil("list", "--json") == 7


@pytest.mark.parametrize("record", RECORDS)
def test_who_writes_a_record_back_with_its_hashes_is_not_noticed(planted, civil, record):
    """Else the tests below would prove no more than that hashes are compared."""
    read, write = RECORDS[record]
    before = [civil(*command) for command in COMMANDS]
    with closing(connect()) as db, db:
        write(db, read(db))
        rechain(db)
    assert [civil(*command) for command in COMMANDS] == before
    assert before[0] == 0


@pytest.mark.parametrize("record", RECORDS)
def test_a_hostile_value_within_a_record_whose_hashes_fit_is_refused_or_harmless(
    planted, civil, record
):
    read, write = RECORDS[record]
    before, turn = outside(planted), 0
    with closing(connect()) as db:
        text = read(db)
    with pristine() as restore:
        # Seven and the numbers of paths, values and commands share no factor: all get their turns.
        changes = list(product(paths(json.loads(text)), LEAVES.values()))
        for path, leaf in changes[:: 1 if THOROUGH else 7]:
            with closing(connect()) as db, db:
                write(db, replaced(text, path, leaf))
            civil(*ALL[turn % len(ALL)])
            turn += 1
            EXPORTED.unlink(missing_ok=True)
            restore()
    assert outside(planted) == before


def drive_on(planted, drivers, plant) -> None:
    """Plant something, and let a driver try to go on with the sweep."""
    content = json.loads((planted / "sweep.yaml").read_text())
    (planted / "sweep.yaml").write_text(json.dumps({**content, "budget": {"trials": 16}}))
    with closing(connect()) as db, db:
        plant(db)
    driver = drivers.start(planted, in_process=True)
    assert driver.wait() in CODES, driver.said()
    check_civil(driver.said())
    driver.output.unlink()


@pytest.mark.parametrize("record", RECORDS)
def test_a_driver_that_meets_hostile_values_ends_in_words_or_goes_on(planted, drivers, record):
    read, write = RECORDS[record]
    before = outside(planted)
    with closing(connect()) as db:
        text = read(db)
    places = list(paths(json.loads(text), items=1))
    with pristine() as restore:
        drives = 8 if THOROUGH else 2
        for turn, path in enumerate(places[:: max(1, len(places) // drives)]):
            leaf = list(LEAVES.values())[turn * 5 % len(LEAVES)]
            drive_on(planted, drivers, partial(write, text=replaced(text, path, leaf)))
            restore()
    assert outside(planted) == before


@pytest.mark.parametrize(("turn", "field"), list(enumerate(FIELDS))[:: 1 if THOROUGH else 5])
def test_a_driver_that_meets_hostile_texts_ends_in_words_or_goes_on(planted, drivers, turn, field):
    before = outside(planted)
    text = list(TEXTS.values())[turn * 7 % len(TEXTS)]
    drive_on(planted, drivers, partial(FIELDS[field], text=text))
    assert outside(planted) == before
