from lepton_core.proposers.ga import GA
from lepton_core.testing import ProposerContract


class TestGA(ProposerContract):
    make = GA
