"""A portfolio with a judge is held to the laws of a proposer."""

from functools import partial

from judged import Judged

from lepton_core.testing import ProposerContract


class TestJudgedFromItsOpening(ProposerContract):
    make = Judged


class TestJudgedAfterItsOpening(ProposerContract):
    """After eight trials each slot is the judge's."""

    make = partial(Judged, warm=10)
