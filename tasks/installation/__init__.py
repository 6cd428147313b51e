"""``lepton doctor`` without a name: whether this installation can do what Lepton asks of it."""
