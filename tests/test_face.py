"""What `import lepton` gives."""

import pytest

import lepton


def test_every_public_name_is_there_and_listed_in_order():
    assert lepton.__all__ == sorted(lepton.__all__)
    assert dir(lepton) == lepton.__all__
    assert all(getattr(lepton, name) is not None for name in lepton.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'optimise'"):
        _ = lepton.optimise
