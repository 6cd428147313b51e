from lepton_core.proposers.pso import PSO
from lepton_core.testing import ProposerContract


class TestPSO(ProposerContract):
    make = PSO
