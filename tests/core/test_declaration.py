import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_core.canonical import canonical_json
from lepton_core.declaration import Budget, Declaration, Portfolio, Settings, to_loss
from lepton_core.errors import IdentityError
from lepton_core.hooks import HookReferences
from lepton_core.space import Choice, Float, Int, Space
from lepton_core.strategies import DIRECTIONS, declarations

SPACE = Space({"z": Float(0, 1), "a": Choice(["x", 1, None])})
BASE = {"name": "demo", "space": SPACE, "portfolio": Portfolio(proposers=("random",))}


@given(declarations(), st.booleans())
def test_a_declaration_is_read_back_from_its_record(declared, sort):
    record = json.loads(json.dumps(declared.to_record(), allow_nan=False, sort_keys=sort))
    again = Declaration.from_record(record)
    assert again == declared
    assert list(again.space) == list(declared.space)
    assert repr(again.start_from) == repr(declared.start_from)
    assert canonical_json(again.to_record()) == canonical_json(declared.to_record())
    again.check_same_identity(declared)


def test_starting_points_come_back_in_the_order_of_the_space():
    declared = Declaration(**BASE, start_from=({"z": 0.5, "a": "x"},))
    record = json.loads(canonical_json(declared.to_record()))
    assert list(record["start_from"][0]) == ["a", "z"]
    assert list(Declaration.from_record(record).start_from[0]) == ["z", "a"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"seed": 1}, "seed"),
        ({"generation": 9}, "generation"),
        ({"metric": "auc"}, "metric"),
        ({"direction": "maximize"}, "direction"),
        ({"portfolio": Portfolio(proposers=("sobol",))}, "portfolio"),
        ({"portfolio": Portfolio(proposers=("random",), judge=True)}, "portfolio"),
        ({"space": Space({**SPACE.params, "z": Float(0, 2)})}, "space.z"),
        ({"space": Space({**SPACE.params, "n": Int(0, 2)})}, "space.n"),
        ({"space": Space({"z": Float(0, 1)})}, "space.a"),
        ({"space": Space({**SPACE.params, "a": Choice(["x", True, None])})}, "space.a"),
    ],
)
def test_another_identity_under_the_same_name_is_refused(change, part):
    declared = Declaration(**{**BASE, **change})
    with pytest.raises(
        IdentityError, match=f"a sweep named 'demo' exists with another {part}:"
    ) as e:
        declared.check_same_identity(Declaration(**BASE))
    assert e.value.differ == (part,)
    assert e.value.name == "demo"
    assert str(e.value).count("recorded ") == 1


def test_a_part_that_is_not_there_is_shown_as_nothing():
    small, large = Space({"z": Float(0, 1)}), Space({"z": Float(0, 1), "n": Int(0, 2)})
    with pytest.raises(IdentityError, match=r"recorded nothing, now \{"):
        Declaration(**{**BASE, "space": large}).check_same_identity(
            Declaration(**{**BASE, "space": small})
        )
    with pytest.raises(IdentityError, match=r"recorded \{.*\}, now nothing"):
        Declaration(**{**BASE, "space": small}).check_same_identity(
            Declaration(**{**BASE, "space": large})
        )


def test_starting_points_and_the_order_of_params_are_no_part_of_the_identity():
    turned = Space(dict(reversed(SPACE.params.items())))
    started = Declaration(**{**BASE, "space": turned, "start_from": ({"z": 0.5, "a": 1},)})
    started.check_same_identity(Declaration(**BASE))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(budget=Budget(trials=3)),
        Settings(
            budget=Budget(trials=3, hours=0.5),
            objective="o.py:f",
            workers=4,
            timeout=1.5,
            nightly=Budget(hours=2.0),
            code_digest="ab",
            file="sweep.yaml",
            hooks=HookReferences(failed="hooks.py:tell"),
        ),
    ],
    ids=["least", "all"],
)
def test_settings_are_read_back_from_their_record(settings):
    record = json.loads(json.dumps(settings.to_record()))
    assert Settings.from_record(record) == settings
    assert Settings.from_record({**record, "of_a_newer_version": 1}) == settings
    assert ("hooks" in record) == (settings.hooks != HookReferences())


@given(st.floats(allow_nan=False), DIRECTIONS)
def test_a_loss_goes_back_to_the_value_it_was_made_from(value, direction):
    assert to_loss(to_loss(value, direction), direction) == value
    assert to_loss(0.5, "minimize") == 0.5
    assert to_loss(0.5, "maximize") == -0.5
