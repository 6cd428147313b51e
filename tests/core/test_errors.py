import copy
import inspect
import pickle  # noqa: TID251  (what process borders do to an error)

import pytest

from lepton_core import errors
from lepton_core.errors import (
    DeclarationError,
    InputError,
    LeptonError,
    RecordError,
    SpaceError,
    path_text,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LeptonError) and kind is not DeclarationError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_message_and_values_across_processes(kind):
    error = kind("seed is -1; expected 0", found=-1, path=("seed",))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == again.message == "seed is -1; expected 0"
    assert (again.found, again.path, again.exit_code) == (-1, ("seed",), kind.exit_code)


def test_a_declaration_error_keeps_its_place_across_processes():
    error = DeclarationError("found -1", ("space", "lr", 0), found=-1)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(copy.copy(error))):
        assert str(again) == "space.lr[0]: found -1"
        assert (again.path, again.problem, again.found) == (error.path, "found -1", -1)
        assert again.values == error.values


def test_a_declaration_error_about_the_whole_file_names_no_place():
    assert str(DeclarationError("found list")) == "found list"


def test_an_error_says_which_value_it_does_not_carry():
    with pytest.raises(AttributeError, match="SpaceError carries no value named 'slot'"):
        _ = SpaceError("x").slot


def test_each_error_has_the_exit_code_of_its_family():
    codes = {kind.__name__: kind.exit_code for kind in KINDS}
    assert codes == {
        "LeptonError": 1,
        "InputError": 2,
        "SpaceError": 2,
        "IdentityError": 2,
        "ObjectiveError": 2,
        "UnknownSweepError": 2,
        "ExportFileError": 2,
        "UnfinishedImportError": 2,
        "MissingExtraError": 2,
        "SweepFileError": 2,
        "SweepError": 2,
        "NothingUsableError": 3,
        "DrivenElsewhereError": 4,
        "LeaseLostError": 4,
        "RecordError": 5,
        "CheckpointError": 5,
        "StoreUnreachableError": 7,
    }


def test_every_error_stands_in_the_tree_of_the_docstring():
    for kind in [*KINDS, DeclarationError]:
        assert kind.__name__ in errors.__doc__


def test_wrong_input_is_a_value_error_and_a_bad_record_is_not():
    assert issubclass(InputError, ValueError)
    assert not issubclass(RecordError, ValueError)


@pytest.mark.parametrize(
    ("path", "expected"),
    [((), ""), (("a",), "a"), (("a", "b", 2, "c"), "a.b[2].c"), ((0, "a"), "[0].a")],
)
def test_a_path_is_written_as_people_write_it(path, expected):
    assert path_text(path) == expected
