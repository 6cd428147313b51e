"""Files that no driver's export gave: each is an error that names the line; nothing is written."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import suppress

import pytest
from exports import contents, edited, rechained, write
from histories import all_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton.cli import main
from lepton_core.canonical import canonical_json, digest
from lepton_core.errors import ExportFileError
from lepton_core.export_format import MAX_LINE, read_line
from lepton_tasks.transfer.export_check import check_file

QUICK = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def of_kind(lines, kind):
    return next(line for line in lines if line["line"] == kind)


def counted_run(lines):
    return next(line for line in lines if line["line"] == "run" and line["status"] == "FINISHED")


def declare(**changes):
    def edit(lines):
        lines[0]["declaration"] = {**lines[0]["declaration"], **changes}
        rechained(lines)

    return edit


def seal(change):
    """Change the first seal's content, and make all hashes fit."""

    def edit(lines):
        line = of_kind(lines, "seal")
        content = json.loads(line["text"])
        change(content)
        line["text"] = canonical_json(content)
        rechained(lines)

    return edit


def row(index, value):
    return seal(lambda content: content["trials"][1].__setitem__(index, value))


def setting(key, value):
    return lambda lines: of_kind(lines, "driver")["settings"].__setitem__(key, value)


def tag(key, value):
    return lambda lines: counted_run(lines)["tags"].__setitem__(key, value)


def proposal(text):
    """A proposal of the right digest that is none."""

    def edit(lines):
        tags = [line for line in lines if line["line"] == "run"][-1]["tags"]
        tags["lepton.proposal"], tags["lepton.proposal.digest"] = text, digest(text)

    return edit


EDITS = {
    "a newer format": (
        lambda lines: lines[0].update(format=7, lepton="9.0"),
        "line 1: the file has format 7, written by Lepton '9.0'; this Lepton reads up to 1",
    ),
    "a newer schema": (
        declare(schema=8),
        "line 1: the sweep has schema 8, written by Lepton '0.1.0'; this Lepton reads up to 1",
    ),
    "no format": (lambda lines: lines[0].pop("format"), "header has no 'format'"),
    "a declaration of another digest": (
        lambda lines: lines[0]["declaration"].update(seed=99),
        "declaration's digest",
    ),
    "a name that is a path": (declare(name="../../etc"), "line 1: name: found"),
    "a seed that is no number": (declare(seed="0"), "line 1: seed"),
    "a huge generation": (declare(generation=10**9), "line 1: generation"),
    "an unknown proposer": (
        declare(portfolio={"proposers": ["mind-reader"], "judge": False, "settings": {}}),
        "line 1: portfolio.proposers",
    ),
    "a space that is a text": (declare(space="x"), "line 1"),
    "a param named twice": (
        declare(space=[["x", {"type": "float", "low": 0, "high": 1}]] * 2),
        "names params twice",
    ),
    "a seal's text of another hash": (
        lambda lines: of_kind(lines, "seal").update(
            text=of_kind(lines, "seal")["text"].replace("sobol", "pso", 1)
        ),
        "the seal's text does not give its hash: the history was altered",
    ),
    "another head": (
        lambda lines: lines[0].update(head="0" * 64),
        "the header names the last seal",
    ),
    "a seal of another proposer": (row(2, "pso"), "tag lepton.proposer is 'sobol'"),
    "a seal of another value": (row(6, 1e-9), "tag lepton.result is"),
    "a seal with an infinite time": (row(8, "inf"), "what no driver records"),
    "a seal with an origin that is a list": (row(3, [1]), "holds what no driver records"),
    "a seal with a boolean seed": (row(5, True), "line"),
    "a seal with values of another space": (row(4, ["9"] * 6), "line"),
    "a seal with too few values": (row(4, []), "line"),
    "a seal whose rows are numbers": (
        seal(lambda content: content.update(trials=[1, 2])),
        "the seal holds what no driver records",
    ),
    "a seal without trials": (seal(lambda content: content.update(trials=[])), "line"),
    "a seal that is a list": (
        lambda lines: (of_kind(lines, "seal").update(text="[]"), rechained(lines)),
        "the seal holds what no driver records",
    ),
    "a seal of another epoch": (
        lambda lines: of_kind(lines, "seal").update(epoch=9),
        "a seal of driver 9",
    ),
    "a run's edited metric": (
        lambda lines: counted_run(lines)["metrics"][0].__setitem__(1, 0.125),
        "metric loss is 0.125",
    ),
    "a run's edited param": (
        lambda lines: counted_run(lines)["params"].update(x="0.5"),
        "param x is '0.5'",
    ),
    "a run on another base": (tag("lepton.base", "0" * 64), "tag lepton.base is"),
    "a run of another sweep": (tag("lepton.sweep", "other"), "a run of another sweep"),
    "a run of another kind": (tag("lepton.kind", "ledger"), "the tag lepton.kind"),
    "a run of no generation": (tag("lepton.generation", "-1"), "the tag lepton.generation"),
    "a run of a far generation": (tag("lepton.generation", "07"), "the tag lepton.generation"),
    "a run that is left out": (lambda lines: lines.remove(counted_run(lines)), "is missing"),
    "a run that is there twice": (
        lambda lines: lines.insert(lines.index(counted_run(lines)), counted_run(lines)),
        "is there twice",
    ),
    "a second attempt that counts": (
        lambda lines: lines.insert(
            lines.index(counted_run(lines)), {**counted_run(lines), "run": "beside"}
        ),
        "beside the attempt that counts",
    ),
    "a status of MLflow's own": (
        lambda lines: counted_run(lines).update(status="PAUSED"),
        "run has the status 'PAUSED'",
    ),
    "a time that is no time": (lambda lines: counted_run(lines).update(start=2**70), "the start"),
    "a tag of a hostile key": (tag("../../x", "1"), "keys that MLflow takes"),
    "a tag that is a number": (tag("mine", 3), "the tags"),
    "a tag beyond MLflow's": (tag("mine", "x" * 9000), "8000 characters"),
    "a tag with NUL": (tag("mine", "a\0b"), "without NUL"),
    "a run id that is a path": (
        lambda lines: counted_run(lines).update(run="../a"),
        "expected a run's id",
    ),
    "a metric that is a text": (
        lambda lines: counted_run(lines)["metrics"].append(["m", "big", 0, 0]),
        "the metrics",
    ),
    "an open proposal that is a list": (proposal("[1]"), "no proposal of its slot"),
    "an open proposal without params": (proposal("{}"), "no proposal of its slot"),
    "settings of a text for trials": (setting("budget", {"trials": "all"}), "budget.trials"),
    "settings of a text for workers": (setting("workers", "many"), "workers"),
    "settings with a list for a file": (setting("file", ["a"]), "file of the settings"),
    "an objective that is a command": (setting("objective", "; rm -rf /"), "objective"),
    "a driver that skips": (lambda lines: of_kind(lines, "driver").update(epoch=4), "driver 4"),
    "a driver from elsewhere": (
        lambda lines: of_kind(lines, "driver").update(from_generation=3),
        "from generation 3",
    ),
    "no drivers": (
        lambda lines: lines.__setitem__(slice(None), [x for x in lines if x["line"] != "driver"]),
        "before a driver with settings",
    ),
    "no parent": (lambda lines: lines.pop(1), "before the sweep's parent"),
    "two headers": (lambda lines: lines.insert(1, lines[0]), "line 2"),
    "no header": (
        lambda lines: lines.pop(0),
        "line 1: the parent is not in the second line, after the header",
    ),
    "an unknown line": (lambda lines: lines.insert(1, {"line": "code"}), "line 2: a line of type"),
    "an unknown key": (lambda lines: lines[0].update(run="rm"), "unknown key 'run'"),
    "lines in another order": (lambda lines: lines.insert(3, lines.pop(-2)), "line"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_file_is_refused_in_words(exported, tmp_path, name):
    edit, said = EDITS[name]
    path = edited(exported, tmp_path / "edited.jsonl", edit)
    with pytest.raises(ExportFileError) as caught:
        check_file(path)
    assert said in caught.value.message
    assert ", line " in caught.value.message


def test_what_is_refused_leaves_the_store_as_it_was(exported, here, tmp_path, capsys):
    path = edited(exported, tmp_path / "edited.jsonl", EDITS["a seal of another value"][0])
    assert main(["import", str(path)]) == 2
    assert "line 8: trial 1" in capsys.readouterr().err
    assert all_runs(here.path) == []


RAW = {
    "an empty file": lambda data: b"",
    "cut in the last line": lambda data: data[:-2],
    "cut between lines": lambda data: data[: data.rindex(b"\n", 0, -1) + 1],
    "a line without its end": lambda data: data[:-1],
    "something after the end": lambda data: data + b"{}\n",
    "a second export after the first": lambda data: data + data,
    "a line taken out": lambda data: b"".join(
        line for i, line in enumerate(data.splitlines(keepends=True)) if i != len(data) % 3 + 4
    ),
    "another byte": lambda data: data.replace(b"sobol", b"sobal", 1),
    "spaces": lambda data: data.replace(b'":', b'": ', 1),
    "a key twice": lambda data: b'{"line":"header",' + data[1:],
    "NaN": lambda data: data.replace(b'"format":1', b'"format":NaN', 1),
    "a huge number": lambda data: data.replace(b'"format":1', b'"format":' + b"9" * 5000, 1),
    "nesting": lambda data: b"[" * 200_000 + b"\n" + data,
    "no text": lambda data: b"\xff\xfe\n" + data,
    "half of a surrogate pair": lambda data: data.replace(b'"0.1.0"', b'"\\ud800"', 1),
    "a database": lambda data: b"SQLite format 3\0" * 100,
    "half a compressed file": lambda data: gzip.compress(data)[:-300],
    "a damaged compressed file": lambda data: gzip.compress(data)[:500] + b"x" * 100,
}


@pytest.mark.parametrize("name", RAW)
def test_a_damaged_file_is_refused_in_words(exported, tmp_path, name, capsys):
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(RAW[name](exported.read_bytes()))
    assert main(["import", str(path)]) == 2
    said = capsys.readouterr().err
    assert "damaged.jsonl" in said
    assert "Traceback" not in said
    assert len(said) < 2000


def test_a_file_cut_anywhere_is_refused(exported, tmp_path):
    data, path = exported.read_bytes(), tmp_path / "cut.jsonl"
    chance = random.Random(0)
    for end in sorted(chance.sample(range(len(data)), 40)):
        path.write_bytes(data[:end])
        with pytest.raises(ExportFileError, match="cut"):
            check_file(path)


def test_an_endless_line_is_given_up(tmp_path):
    path = tmp_path / "endless.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(40):
            stream.write(b" " * (MAX_LINE // 32))
    with pytest.raises(ExportFileError, match=f"more than {MAX_LINE} bytes"):
        check_file(path)


@pytest.mark.parametrize("path", ["none.jsonl", ".", "/dev/null"])
def test_what_is_no_file_is_said(here, capsys, path):
    assert main(["import", path]) == 2
    assert "lepton export" in capsys.readouterr().err


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@QUICK
@given(text=st.text(max_size=200) | VALUES.map(lambda value: json.dumps(value, sort_keys=True)))
def test_any_text_is_a_line_or_an_error(text):
    with pytest.raises(ExportFileError):
        read_line(text)


def places(value, path=()):
    """Where something is in nested lists and objects."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@QUICK
@given(data=st.data())
def test_any_value_anywhere_is_taken_or_an_error(exported, tmp_path, data):
    """Digests and hashes are made to fit, so that what is on trial is what lies beneath them."""
    lines = contents(exported)
    index = data.draw(st.integers(0, len(lines) - 2))
    line = lines[index]
    inner = json.loads(line["text"]) if line["line"] == "seal" else line
    path = data.draw(st.sampled_from([path for path in places(inner) if path]))
    put(inner, path, data.draw(VALUES))
    try:
        if line["line"] == "seal":
            line["text"] = canonical_json(inner)
        rechained(lines)
        write(tmp_path / "any.jsonl", lines)
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeError):
        return  # not even a file
    with suppress(ExportFileError):
        check_file(tmp_path / "any.jsonl")
