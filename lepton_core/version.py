"""The version of Lepton, in one place."""

__version__ = "0.1.0"
