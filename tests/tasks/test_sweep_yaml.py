"""Reading sweep files: plain data with lines, nothing executed, nothing without bound."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from lepton_core.errors import InputError, SweepFileError
from lepton_tasks.sweep_yaml import MAX_BYTES, find, from_dict, read

GOOD = """\
# A comment
name: demo
objective: objective.py:objective

space:
  lr: {type: float, low: 1e-4, high: 0.5, log: true}
  depth:
    type: int
    low: 2
    high: 12
budget: {trials: 4}
"""


def content(tmp_path, text, mode="w"):
    file = tmp_path / "sweep.yaml"
    with file.open(mode, **({} if "b" in mode else {"encoding": "utf-8"})) as out:
        out.write(text)
    return read(file).content


def refusal(tmp_path, text, mode="w"):
    with pytest.raises(SweepFileError) as caught:
        content(tmp_path, text, mode)
    assert caught.value.exit_code == 2
    assert str(tmp_path / "sweep.yaml") in str(caught.value)
    return str(caught.value).replace(str(tmp_path / "sweep.yaml"), "FILE")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("1.0e-4", 1e-4),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-3", -3),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("12:30:45", "12:30:45"),
        ("binary:logistic", "binary:logistic"),
        ("'1e-4'", "1e-4"),
        ('"12"', "12"),
        ("é ☃", "é ☃"),
        ("[1, a, [2.5]]", [1, "a", [2.5]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_values_are_those_of_yaml_1_2(tmp_path, text, value):
    found = content(tmp_path, f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_one(tmp_path):
    assert math.isnan(content(tmp_path, "key: .nan\n")["key"])


def test_a_good_file_is_a_sweep(tmp_path):
    content(tmp_path, GOOD)
    declaration, settings = read(tmp_path / "sweep.yaml").parse()
    assert declaration.space.params["lr"].low == 1e-4
    assert settings.budget.trials == 4


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path):
    content(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(), "wb")
    assert read(tmp_path / "sweep.yaml").parse()[0].name == "demo"


def test_an_alias_stands_for_what_it_names(tmp_path):
    text = "space:\n  a: &unit {type: float, low: 0.0, high: 1.0}\n  b: *unit\n"
    space = content(tmp_path, text)["space"]
    assert space["a"] == space["b"] == {"type": "float", "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("high: 12", "high: 1", "FILE:9: space.depth.low: low 2 is not below high 1"),
        ("low: 2", "lwo: 2", "FILE:9: space.depth.lwo: unknown key; did you mean 'low'"),
        ("low: 1e-4", "low: 0", "FILE:6: space.lr"),
        ("trials: 4", "trials: 0", "FILE:11: budget.trials: found 0"),
        ("trials: 4", "trials: 1_000.5", "FILE:11: budget.trials"),
        ("name: demo", "name: a b", "FILE:2: name: found 'a b'"),
        ("budget: {trials: 4}", "", "FILE:1: 'budget' is missing"),
        ("budget:", "generation: 0\nbudget:", "FILE:11: generation: found 0"),
        ("name: demo", "name: demo\nnam: x", "FILE:3: nam: unknown key"),
    ],
)
def test_a_wrong_key_is_named_with_its_line(tmp_path, old, new, said):
    assert old in GOOD
    content(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "sweep.yaml").parse()
    assert str(caught.value).replace(str(tmp_path / "sweep.yaml"), "FILE").startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "FILE:3: the key 'a' stands twice (first on line 1)"),
        ("s:\n  x: 1\n  'x': 2\n", "FILE:3: the key 'x' stands twice (first on line 2)"),
        ("a: 1\nb: !!python/object/apply:os.system [x]\n", "FILE:2"),
        ("a: !!python/name:os.system\n", "FILE:1"),
        ("a: !mine 3\n", "FILE:1"),
        ("a: !!binary aGk=\n", "FILE:1"),
        ("a: !!set {x, y}\n", "FILE:1"),
        ("a: 2026-01-01\n", "FILE:1: found '2026-01-01' (a timestamp)"),
        ("a: 1\n\nb: [1, 2\n", "FILE:4: not YAML"),
        ("a: 1\n\tb: 2\n", "FILE:2: not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("? [a, b]\n: 1\n", "FILE:1: a key must be plain text"),
        ("a: *nobody\n", "FILE:1: not YAML"),
        ("a: &a [*a]\n", "FILE:1: too large"),
        ("", "FILE:1: found nothing; expected keys such as name"),
        ("# only a comment\n", "FILE:1: found nothing"),
        ("- a\n- b\n", "FILE:1: found list; expected keys"),
        ("just text\n", "FILE:1: found str; expected keys"),
        ("a: " + "[" * 99 + "]" * 99 + "\n", "FILE:1: too large; at most 100000 values, nested"),
        ("a: " + "9" * 5000 + "\n", "FILE:1: found '999"),
        ("a: !!bool words\n", "FILE:1"),
        ("a: !!str [x]\n", "FILE:1"),
        ("a: !!int words\n", "FILE:1"),
        ("a: !!float words\n", "FILE:1"),
        ("%YAML 9.9\n---\na: 1\n", "FILE"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(tmp_path, text, said):
    assert refusal(tmp_path, text).startswith(said) or said in refusal(tmp_path, text)


DEEP = {
    "lists": "a: " + "[" * 300_000,
    "mappings": "{a: " * 200_000,
    "dashes": "- " * 400_000,
    "keys": "? " * 400_000,
    "blocks": "".join(" " * depth + "a:\n" for depth in range(1300)),
}
MANY = {
    "a list": "a: [" + "x," * 450_000 + "]",
    "lines": "- x\n" * 240_000,
    "keys": "".join(f"k{i}: 1\n" for i in range(90_000)),
    "aliases": "a: &a 1\nb: [" + "*a," * 300_000 + "]",
}


@pytest.mark.parametrize("kind", DEEP)
def test_a_file_nested_deeper_than_python_calls_is_refused_soon(tmp_path, kind):
    started = time.monotonic()
    assert "nested at most 50 deep" in refusal(tmp_path, DEEP[kind])
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("kind", MANY)
def test_a_file_of_too_many_values_is_refused_soon(tmp_path, kind):
    started = time.monotonic()
    assert "at most 100000 values" in refusal(tmp_path, MANY[kind])
    assert time.monotonic() - started < 30


def test_an_anchor_may_be_named_again(tmp_path):
    assert content(tmp_path, "a: &x 1\nb: &x 2\nc: *x\n") == {"a": 1, "b": 2, "c": 2}


@pytest.mark.parametrize("file", ["/dev/zero", "/dev/full"])
def test_a_device_that_never_ends_is_no_sweep_file(file):
    with pytest.raises(SweepFileError, match="too large"):
        read(Path(file))


def test_a_path_that_is_none_is_said(tmp_path):
    with pytest.raises(SweepFileError, match="cannot read"):
        read(Path("a\0b.yaml"))
    with pytest.raises(SweepFileError, match="cannot read"):
        read(Path("x" * 5000))


def test_a_bomb_of_aliases_is_refused_soon(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    assert "too large; at most 100000 values" in refusal(tmp_path, "\n".join(lines))
    assert time.monotonic() - started < 10


def test_merge_keys_are_no_part_of_yaml_1_2(tmp_path):
    content(tmp_path, GOOD.replace("trials: 4", "trials: 4, <<: {hours: 1}"))
    with pytest.raises(SweepFileError, match=r":11: budget\.<<: unknown key"):
        read(tmp_path / "sweep.yaml").parse()


def test_a_file_that_is_too_large_is_not_even_read(tmp_path):
    said = refusal(tmp_path, "#" + "x" * MAX_BYTES)
    assert f"at most {MAX_BYTES}" in said


@pytest.mark.parametrize("data", [b"\xff\xfe\x00a", bytes(range(256)), b"name: \xe9\n"])
def test_a_binary_file_is_refused(tmp_path, data):
    assert "not UTF-8" in refusal(tmp_path, data, "wb")


def test_a_text_with_control_characters_is_refused(tmp_path):
    assert "FILE" in refusal(tmp_path, b"name: a\x00b\n", "wb")


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    for file in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(SweepFileError, match="cannot read"):
            read(file)


def test_the_sweep_file_of_a_name_is_found(tmp_path):
    (tmp_path / "a.yaml").write_text("name: one\n")
    (tmp_path / "b.yml").write_text("name: two\n")
    (tmp_path / "c.yaml").write_text("not: [yaml\n")
    (tmp_path / "d.txt").write_text("name: two\n")
    (tmp_path / "e.yaml").mkdir()
    assert find("two", tmp_path).file.name == "b.yml"
    with pytest.raises(SweepFileError, match=r"no sweep file in .* lepton resume three --file"):
        find("three", tmp_path)
    (tmp_path / "f.yaml").write_text("name: two\n")
    with pytest.raises(SweepFileError, match=r"b\.yml, f\.yaml all declare"):
        find("two", tmp_path)


def test_a_dict_is_a_sweep_of_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = from_dict({"name": "demo"})
    assert (source.folder, source.name, source.file) == (tmp_path, "demo", None)
    with pytest.raises(InputError, match="'objective' is missing"):
        source.parse()
