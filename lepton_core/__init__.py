"""The pure core of Lepton: space, events, fold, proposers, portfolio.

Nothing here reads a clock, a file, the network or global randomness; each is an argument or a
keyed generator. Read `lepton_core.events`, then `lepton_core.fold`.
"""
