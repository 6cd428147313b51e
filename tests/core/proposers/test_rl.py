from lepton_core.proposers.rl import RL
from lepton_core.testing import ProposerContract


class TestRL(ProposerContract):
    make = RL
